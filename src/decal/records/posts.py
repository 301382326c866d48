"""Lines about posts: the table, the plan of what is drawn, what likes teach, and what drawn pictures reach."""

from typing import Literal

from decal.records.drawing import Cell
from decal.records.line import Line

PostStatus = Literal["kept", "empty", "faulty"]
Side = Literal["train", "unseen account", "unseen time", "apart"]

Engagement = Literal["low", "medium", "high"]


class PostMedia(Line):
    """A picture that hangs on a post, or the still of a film. url: as the table has it, not opened yet."""

    kind: Literal["photo", "video", "gif"]
    url: str


class Post(Line):
    """One row of a table of posts; a line of `posts/rows/`.

    number: of the row, from 1. status: kept; empty where it says nothing; faulty where the row cannot be read. notes: what is odd, as
    `likes: negative`. original: the text as it stood. text: its words, without hashtags at the end, which are in hashtags, as words.
    emoji: by name. language: two letters, or und. is_company_doubtful: the inferred company is only a small part of the account's name.
    date: ISO 8601 in UTC; None, like likes, where it makes no sense.
    """

    number: int
    id: str
    status: PostStatus
    notes: tuple[str, ...]
    original: str
    text: str = ""
    hashtags: tuple[str, ...] = ()
    emoji: tuple[str, ...] = ()
    language: str = "und"
    account: str = ""
    company: str = ""
    is_company_doubtful: bool = False
    date: str | None = None
    likes: int | None = None
    media: tuple[PostMedia, ...] = ()


class PostTable(Line):
    """The table that posts come from; `posts/import.json`.

    where: as it was named. columns: its own name of each column that was understood; unused: the others. begun: when the first import
    began, ISO 8601; later dates are in the future. rows: None until all were read.
    """

    where: str
    kind: str
    sha256: str
    columns: dict[str, str]
    unused: tuple[str, ...] = ()
    begun: str
    rows: int | None = None


class PostPlace(Line):
    """Where a post stands among all; a line of `posts/places/`.

    side: trained on; kept out because its account or its time is unseen; or apart, because it nearly repeats one that is kept out.
    alike: number of the first post that it nearly repeats, its own where it is the first. engagement: its likes among those of its own
    account; None where the account has too few posts in training.
    """

    number: int
    side: Side
    alike: int
    engagement: Engagement | None = None


class Shard(Line):
    """A part of a stage of posts that is whole: `NNNNN.json` beside `NNNNN.jsonl`.

    input_sha256: of what it was made from. config_sha256: of how. sha256: of its lines. counts: what is worth counting in them.
    """

    shard: int
    rows: int
    input_sha256: str
    config_sha256: str
    sha256: str
    counts: dict[str, int]


class PromptPlan(Line):
    """What is drawn for a post; a line of `posts/plans/`.

    number: of the post. status: skipped where the post says nothing or cannot be read; reason: why. evidence: what of the post the subject
    was found in. prompt: for a base; caption: for training, with the keyword. tokens: of the longer one, BOS and EOS included. cut: what
    had to go to fit. writer: grammar, seed or the model's name. fallback: why the grammar wrote it where a model was asked. seed_tokens,
    seed_lost: of the seed's own sentence for this post, and which of its parts the encoder would never see.
    """

    number: int
    status: Literal["planned", "skipped"]
    reason: str = ""
    goal: str = ""
    mood: str = ""
    subject: str = ""
    setting: str = ""
    palette: str = ""
    evidence: str = ""
    prompt: str = ""
    caption: str = ""
    negative: str = ""
    tokens: int = 0
    cut: tuple[str, ...] = ()
    writer: str = ""
    fallback: str = ""
    seed_tokens: int = 0
    seed_lost: tuple[str, ...] = ()

    @property
    def is_understood(self) -> bool:
        """Whether it says anything of the post; the rules put a stand-in where they know no word of it."""
        return self.evidence != "nothing" or self.writer != "grammar"


class PostPicture(Line):
    """What came of the picture of a post; a line of `posts/pictures/`.

    status: there; gone; noai where its host asks not to train on it; refused where it is not asked for or is no picture; failed where it
    may go well another time. file: relative to `posts/files/`. came_from: the address, or the file's name in a folder.
    """

    number: int
    kind: Literal["photo", "video", "gif"]
    status: Literal["there", "gone", "noai", "refused", "failed"]
    reason: str = ""
    came_from: str
    file: str = ""
    sha256: str = ""
    width_px: int = 0
    height_px: int = 0


class PostRow(Line):
    """A picture of a post in the data set; a line of `posts/built/`.

    file: relative to `dataset/`. sha256: of the picture that the post had. cut: the window of it that is in the data set, as left, top,
    right and bottom in px; None where it is all there. crops: the window of each shape in the picture of the data set.
    """

    number: int
    file: str
    sha256: str
    width_px: int
    height_px: int
    caption: str
    post: str
    account: str
    company: str
    date: str | None
    engagement: Engagement | None
    came_from: str
    shape: str
    cut: tuple[int, int, int, int] | None
    crops: dict[str, tuple[int, int, int, int]]


