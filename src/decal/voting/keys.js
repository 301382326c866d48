// Arrow keys answer, and an answer is sent once.
const form = document.querySelector("form");
const buttons = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "same" };
let isSent = false;
if (form) {
  form.addEventListener("submit", (event) => {
    if (isSent) event.preventDefault();
    isSent = true;
  });
  // A page that the browser kept, when going back in its history, may be answered again; the server decides whether that counts.
  addEventListener("pageshow", () => { isSent = false; });
  addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || !(event.key in buttons)) return;
    event.preventDefault();
    if (!isSent) document.getElementById(buttons[event.key]).click();
  });
}
