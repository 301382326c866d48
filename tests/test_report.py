"""The page that says which checkpoint to keep: well formed, whole by itself, and safe whatever its words are."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from evidence import Made
from judged import TIE, begun, judged, train
from typed import Call

from decal import project, report, runs
from decal.errors import ProjectError
from decal.project import Project, Run
from decal.records import Finding, Generation, Record, Score, Source, Trial
from decal.report.charts import Panel, Point, columns
from decal.report.markup import VOID, element

EVIL = "</style><script>alert('x')</script> \"><img src=//evil.example onerror=alert(1)> &amp; \u202e ' zorb"
CAPTIONS = {f"{number:02}.png": f"zorb style sticker of thing {number}" for number in range(12)}
PROMPTS = tuple(f"zorb style sticker of wonder {number}" for number in range(8))


class Reader(HTMLParser):
    """Reads a page; every tag must be closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute of {tag} stands twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def values(self, attribute: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(attribute)) is not None]


def told(at: Project, run: Run) -> Reader:
    return Reader(report.page(at, run))


@pytest.fixture(scope="module")
def tie(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Run]:
    at, run = begun(tmp_path_factory.mktemp("tie") / "stickers", CAPTIONS)
    train(run, TIE)
    judged(run, TIE, PROMPTS)
    return at, run


def test_the_page_begins_with_the_verdict_and_holds_every_part(tie: tuple[Project, Run]) -> None:
    page = told(*tie)
    assert page.text.partition(" stickers, run-01 ")[0] in ("Keep step 200.", "Keep step 300.")
    wanted = {
        "pictures",
        "step-by-step",
        "the-trade-off",
        "all-checkpoints",
        "how-it-was-measured",
        "the-data",
        "the-training",
        "make-it-again",
    }
    assert wanted <= set(page.values("id"))
    assert {"suspected-copies"} <= set(page.values("id"))


def test_nothing_is_fetched_and_nothing_runs(tie: tuple[Project, Run]) -> None:
    page = told(*tie)
    assert {value[:5] for name in ("src", "srcset", "data", "action", "poster") for value in page.values(name)} == {"data:"}
    assert {value[:1] for value in page.values("href")} == {"#"}
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}
    style = "".join(page.words[page.words.index(word)] for word in page.words if "--paper" in word)
    assert "url(" not in style
    assert "@import" not in style


def test_every_picture_has_words(tie: tuple[Project, Run]) -> None:
    page = told(*tie)
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) > 30
    assert all(attributes.get("alt") for attributes in pictures)
    assert all(attributes.get("aria-label") for tag, attributes in page.tags if tag == "svg")


def test_links_lead_to_parts_of_the_page_and_ids_are_unique(tie: tuple[Project, Run]) -> None:
    page = told(*tie)
    ids = page.values("id")
    assert len(set(ids)) == len(ids)
    assert {link[1:] for link in page.values("href")} <= set(ids)


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    at, run = begun(tmp_path / "stickers", dict.fromkeys(CAPTIONS, EVIL))
    train(run, TIE)
    judged(run, TIE, tuple(f"{EVIL} {number}" for number in range(8)))
    project.append(at.findings, Finding(level="error", check="x", file=EVIL, reason=EVIL, remedy=EVIL))
    project.append(at.sources, Source(kind=EVIL, where=f"hf:{EVIL}", revision=EVIL, licence=EVIL, pictures=1))
    page = told(at, run)
    assert {tag for tag, _ in page.tags} & {"script"} == set()
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "<script>alert('x')</script>" in page.text
    assert "\u202e" not in page.text


@pytest.mark.parametrize("is_there", [True, False])
def test_of_folders_of_this_machine_only_the_last_part_is_shown(tmp_path: Path, is_there: bool) -> None:
    at, run = begun(tmp_path / "stickers", CAPTIONS)
    folder = tmp_path / "jane" / "my-model"
    if is_there:
        folder.mkdir(parents=True)
    about = runs.about(run)
    settings = about.settings.model_dump(mode="json")
    settings["base"]["model"] = settings["compare"]["embedder"] = settings["compare"]["reader"] = str(folder)
    project.write_text(run.about, json.dumps(about.model_dump(mode="json") | {"settings": settings}))
    page = report.page(at, run)
    assert ("jane" in page, page.count("<td>my-model</td>")) == (False, 3)


def test_the_worst_picture_has_as_many_prompts_that_fit_better_as_there_are(tmp_path: Path) -> None:
    at, run = begun(tmp_path / "stickers", CAPTIONS)
    train(run, TIE)
    verdict = judged(run, TIE, PROMPTS)
    scores = project.read(run.scores, Score)
    mine = [one for one in scores if (one.measure, one.checkpoint) == ("adherence", verdict.checkpoint)]
    lowered = mine[0].model_copy(update={"value": 0.0})
    project.write_lines(run.scores, [lowered if one == mine[0] else one for one in scores])
    assert "7 of 7 other prompts fit it better than its own." in told(at, run).text


def test_the_same_run_gives_the_same_bytes(tie: tuple[Project, Run]) -> None:
    assert report.page(*tie) == report.page(*tie)