class PostDrawing(Line):
    """A picture drawn for a new post; a line of `posts/drawn.jsonl`.

    post: hash of the post's text and account, which says whether it was drawn before. number: of the candidate, from 1; 0 for what the base
    draws of the prompt, which candidates are held against. adapter: hash of the LoRA's bytes, "" for the base alone. file: relative to the
    project.
    """

    post: str
    number: int
    cell: Cell
    base: str
    adapter: str
    file: str
    sha256: str


class EngagementFigure(Line):
    """How well likes were predicted; part of `posts/engagement.json`.

    predictor: constant, account mean, ridge, boosting, without picture, picture alone, or shuffled (picture alone, learnt from likes that
    were shuffled within each account). split: accounts in turn (each predicted from the others), kept-out accounts, or kept-out time.
    measure: spearman (within the account, the mean over accounts by their posts), r2 (of log(1 + likes), overall), gain (r2 above that of
    the account mean, paired) or slope (of what came on what was predicted, within the account; 1 is right). value: None where there is
    none. low, high: its 95 % interval over whole accounts, None where those are too few for one; of shuffled, the mean and the spread of
    several shuffles.
    """

    predictor: str
    split: str
    measure: str
    value: float | None
    low: float | None
    high: float | None
    accounts: int
    posts: int


class EngagementReport(Line):
    """What was learnt of an audience; `posts/engagement.json`.

    posts, accounts: that were learnt from and tested on. published: variants that were learnt from as well, and tested on nowhere. is_told:
    whether pictures alone rank the posts of accounts that nothing was learnt from. reason: why, or why not, in a sentence. calibration: for
    fifths of the posts by what the picture alone predicts, what was predicted and what came, as log(1 + likes) above the account's level.
    made_of: of what, for the test whether anything changed.
    """

    posts: int
    published: int = 0
    accounts: int
    embedder: str
    is_told: bool
    reason: str
    figures: tuple[EngagementFigure, ...]
    calibration: tuple[tuple[float, float], ...]
    made_of: str


class PostVariant(Line):
    """A candidate for a new post as it may be published; a line of `posts/new/*/variants.jsonl`.

    variant: its id, the same for the same picture of the same post. drawing: the folder of the table that it was drawn for. post: id of the
    post in that table, where two tables may call different posts the same, such as row-1. company: of the account, "" where it is not
    known for sure. file: relative to the project. fit: share of
    the other prompts that it is farther from; adds: what it adds to log(1 + likes) by the audience; None where they cannot be told. rank:
    among the candidates of its post, from 1. bucket: what the audience is expected to make of it. reason: in a sentence.
    """

    variant: str
    drawing: str
    post: str
    account: str
    company: str = ""
    number: int
    file: str
    sha256: str
    prompt: str
    seed: int
    checkpoint: int
    fit: float | None
    adds: float | None
    rank: int
    standing: Literal["best", "good", "out"]
    bucket: Engagement | None
    reason: str


class ObservedLikes(Line):
    """What people made of a variant that was published; a line of `posts/observed.jsonl`.

    drawing, rank: among whose candidates it was ranked, before any of them was observed; what is learnt from likes may order them anew, and
    must not be held against those very likes; ranks of two drawings do not compare. rank: None where nothing was expected, neither by fit
    nor by likes, and candidates stood as they were drawn. likes: None for one that stands here for its rank alone.
    """

    variant: str
    drawing: str
    rank: int | None
    likes: int | None


Bounds = tuple[float | None, float | None, float | None]
"""A value and its 95 % interval over whole posts; None where it cannot be told."""


class AppraisedWay(Line):
    """A way to draw posts. fit: mean share of other prompts that pictures are farther from. high: share of the chosen that are high."""

    name: str
    what: str
    fit: Bounds
    high: Bounds


class AppraisedDifference(Line):
    """One way against another on the same posts. measure: fit, or adds (to log(1 + likes), as the ranker expects)."""

    name: str
    measure: str
    value: float | None
    low: float | None
    high: float | None
    outcome: Literal["better", "worse", "cannot be told"]


class AppraisedTarget(Line):
    """A declared target. name: high (share of the chosen pictures that count as high) or fit (their mean). wanted: 0..1."""

    name: str
    wanted: float
    value: float | None
    low: float | None
    high: float | None
    outcome: Literal["reached", "missed", "cannot be told"]
    reason: str


class AppraisedPost(Line):
    """A kept-out post with the picture that was chosen in each way, relative to the project."""

    post: str
    text: str
    prompt: str
    files: dict[str, str]


class Appraisal(Line):
    """What pictures of posts reach; `posts/appraisal.json`. drawn_with: base and checkpoint. made_of: of what, for the second call."""

    posts: int
    candidates: int
    drawn_with: str
    is_told: bool
    reason: str
    targets: tuple[AppraisedTarget, ...]
    ways: tuple[AppraisedWay, ...]
    differences: tuple[AppraisedDifference, ...]
    shown: tuple[AppraisedPost, ...]
    made_of: str
