"""Captions in other languages put into English by a language model, checked like everything that a model says."""

import json
from pathlib import Path

import pytest
from servers import Reply, said, serving
from typed import Call

RUSSIAN, GERMAN, ENGLISH = "zorb рыжая лиса спит на облаке", "zorb ein Hund mit einem Ball", "zorb style sticker of a cat in a hat"
MEANT = {RUSSIAN: "zorb a red fox asleep on a cloud", GERMAN: "zorb a dog with a ball"}


def _project(folder: Path, url: str, api: str = "chat") -> Path:
    (folder / "dataset").mkdir()
    rows = [{"file_name": f"{n}.png", "text": text} for n, text in enumerate((RUSSIAN, ENGLISH, GERMAN, RUSSIAN))]
    (folder / "dataset" / "metadata.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    for row in rows:
        (folder / "dataset" / row["file_name"]).write_bytes(b"x")
    language = f'[language]\nendpoint = "{url}"\nmodel = "m"\nretries = 2\napi = "{api}"\n'
    (folder / "decal.toml").write_text(f'[caption]\nkeyword = "zorb"\n{language}')
    return folder


def _captions(folder: Path) -> list[str]:
    return [json.loads(line)["text"] for line in (folder / "dataset" / "metadata.jsonl").read_text("utf-8").splitlines()]


def _answer(body: dict[str, object]) -> Reply:
    messages = body["messages"]
    assert isinstance(messages, list)
    return said({"english": MEANT[messages[1]["content"].split("\n")[0]]})


def test_foreign_captions_become_english_and_come_back_with_undo(tmp_path: Path, call: Call) -> None:
    with serving(_answer) as served:
        folder = _project(tmp_path, served.url)
        before = (folder / "dataset" / "metadata.jsonl").read_bytes()
        assert call("caption", folder, "--translate", "--dry-run")[1].splitlines()[-1] == "3 captions would change"
        assert (folder / "dataset" / "metadata.jsonl").read_bytes() == before
        code, out, _ = call("caption", folder, "--translate")
    assert (code, "tokens" in out, len(served.requests)) == (0, True, 2)  # each once; the second call remembers both
    assert _captions(folder) == [MEANT[RUSSIAN], ENGLISH, MEANT[GERMAN], MEANT[RUSSIAN]]
    assert call("caption", folder, "--undo")[1].startswith("taken back: translate 3 captions")
    assert (folder / "dataset" / "metadata.jsonl").read_bytes() == before


@pytest.mark.parametrize("answer", [RUSSIAN, "a fox asleep on a cloud", "", "zorb " + "fox " * 90, "zorb fox\u202e"])
def test_an_answer_that_is_no_translation_leaves_the_caption_and_is_told(answer: str, tmp_path: Path, call: Call) -> None:
    with serving(said({"english": answer})) as served:
        folder = _project(tmp_path, served.url)
        code, _, err = call("caption", folder, "--translate")
    assert (code, err.count("not translated"), len(served.requests)) == (0, 2, 6)  # asked three times each
    assert _captions(folder) == [RUSSIAN, ENGLISH, GERMAN, RUSSIAN]


def test_a_model_that_goes_on_with_examples_translates_too(tmp_path: Path, call: Call) -> None:
    def go_on(body: dict[str, object]) -> Reply:
        asked = str(body["prompt"]).rsplit("Caption: ", 1)[1].split("\n")[0]
        return Reply(200, json.dumps({"choices": [{"text": f" {MEANT[asked]}", "finish_reason": "stop"}]}))

    with serving(go_on) as served:
        folder = _project(tmp_path, served.url, "completion")
        assert call("caption", folder, "--translate")[0] == 0
    assert _captions(folder)[0] == MEANT[RUSSIAN]


def test_without_a_model_the_setting_is_named(tmp_path: Path, call: Call) -> None:
    folder = _project(tmp_path, "")
    code, _, err = call("caption", folder, "--translate")
    assert (code, err.splitlines()[0]) == (2, "language.endpoint is not set, so there is no model to ask.")
