"""What a person who votes sees: one prompt, two pictures, three answers.

A ballot goes in, a page comes out that tells nothing of the checkpoints: the pictures are made anew from their pixels, because the files
say in themselves what drew them. It works without a script; the script adds keys.
"""

import base64
from io import BytesIO
from pathlib import Path

from PIL import Image

from decal import pictures
from decal.report.markup import Markup, element, join
from decal.voting.ballots import Ballot, Shown
from decal.wording import counted

STYLE = Markup((Path(__file__).parent / "style.css").read_text("utf-8"))
KEYS = Markup((Path(__file__).parent / "keys.js").read_text("utf-8"))
MAX_SIDE_PX = 1024


def question(ballot: Ballot, number: int, of: int, *, again: bool, can_go_back: bool, nonce: str) -> str:
    """The page of one ballot. number, of: of this sitting. nonce: lets the page's own script run."""
    hidden = [element("input", type="hidden", name_="ballot", value=ballot.id)]
    if again:
        hidden.append(element("input", type="hidden", name_="again", value="yes"))
    back = element("a", "Take the last answer back", href="?back", id_="back") if can_go_back else Markup("")
    main = element(
        "main",
        element("p", f"{number:,} of {of:,}", class_="count"),
        element("h1", ballot.left.prompt),
        element("p", "Which picture is the better one for these words?"),
        element(
            "form",
            *hidden,
            _choice("left", ballot.left),
            _choice("right", ballot.right),
            element("button", "They are as good", name_="answer", value="same", id_="same"),
            method="post",
            action="?",
        ),
        element("p", "Keys: ", _key("←"), " left, ", _key("→"), " right, ", _key("↓"), " as good.", class_="keys"),
        back,
    )
    return _page(f"{number} of {of}", main, nonce)


def end(given: int) -> str:
    """The page after the last question."""
    told = element("p", f"{counted(given, 'answer')} kept. You may close this page; the terminal says what they mean.")
    return _page("Done", element("main", element("h1", "Thank you."), told), "")


def refusal(words: str) -> str:
    """A page that only says what is wrong."""
    return _page("Not here", element("main", element("h1", words)), "")


def _choice(side: str, shown: Shown) -> Markup:
    image, data = _png(shown.file)
    picture = element("img", src=data, alt=f"The {side} picture", width=str(image.width), height=str(image.height))
    return element("button", picture, element("span", side.capitalize()), name_="answer", value=side, id_=side, class_="choice")


def _key(name: str) -> Markup:
    return element("kbd", name)


def _png(file: Path) -> tuple[Image.Image, str]:
    """A picture without anything that its file says besides."""
    image = pictures.load(file, "white")
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
    plain = Image.new("RGB", image.size)
    plain.paste(image)
    buffer = BytesIO()
    plain.save(buffer, "PNG")
    return plain, f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _page(title: str, main: Markup, nonce: str) -> str:
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name_="color-scheme", content="light dark"),
        element("title", f"Decal: {title}"),
        element("style", STYLE),
    )
    script = element("script", KEYS, nonce=nonce) if nonce else Markup("")
    return f"<!doctype html>\n{element('html', head, element('body', join(main, script)), lang='en')}\n"
