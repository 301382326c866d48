"""The nouns: frozen types that cross a file, and nothing else.

Each is one line of a `.jsonl` file in a project. Paths inside are relative to the project (or to the run, where said), with `/`.
Unknown fields are refused, so that a file of another version is noticed and not half understood.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Level = Literal["error", "warning", "note"]
Split = Literal["train", "holdout"]
Role = Literal["objective", "guardrail", "information", "skipped"]
Place = Literal["chosen", "tied", "open", "beaten", "rejected", "dropped", "broken"]
Outcome = Literal["winner", "tie", "undecided", "none"]
Answer = Literal["left", "right", "same"]
Group = Literal["own", "new subject", "new combination", "in-domain"]
Mark = Literal["pass", "fail", "not checked"]

Fit = Literal["pad", "crop", "bucket"]


class Line(BaseModel):
    """A record that is one JSON line."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Record(Line):
    """One picture with its caption, fit to train on.

    file: relative to `dataset/`. sha256: of the file's bytes, hex. Sizes are after the EXIF rotation.
    other_captions: where the picture has several, those after the first. repeats: how often it is shown while others are shown once.
    """

    file: str
    sha256: str
    width_px: int
    height_px: int
    caption: str
    split: Split
    other_captions: tuple[str, ...] = ()
    repeats: int = 1

    @property
    def captions(self) -> tuple[str, ...]:
        return (self.caption, *self.other_captions)


class Source(Line):
    """Where pictures of a project come from; a line of `sources.jsonl`, written once by `decal new`.

    kind: folder, picture, zip, table, kohya, concepts, parquet, webdataset or hub. where: the path or the address as it was given.
    revision: the commit on the hub. licence: as the source states it. Both are None where the source says nothing.
    pictures: how many came.
    """

    kind: str
    where: str
    revision: str | None = None
    licence: str | None = None
    pictures: int


class Start(Line):
    """The LoRA of another tool that a run begins with; `start.json` in the run, its factors beside it.

    file: its name, without folders. sha256: of its bytes. factors_sha256: of the file beside. targets: attention or all where its layers
    are just those, else imported. layers: how many. raised: how many of them were brought to the rank of the largest.
    """

    file: str
    sha256: str
    factors_sha256: str
    rank: int
    targets: Literal["attention", "all", "imported"]
    layers: int
    raised: int


class Finding(Line):
    """One thing that the data check has to say.

    check: the name of the check that found it. file: relative to `dataset/`; None where the finding is about the whole set.
    line: of `metadata.jsonl` or `metadata.csv`, from 1, where it is about a row.
    """

    level: Level
    check: str
    file: str | None = None
    line: int | None = None
    reason: str
    remedy: str


class Step(Line):
    """One optimizer step.

    step: from 1; step 0 holds only the hold-out loss of the base. attempt: rises by one whenever the run is resumed.
    loss: mean over the batch; None at step 0 and where it was not finite. grad_norm: before clipping; None likewise.
    is_skipped: the loss or the gradient was not finite, and the weights were left alone.
    holdout_loss: mean over the held-out pictures on fixed noise and timesteps; None where it was not measured.
    holdout_losses: the same of each held-out picture, in the order of the run's `dataset.jsonl`; empty where it was not measured.
    seconds: wall time of the step, without drawing and saving.
    """

    step: int
    attempt: int
    epoch: int
    loss: float | None
    grad_norm: float | None
    learning_rate: float
    seconds: float
    is_skipped: bool = False
    holdout_loss: float | None = None
    holdout_losses: tuple[float, ...] = ()


class Checkpoint(Line):
    """One saved adapter.

    file: the portable LoRA file, relative to the run. sha256: of its bytes. state_sha256: of the file to go on from.
    """

    step: int
    attempt: int
    file: str
    sha256: str
    state_sha256: str
    holdout_loss: float | None


class Cell(Line):
    """One picture to be drawn; two cells with the same fields give the same picture.

    guidance: classifier-free guidance scale; at 1 or below there is no unconditional pass.
    checkpoint: step of the adapter; 0 is the base without one. lora_strength: factor on the adapter.
    image_sha256, image_strength: for image-to-image, the picture to start from and the share of the steps that redraw it, 0..1.
    """

    prompt: str
    negative: str = ""
    guidance: float
    seed: int
    steps: int
    sampler: Literal["ddim", "euler", "euler_a", "dpm++"]
    width_px: int
    height_px: int
    checkpoint: int
    lora_strength: float = 1.0
    image_sha256: str | None = None
    image_strength: float | None = None


