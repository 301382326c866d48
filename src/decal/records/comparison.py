"""Lines of a comparison: what checkpoints are compared on, what was measured, what people say, and the verdict."""

from typing import Literal

from decal.records.dataset import Fit, Split
from decal.records.line import Line

Role = Literal["objective", "guardrail", "information", "skipped"]
Place = Literal["chosen", "tied", "open", "beaten", "rejected", "dropped", "broken"]

Outcome = Literal["winner", "tie", "undecided", "none"]
Answer = Literal["left", "right", "same"]

Group = Literal["own", "new subject", "new combination", "in-domain"]


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