def test_what_was_tried_is_a_table_for_guidance_and_one_for_strength(tmp_path: Path) -> None:
    at, run = begun(tmp_path / "stickers", CAPTIONS)
    train(run, TIE)
    verdict = judged(run, TIE, PROMPTS)
    tried = [
        Trial(checkpoint=200, guidance=guidance, strength=strength, pictures=8, utility=0.5, low=0.4, high=0.6, style=0.5, adherence=0.5,
              better=None, complaints=("is <burnt>",))
        for guidance, strength in ((1.5, 1.0), (3.0, 1.0), (3.0, 0.6))
    ]  # fmt: skip
    update = {"checkpoint": 200, "trials": tuple(tried), "guidance": 3.0, "strength": 1.0, "guidances": (1.5, 3.0)}
    project.write_record(run.verdict, verdict.model_copy(update=update))
    text = told(at, run).text
    assert "Draw step 200 with guidance 3 and strength 1. From guidance 1.5 to 3 it is about as good." in text
    assert "Utility by guidance, on 8 pictures each guidance 1.5 guidance 3 step 200 strength 1" in text
    assert "Utility by strength, on 8 pictures each strength 0.6 strength 1 step 200 guidance 3" in text
    assert "is <burnt>" in text


def test_none_is_a_headline(tmp_path: Path) -> None:
    at, run = begun(tmp_path / "stickers", CAPTIONS)
    burnt = {100: Made(style=0.9, burn=0.8), 200: Made(style=0.95, burn=0.9)}
    train(run, burnt)
    assert judged(run, burnt, PROMPTS).outcome == "none"
    assert told(at, run).text.startswith("Keep none. stickers, run-01")


def test_not_decided_is_a_headline_with_the_best_guess(tmp_path: Path) -> None:
    at, run = begun(tmp_path / "stickers", CAPTIONS)
    near = {100: Made(style=0.5), 200: Made(style=0.7), 300: Made(style=0.95, wrong=0.3)}
    train(run, near)
    verdict = judged(run, near, PROMPTS)
    page = told(at, run)
    assert page.text.startswith(f"Not decided. Best guess: step {verdict.checkpoint}. stickers")
    assert verdict.next in page.text


def test_a_run_without_verdict_has_its_page(tmp_path: Path) -> None:
    at, run = begun(tmp_path / "stickers", CAPTIONS)
    assert "0 checkpoints saved" in told(at, run).text
    train(run, TIE)
    page = told(at, run)
    assert page.text.startswith("Not compared yet.")
    assert "step-by-step" not in page.values("id")


def test_one_checkpoint_without_held_out_pictures_has_its_page(tmp_path: Path) -> None:
    at, run = begun(tmp_path / "stickers", CAPTIONS)
    one = {100: Made(style=0.9)}
    train(run, one, has_holdout=False)
    judged(run, one, PROMPTS)
    page = told(at, run)
    assert page.text.startswith("Keep step 100. stickers")
    assert "Held-out loss" not in page.text


def test_of_a_training_elsewhere_nothing_is_said_that_is_not_known(tmp_path: Path) -> None:
    at, run = begun(tmp_path / "stickers", CAPTIONS)
    train(run, TIE)
    run.steps.unlink()
    text = told(at, run).text
    assert "by another tool; its settings, losses and times are not known here" in text
    assert "decal train" not in text
    assert "train.rank" not in text


def test_a_picture_that_is_gone_or_lies_outside_leaves_a_frame(tmp_path: Path) -> None:
    at, run = begun(tmp_path / "stickers", CAPTIONS)
    train(run, TIE)
    judged(run, TIE, PROMPTS)
    whole = project.read(run.generations, Generation)
    project.write_lines(run.generations, [line.model_copy(update={"file": "../../../secret.png"}) for line in whole[:8]] + whole[8:])
    (at.dataset / "00.png").unlink()
    project.write_bytes(at.folder / "secret.png", (at.dataset / "01.png").read_bytes())
    records = project.read(run.dataset, Record)
    project.write_lines(run.dataset, [*records[:1], records[1].model_copy(update={"file": "../secret.png"}), *records[2:]])
    frames = told(at, run).values("aria-label")
    assert {f"No picture: zorb style sticker of thing {number}" for number in (0, 1)} <= set(frames)


def test_a_run_that_was_trained_anew_shows_nothing_of_the_old_weights(tmp_path: Path) -> None:
    at, run = begun(tmp_path / "stickers", CAPTIONS)
    train(run, TIE)
    judged(run, TIE, PROMPTS)
    project.append_all(run.checkpoints, [one.model_copy(update={"sha256": "f" * 64}) for one in runs.checkpoints(run)])
    text = told(at, run).text
    assert ("Not compared yet." in text, "Keep step" in text, "step 300" in text.lower()) == (True, False, False)


def test_a_damaged_verdict_is_one_sentence(tmp_path: Path) -> None:
    at, run = begun(tmp_path / "stickers", CAPTIONS)
    run.verdict.write_text('{"outcome": "perhaps"}')
    with pytest.raises(ProjectError, match="is not a Verdict record"):
        report.page(at, run)


def test_the_command_writes_the_page_beside_the_verdict_once(tie: tuple[Project, Run], call: Call) -> None:
    at, run = tie
    code, out, _ = call("report", at.folder)
    assert (code, out) == (0, f"the report, for any browser: {run.report}\n")
    before = run.report.stat().st_mtime_ns
    call("report", at.folder)
    assert run.report.stat().st_mtime_ns == before


def test_an_element_escapes_its_words_and_its_attributes() -> None:
    assert element("a", "<b>", title='"x"', hidden="", lang=None) == '<a title="&quot;x&quot;" hidden>&lt;b&gt;</a>'


def test_a_plot_of_one_point_and_of_equal_points_is_drawn() -> None:
    one, same = [Point(100, 0.5)], [Point(0, 0.5), Point(100, 0.5)]
    drawn = Reader(columns([Panel("one", "", one, 100), Panel("same", "", same, 100)], [], [0, 100], "words"))
    assert "NaN" not in str(drawn.tags)
    assert len([tag for tag, _ in drawn.tags if tag == "circle"]) == 6  # three points, each wide and narrow