class Generation(Line):
    """One drawn picture.

    fingerprint: of the cell, the base and the adapter's bytes. file: relative to the run. seconds: the picture's share of its batch.
    is_broken: what came out is not finite, so the file shows nothing.
    """

    cell: Cell
    fingerprint: str
    file: str
    sha256: str
    seconds: float
    is_broken: bool = False


class Description(Line):
    """One picture that is wanted; a line of `descriptions.jsonl`, which a person may edit.

    number: from 1, never given twice. kind: of subject. aspect: its mood or colour. content: what is to be seen. caption: what the picture
    is trained with. prompt: what candidates are drawn with. tokens: of the caption, BOS and EOS included. writer: grammar, or the model.
    """

    number: int
    kind: str
    subject: str
    aspect: str
    content: str
    caption: str
    prompt: str
    tokens: int
    writer: str


class Candidate(Line):
    """One picture that was drawn for a description, to be chosen or not.

    number: of the candidate within its description, from 1. file: relative to the project. base, base_sha256: the base it was drawn with
    and the hash of its files. licence: of that base.
    """

    description: int
    number: int
    cell: Cell
    file: str
    sha256: str
    base: str
    base_sha256: str
    licence: str


class Pick(Line):
    """What was chosen for a description: numbers of its candidates, none where it was skipped. seen: how many there were to choose from."""

    description: int
    numbers: tuple[int, ...]
    seen: int


class SuitePrompt(Line):
    """One prompt that checkpoints are compared on.

    text: what is drawn. scored: the same without keyword, kind and style words, for models that hold pictures against text.
    group: own where it stands in `compare_prompts.txt`; else what it asks for, a subject or a combination that no caption shows, or a
    subject of the captions in another state.
    """

    text: str
    scored: str
    group: Group


class Reference(Line):
    """One of the user's pictures, which drawn ones are compared with. file: relative to `dataset/`. sha256: of its bytes."""

    file: str
    sha256: str
    caption: str
    split: Split


class Rival(Line):
    """A checkpoint that is compared. sha256: of its portable file."""

    checkpoint: int
    sha256: str


class Suite(Line):
    """What checkpoints are compared on; `suite.json`, written before anything is scored.

    frozen: UTC, ISO 8601. prompts: in the order in which they are drawn. drift_probe: prompts without the keyword; copy_probe: training
    captions; both are drawn with probe_seeds. seeds: of the checkpoints. base_seeds: of the base; begins with seeds. fresh_seeds: to
    measure the chosen one again. strength: of the LoRA. ground, fit: how references become square. base: its name; base_sha256: of its
    files. embedder: its name and the hash of its weights. reader: the same of the model that holds pictures against text; None without.
    """

    frozen: str
    prompts: tuple[SuitePrompt, ...]
    drift_probe: tuple[str, ...]
    copy_probe: tuple[str, ...]
    seeds: tuple[int, ...]
    base_seeds: tuple[int, ...]
    fresh_seeds: tuple[int, ...]
    probe_seeds: tuple[int, ...]
    guidance: float
    strength: float
    sampler: Literal["ddim", "euler", "euler_a", "dpm++"]
    steps: int
    negative: str
    width_px: int
    height_px: int
    ground: str
    fit: Fit
    references: tuple[Reference, ...]
    rivals: tuple[Rival, ...]
    base: str
    base_sha256: str
    embedder: str
    reader: str | None
    versions: dict[str, str]


class Point(Line):
    """One point of the checklist of a hand-in.

    mark: not checked where something is missing that could tell. told: what was found, with the figure. remedy: what to do; "" where it
    passes.
    """

    name: str
    mark: Mark
    told: str
    remedy: str = ""


class HandIn(Line):
    """`hand-in.json`, what a hand-in holds. fingerprint: of all it was made from. files: sha256 by name, of all but this one."""

    run: str
    checkpoint: int
    fingerprint: str
    points: tuple[Point, ...]
    files: dict[str, str]


