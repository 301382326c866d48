"""What a hand-in has to hold, point by point: each passes, fails with what to do, or could not be checked.

The points are those of a course on LoRA training: a data set of 20 to 50 or more stickers with captions, checkpoints that were compared, 30
pictures of new prompts, two notebooks that ran. What is known comes in as `Facts`; nothing is read or drawn here.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from decal import captions, extras
from decal.records import Finding, Mark, Point, Verdict
from decal.settings import CaptionSettings
from decal.wording import counted, printable

MIN_PICTURES, MIN_PROMPTS, MIN_GUIDANCE = 20, 10, 3
# "About every 400 steps"; the course's own command says 300, and small models learn in fewer.
USUAL_STEPS, MAX_STEPS_BETWEEN = 400, 500
MIN_COMPARED = 3
NAMED = 3
# Stands for the project in what is to be done; a hand-in does not say where that lies.
FOLDER = "FOLDER"
# The command itself names folders of this machine, which a hand-in does not tell.
ADD_OCR = "add the extra ocr of Decal"
HEADS: dict[Mark, str] = {"fail": "To mend", "not checked": "Not checked", "pass": "Fulfilled"}


@dataclass(frozen=True)
class Facts:
    """What is known of a hand-in.

    pictures: how many. captions: each with its file. findings: of a check of that data set. longest, limit: tokens. changed: how the
    project's data set differs from what was trained on. located: pictures that say where they were taken. lettered: those with text
    on them; None where nothing is installed that could look.
    """

    pictures: int
    captions: Sequence[tuple[str, str]]
    caption: CaptionSettings
    findings: Sequence[Finding]
    longest: int
    limit: int
    changed: Sequence[str]
    located: Sequence[str]
    lettered: Sequence[str] | None


@dataclass(frozen=True)
class Training:
    """What is known of the run. reached: the last step that was done. compared: checkpoints that were drawn on the same prompts."""

    run: str
    steps: int
    reached: int
    checkpoint_every: int
    checkpoints: Sequence[int]
    compared: Collection[int]


@dataclass(frozen=True)
class Choice:
    """The checkpoint that is handed in. is_by_hand: a person named it."""

    step: int
    verdict: Verdict | None
    is_by_hand: bool


@dataclass(frozen=True)
class Demonstration:
    """What was drawn with it. seen: prompts that are not new, with the caption that shows them. drawn: pictures that are there."""

    prompts: Sequence[str]
    seen: Sequence[tuple[str, str]]
    guidance: Sequence[float]
    wanted: int
    drawn: int


def of_data(facts: Facts) -> list[Point]:
    """The points about the pictures and their captions."""
    count, caption = facts.pictures, facts.caption
    points = [
        _point(
            "pictures",
            count >= MIN_PICTURES,
            f"{counted(count, 'picture')}; {MIN_PICTURES} to 50 or more are wanted",
            f"add {counted(MIN_PICTURES - count, 'picture')} and train again with  decal train {FOLDER} --new-run",
        ),
        _point(
            "same data",
            not facts.changed,
            "the pictures and captions are those that were trained on"
            if not facts.changed
            else f"the data set is another than the one that was trained on: {'; '.join(facts.changed)}",
            f"decal train {FOLDER} --new-run",
        ),
    ]
    told = [text for _, text in facts.captions if text.strip()]
    without, same = len(facts.captions) - len(told), len(told) - len({" ".join(text.casefold().split()) for text in told})
    points.append(
        _point(
            "captions",
            not without and not same,
            f"{counted(len(told), 'caption')}, all different"
            if not without and not same
            else f"{counted(without, 'picture')} without caption, {counted(same, 'caption')} repeated",
            f"decal caption {FOLDER}  makes those that are missing; say what is different in each picture",
        )
    )
    points.append(
        _point(
            "token limit",
            facts.longest <= facts.limit,
            f"the longest caption has {facts.longest} of {facts.limit} tokens, begin and end included",
            f"decal check {FOLDER}  names the captions and what they would lose",
        )
    )
    fewest = min((len(text.split()) for text in told), default=0)
    points.append(
        _point(
            "not too short",
            fewest >= caption.min_words and bool(told),
            f"the shortest caption has {counted(fewest, 'word')}; {caption.min_words} or more are wanted",
            "say more of what is in the picture",
        )
    )
    keyword = caption.keyword.strip()
    points.append(
        _words(facts, "keyword", (keyword,), f"decal caption {FOLDER} --add-keyword")
        if keyword
        else _point("keyword", False, "no keyword is set", f"write caption.keyword into {FOLDER}/decal.toml")
    )
    if caption.kind_words:
        points.append(_words(facts, "kind of picture", caption.kind_words, "add it to those captions"))
    else:
        points.append(_open("kind of picture", "no word for it is set", 'caption.kind_words = ["sticker"]  checks every caption for it'))
    styles = caption.style_words or ("style", *([keyword] if keyword else []))
    points.append(_words(facts, "style", styles, "add it to those captions, or set caption.style_words"))
    return [*points, _lettering(facts.lettered), _faults(facts), _private(facts)]


def of_training(training: Training, choice: Choice) -> list[Point]:
    """The points about the training, its checkpoints and the choice among them."""
    is_done = training.reached >= training.steps
    left_out = [step for step in training.checkpoints if step not in training.compared]
    made = (
        f"{counted(len(training.checkpoints), 'checkpoint')}, one every {training.checkpoint_every:,} of {counted(training.steps, 'step')}"
    )
    # What suits a small base is said, because it is not what was asked for.
    why = "" if training.steps >= 2 * USUAL_STEPS else f" (every {USUAL_STEPS} would be too few to compare)"
    is_enough = len(training.checkpoints) >= MIN_COMPARED and training.checkpoint_every <= MAX_STEPS_BETWEEN
    compared = f"{len(left_out)} of them not compared" if left_out else "all compared on the same prompts"
    every = min(USUAL_STEPS, max(1, training.steps // 4))
    remedy = f"decal compare {FOLDER}"
    if not is_done:
        remedy = f"decal train {FOLDER}  goes on; then  decal compare {FOLDER}"
    elif not is_enough:
        remedy = f"decal train {FOLDER} --new-run --set train.checkpoint_every={every}  and compare them"
    return [
        _point(
            "training",
            is_done,
            f"{training.run} has done {training.reached:,} of {counted(training.steps, 'step')}, all of them logged",
            f"decal train {FOLDER}  goes on",
        ),
        _point(
            "checkpoints",
            is_enough and not left_out,
            f"{made}{why}; {compared}",
            remedy,
        ),
        _chosen(choice),
    ]


def of_pictures(shown: Demonstration) -> list[Point]:
    """The points about what was drawn."""
    size = f"{counted(len(shown.prompts), 'prompt')} x {counted(len(shown.guidance), 'guidance scale')}"
    is_enough = len(shown.prompts) >= MIN_PROMPTS and len(shown.guidance) >= MIN_GUIDANCE
    is_drawn = shown.drawn == shown.wanted > 0
    old = f"{len(shown.seen)} of {counted(len(shown.prompts), 'prompt')} not new: " + "; ".join(
        f'"{printable(prompt)}" is in "{printable(text)}"' for prompt, text in shown.seen[:NAMED]
    )
    return [
        _point(
            "new prompts",
            bool(shown.prompts) and not shown.seen,
            old
            if shown.seen
            else f"none of {counted(len(shown.prompts), 'prompt')} is in a training caption; inference.ipynb has the nearest one",
            f"write others into {FOLDER}/prompts.txt, about things that were not trained on",
        ),
        _point(
            "pictures drawn",
            is_enough and is_drawn,
            f"{size}: {shown.drawn} of {counted(shown.wanted, 'picture')} drawn; {MIN_PROMPTS} x {MIN_GUIDANCE} are wanted",
            f"decal grid {FOLDER}"
            if is_enough
            else f"write {MIN_PROMPTS} prompts into {FOLDER}/prompts.txt, and 3 scales as grid.guidance",
        ),
    ]


def of_notebooks(is_trained: bool) -> Point:
    """The point about the notebooks: both ran, but for the cell that would go on with an unfinished training."""
    told = (
        "train.ipynb and inference.ipynb ran from top to bottom"
        if is_trained
        else "the training cell was not run, because it would train on"
    )
    return _point("notebooks", is_trained, told, f"decal train {FOLDER}  first")


def at(folder: str, points: Iterable[Point]) -> Iterator[Point]:
    """The same points for a project in that folder."""
    for point in points:
        yield point.model_copy(update={"remedy": point.remedy.replace(FOLDER, folder).replace(ADD_OCR, extras.add("ocr"))})


def lines(point: Point) -> list[str]:
    """A point as aligned lines for a terminal."""
    told = [f"  {point.mark:12} {point.name:16} {printable(point.told)}"]
    return told + ([f"{' ' * 32}-> {printable(point.remedy)}"] if point.remedy else [])


def total(points: Sequence[Point]) -> str:
    """How many points pass, in one sentence."""
    count = {mark: sum(point.mark == mark for point in points) for mark in HEADS}
    parts = [f"{count['pass']} of {counted(len(points), 'point')} fulfilled"]
    parts += [f"{count['fail']} to mend"] if count["fail"] else []
    parts += [f"{count['not checked']} not checked"] if count["not checked"] else []
    return ", ".join(parts)


def to_markdown(points: Sequence[Point]) -> str:
    """All points under their marks, what is to be mended on top."""
    text = [f"# Checklist\n\n{total(points)}.\n"]
    for mark, head in HEADS.items():
        told = [point for point in points if point.mark == mark]
        if told:
            text.append(f"\n## {head}\n\n" + "".join(_item(point) for point in told))
    return "".join(text)


def _item(point: Point) -> str:
    box = "x" if point.mark == "pass" else " "
    return f"- [{box}] **{point.name}**: {plain(point.told)}\n" + (f"  To do: {plain(point.remedy)}\n" if point.remedy else "")


def plain(text: str) -> str:
    """Text that Markdown shows as it is: captions come from strangers."""
    kept = "".join("\\" + letter if letter in "\\`*_[]|#~" else letter for letter in " ".join(printable(text).split()))
    return kept.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("$", "&#36;")


def _chosen(choice: Choice) -> Point:
    verdict = choice.verdict
    if choice.is_by_hand:
        return _point("choice", True, f"step {choice.step}, named by you", "")
    if verdict is None:
        told = f"step {choice.step} is handed in because it is the last; nothing says that it is the best"
        return _point("choice", False, told, f"decal compare {FOLDER}, or name one with  decal submit {FOLDER} --checkpoint STEP")
    is_named = verdict.outcome in ("winner", "tie") and verdict.checkpoint == choice.step
    return _point("choice", is_named, verdict.reason, f"{verdict.next}; or name one with  decal submit {FOLDER} --checkpoint STEP")


def _lettering(files: Sequence[str] | None) -> Point:
    if files is None:
        return _open("no text", "text on pictures was not looked for", ADD_OCR)
    return _point("no text", not files, _listed(files, "text", "no text on any picture"), "take text off, or leave those pictures out")


def _faults(facts: Facts) -> Point:
    errors = [finding for finding in facts.findings if finding.level == "error"]
    told = f"the check finds {counted(len(errors), 'error')}" + (f": {errors[0].file or ''} {errors[0].reason}" if errors else "")
    return _point("sound files", not errors, told, f"decal check {FOLDER}")


def _private(facts: Facts) -> Point:
    told = _listed(facts.located, "the place where it was taken", "no picture holds the place where it was taken")
    return _point("nothing private", not facts.located, told, "exiftool -gps:all= FILES  takes it out; train again with  --new-run")


def _words(facts: Facts, name: str, words: Sequence[str], remedy: str) -> Point:
    """Whether each caption holds one of the words."""
    ending = "" if name == "keyword" else "(e?s)?"
    lacking = [file for file, text in facts.captions if not captions.holds(text, words, ending=ending)]
    word = " or ".join(words)
    told = f"{word} in every caption" if not lacking else f"{word} is missing in {counted(len(lacking), 'caption')}: {_some(lacking)}"
    return _point(name, bool(facts.captions) and not lacking, told if facts.captions else "there is no caption", remedy)


def _listed(files: Sequence[str], what: str, otherwise: str) -> str:
    return f"{what} on {counted(len(files), 'picture')}: {_some(files)}" if files else otherwise


def _some(files: Sequence[str]) -> str:
    return ", ".join(files[:NAMED]) + (f" and {len(files) - NAMED:,} more" if len(files) > NAMED else "")


def _point(name: str, is_met: bool, told: str, remedy: str) -> Point:
    return Point(name=name, mark="pass" if is_met else "fail", told=told, remedy="" if is_met else remedy)


def _open(name: str, told: str, remedy: str) -> Point:
    return Point(name=name, mark="not checked", told=told, remedy=remedy)
