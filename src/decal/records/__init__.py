"""The nouns: frozen types that cross a file, and nothing else.

Each is one line of a `.jsonl` file in a project. Paths inside are relative to the project (or to the run, where said), with `/`.
Unknown fields are refused, so that a file of another version is noticed and not half understood.
"""

from decal.records.comparison import (
    Agreement,
    Answer,
    Favour,
    Fresh,
    Gap,
    Gauge,
    Group,
    Otherwise,
    Outcome,
    People,
    Place,
    Reference,
    Rival,
    Role,
    Score,
    Standing,
    Suite,
    SuitePrompt,
    Suspect,
    Trial,
    Value,
    Verdict,
    Vote,
)
from decal.records.dataset import Candidate, Description, Finding, Fit, Level, Pick, Record, Source, Split, Start
from decal.records.drawing import Cell, Generation
from decal.records.handin import HandIn, Mark, Point
from decal.records.line import Line
from decal.records.posts import (
    Appraisal,
    AppraisedDifference,
    AppraisedPost,
    AppraisedTarget,
    AppraisedWay,
    Bounds,
    Engagement,
    EngagementFigure,
    EngagementReport,
    ObservedLikes,
    Post,
    PostDrawing,
    PostMedia,
    PostPicture,
    PostPlace,
    PostRow,
    PostStatus,
    PostTable,
    PostVariant,
    PromptPlan,
    Shard,
    Side,
)
from decal.records.training import Checkpoint, Probe, ProbedSteps, Rung, RungKind, Step

__all__ = [
    "Agreement", "Answer", "Appraisal", "AppraisedDifference", "AppraisedPost", "AppraisedTarget", "AppraisedWay", "Bounds",
    "Candidate", "Cell", "Checkpoint", "Description", "Engagement", "EngagementFigure", "EngagementReport", "Favour", "Finding", "Fit",
    "Fresh", "Gap", "Gauge", "Generation", "Group", "HandIn", "Level", "Line", "Mark", "ObservedLikes", "Otherwise", "Outcome",
    "People", "Pick", "Place", "Point", "Post", "PostDrawing", "PostMedia", "PostPicture", "PostPlace", "PostRow", "PostStatus",
    "PostTable", "PostVariant", "Probe", "ProbedSteps", "PromptPlan", "Record", "Reference", "Rival", "Role", "Rung", "RungKind", "Score",
    "Shard", "Side", "Source", "Split", "Standing", "Start", "Step", "Suite", "SuitePrompt", "Suspect", "Trial", "Value", "Verdict", "Vote",
]  # fmt: skip