class Score(Line):
    """What one measure says of one drawn picture. checkpoint: 0 for the base; prompt: as in the suite."""

    measure: str
    checkpoint: int
    prompt: str
    seed: int
    value: float


class Gauge(Line):
    """What became of a measure on the data at hand. reason: why it was skipped, or only informs because it failed its test."""

    measure: str
    role: Role
    reason: str | None


class Value(Line):
    """What one measure says of one checkpoint. low, high: 95 % interval. scaled: of an objective, 0 for the base's style or for chance, 1
    for a perfect match or for the base's adherence; scaled_low, scaled_high: the interval on that scale.
    """

    measure: str
    value: float
    low: float
    high: float
    scaled: float | None = None
    scaled_low: float | None = None
    scaled_high: float | None = None


class Gap(Line):
    """By how much one checkpoint's utility is above another's. low, high: paired 95 % interval; error: paired standard error."""

    gap: float
    low: float
    high: float
    error: float


class Standing(Line):
    """How one checkpoint came out.

    place: the chosen one; tied with it; open where the pictures cannot tell; beaten; rejected by a guardrail; dropped early in the race;
    broken where its pictures cannot be used. reasons: why it was rejected, dropped or is broken. pictures: how many it was judged by.
    utility: None where it was not in the comparison; low, high: its 95 % interval. behind: the best one. best_share: of the resamples in
    which it is the best. is_on_front: no other is surely better in one objective or diversity and no worse in the others.
    """

    checkpoint: int
    place: Place
    reasons: tuple[str, ...]
    pictures: int
    utility: float | None
    low: float | None
    high: float | None
    behind: Gap | None
    values: tuple[Value, ...]
    best_share: float
    is_on_front: bool


class Otherwise(Line):
    """Which checkpoint would be chosen otherwise. how: what is done otherwise."""

    how: str
    checkpoint: int


class Suspect(Line):
    """A drawn picture that may repeat a training picture. ratio: 0 for an exact copy. is_certain: far nearer than chance allows."""

    checkpoint: int
    prompt: str
    seed: int
    file: str
    ratio: float
    is_certain: bool


class Fresh(Line):
    """What the chosen checkpoint and its neighbours are worth on seeds that did not choose them."""

    checkpoint: int
    utility: float
    low: float
    high: float


class Trial(Line):
    """What a checkpoint is worth at one guidance and strength of the LoRA, on the first prompts of the suite.

    style, adherence: scaled, None where they were not measured. low, high: 95 % interval of the utility. better: by how much it is above
    the suite's own guidance and strength; None for these. complaints: of guardrails.
    """

    checkpoint: int
    guidance: float
    strength: float
    pictures: int
    utility: float
    low: float
    high: float
    style: float | None
    adherence: float | None
    better: Gap | None
    complaints: tuple[str, ...]


class Vote(Line):
    """What a person said of two pictures of one prompt and seed; a line of `votes.jsonl`.

    ballot: names the pair of pictures; of several votes on it the last counts. left, right: the checkpoints as they were shown.
    left_sha256, right_sha256: of the pictures' files. shuffle: the seed of the order of ballots and of the sides. cast: UTC, ISO 8601.
    """

    ballot: str
    prompt: str
    seed: int
    left: int
    right: int
    left_sha256: str
    right_sha256: str
    answer: Answer
    shuffle: int
    cast: str


class Favour(Line):
    """How a checkpoint stands with people. place: what the measures alone say of it. won, lost, same: votes.

    worth: by people and measures together, on the scale of the utility; low, high: its 95 % interval. best_share: chance that it is the
    best of those voted on; best_share_before: the same before any vote.
    """

    checkpoint: int
    place: Place
    won: int
    lost: int
    same: int
    worth: float
    low: float
    high: float
    best_share: float
    best_share_before: float


class Agreement(Line):
    """In how many votes people prefer what a measure prefers. of: votes in which both prefer one. low, high: 95 % interval of the share."""

    measure: str
    agreed: int
    of: int
    low: float
    high: float


class People(Line):
    """What votes add to a verdict. same: votes without a preference. measured, measured_outcome: what the measures alone say."""

    votes: int
    same: int
    measured: int
    measured_outcome: Outcome
    favours: tuple[Favour, ...]
    agreements: tuple[Agreement, ...]


