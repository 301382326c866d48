"""The story: one function a command, in the order of a project's life. Read these files first, from top to bottom of the list below.

Each function does the same four things: read what is there, ask a room for the rest, append each record as it comes, and pass it on.
torch is imported inside the functions that need it, so that looking at a project stays instant.
"""

from decal.workflow.answering import PostWish, draw_posts
from decal.workflow.appraising import Report, report_posts
from decal.workflow.beginning import CANDIDATES, SAMPLE_KEYWORD, Order, describe, draw_candidates, new, pick, sample_order
from decal.workflow.benching import BenchWish, measure_training
from decal.workflow.checking import (
    LOOKED_AT_UNASKED,
    SHEET,
    check,
    check_in_place,
    complete,
    draw_findings,
    fix,
    for_guests,
    guest_settings,
    look_closer,
    was_looked_at,
)
from decal.workflow.choice import Choice, settings_of
from decal.workflow.choosing import compare
from decal.workflow.compat import foresee, train_as_typed
from decal.workflow.data import Captioned, caption, edit, export_dataset, translate, undo_edit, write_txt
from decal.workflow.drawing import Wish, draw, draw_grid
from decal.workflow.everything import doctor, run
from decal.workflow.exchange import export_adapter, import_adapter
from decal.workflow.finished import Finished, take_in
from decal.workflow.following import follow, let_go
from decal.workflow.illustrating import build_posts, get_pictures
from decal.workflow.learning import learn_posts
from decal.workflow.meaning import draw_keyword
from decal.workflow.observing import observe_posts
from decal.workflow.planning import plan_posts
from decal.workflow.posting import PostOrder, begin_posts, import_posts
from decal.workflow.probing import probe
from decal.workflow.publishing import Target, publish
from decal.workflow.rehearsal import rehearse
from decal.workflow.reporting import write_report
from decal.workflow.searching import search
from decal.workflow.showing import demo_posts
from decal.workflow.submitting import submit
from decal.workflow.training import train
from decal.workflow.voting import join_votes, vote

__all__ = [
    "CANDIDATES",
    "LOOKED_AT_UNASKED",
    "SAMPLE_KEYWORD",
    "SHEET",
    "BenchWish",
    "Captioned",
    "Choice",
    "Finished",
    "Order",
    "PostOrder",
    "PostWish",
    "Report",
    "Target",
    "Wish",
    "begin_posts",
    "build_posts",
    "caption",
    "check",
    "check_in_place",
    "compare",
    "complete",
    "demo_posts",
    "describe",
    "doctor",
    "draw",
    "draw_candidates",
    "draw_findings",
    "draw_grid",
    "draw_keyword",
    "draw_posts",
    "edit",
    "export_adapter",
    "export_dataset",
    "fix",
    "follow",
    "for_guests",
    "foresee",
    "get_pictures",
    "guest_settings",
    "import_adapter",
    "import_posts",
    "join_votes",
    "learn_posts",
    "let_go",
    "look_closer",
    "measure_training",
    "new",
    "observe_posts",
    "pick",
    "plan_posts",
    "probe",
    "publish",
    "rehearse",
    "report_posts",
    "run",
    "sample_order",
    "search",
    "settings_of",
    "submit",
    "take_in",
    "train",
    "train_as_typed",
    "translate",
    "undo_edit",
    "vote",
    "was_looked_at",
    "write_report",
    "write_txt",
]