class Verdict(Line):
    """Which checkpoint to keep; `verdict.json`.

    outcome: winner where all others are beaten or rejected; tie where others are as good as far as it matters; undecided where the pictures
    cannot tell; none where no checkpoint is fit. checkpoint: the one to keep, the best guess of an undecided comparison; None for none.
    best: of the highest utility. earliest: within min(1 standard error, delta) of it. tied, open: the others that are not beaten.
    runner_up, lead: the best of the others that were not rejected, and how far it is behind. prompts_needed: how many more would decide,
    None where nothing is open or prompts alone cannot. reason: sentences; next: what to do, with the command. picks: with other weights or
    without one measure. prompts, seeds, references: how many. resamples, seed: of the bootstrap. trials: other guidances and strengths;
    guidance, strength: what to draw the chosen one with, None where nothing was tried; guidances: the lowest and the highest at which
    it is about as good. suite: fingerprint of what was compared; made_of: of that and of every picture.
    people: what votes add; then checkpoint, outcome and the places of standings say what people and measures find together.
    """

    outcome: Outcome
    checkpoint: int | None
    best: int | None
    earliest: int | None
    tied: tuple[int, ...]
    open: tuple[int, ...]
    runner_up: int | None
    lead: Gap | None
    prompts_needed: int | None
    reason: str
    next: str
    gauges: tuple[Gauge, ...]
    standings: tuple[Standing, ...]
    picks: tuple[Otherwise, ...]
    suspects: tuple[Suspect, ...]
    fresh: tuple[Fresh, ...] = ()
    prompts: int
    seeds: int
    references: int
    resamples: int
    seed: int
    people: People | None = None
    trials: tuple[Trial, ...] = ()
    guidance: float | None = None
    strength: float | None = None
    guidances: tuple[float, float] | None = None
    suite: str = ""
    made_of: str = ""


PostStatus = Literal["kept", "empty", "faulty"]
Side = Literal["train", "unseen account", "unseen time", "apart"]
Engagement = Literal["low", "medium", "high"]


class ProbedSteps(Line):
    """What a number of steps gives without an adapter and with it, the latter second; see `scores.few_steps.Health`.

    sharper, nearer: against many steps, the mean and the ends of its 95 % interval.
    """

    steps: int
    sharpness: tuple[float, float]
    adherence: tuple[float, float]
    distance: float
    sharper: tuple[float, float, float]
    nearer: tuple[float, float, float]
    is_lost: bool


class Probe(Line):
    """Whether a checkpoint kept the few steps of its base; `probe.json` of a run. made_of: fingerprint of cells, base and adapter."""

    checkpoint: int
    sampler: str
    guidance: float
    prompts: int
    rows: tuple[ProbedSteps, ...]
    made_of: str


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

    where: as it was named. columns: its own name of each column that was understood. begun: when the first import began, ISO 8601; later
    dates are in the future. rows: None until all were read.
    """

    where: str
    kind: str
    sha256: str
    columns: dict[str, str]
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

    posts, accounts: that were learnt from and tested on. is_told: whether pictures alone rank the posts of accounts that nothing was learnt
    from. reason: why, or why not, in a sentence. calibration: for fifths of the posts by what the picture alone predicts, what was
    predicted and what came, as log(1 + likes) above the account's level. made_of: of what, for the test whether anything changed.
    """

    posts: int
    accounts: int
    embedder: str
    is_told: bool
    reason: str
    figures: tuple[EngagementFigure, ...]
    calibration: tuple[tuple[float, float], ...]
    made_of: str


class PostVariant(Line):
    """A candidate for a new post as it may be published; a line of `posts/new/*/variants.jsonl`.

    variant: its id, the same for the same picture of the same post. post: id of the post. file: relative to the project. fit: share of
    the other prompts that it is farther from; adds: what it adds to log(1 + likes) by the audience; None where they cannot be told. rank:
    among the candidates of its post, from 1. bucket: what the audience is expected to make of it. reason: in a sentence.
    """

    variant: str
    post: str
    account: str
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
    """What people made of a variant that was published; a line of `posts/observed.jsonl`."""

    variant: str
    likes: int


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
