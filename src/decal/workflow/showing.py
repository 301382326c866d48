"""Posts from beginning to end on what comes with Decal: invented posts, the sample's pictures, the small base."""

from collections.abc import Iterator
from pathlib import Path

from decal import project
from decal.events import Event, Stop, Told
from decal.posts.downloads import Downloader
from decal.project import Project
from decal.settings import read, to_toml
from decal.workflow.answering import PostWish, draw_posts
from decal.workflow.beginning import SAMPLE, SAMPLE_KEYWORD
from decal.workflow.choice import Choice
from decal.workflow.illustrating import build_posts, get_pictures
from decal.workflow.planning import plan_posts
from decal.workflow.posting import PostOrder, begin_posts, import_posts
from decal.workflow.training import train

SAMPLE_POSTS = Path(__file__).parents[1] / "mini" / "posts"
# Half of what the preset takes, so that it ends within ten minutes on two cores that others use too; LOG.md, posts.
STEPS = 150


def demo_posts(folder: Path, stop: Stop) -> Iterator[Event]:
    """Import, plan, pictures, data set, training, and pictures for new posts; skips what is done."""
    order = PostOrder(SAMPLE_POSTS / "posts.csv", {}, keyword=SAMPLE_KEYWORD)
    is_new = not Project(folder).settings.exists()
    at = begin_posts(folder, order)
    if is_new:
        table = read(at.settings).model_dump(exclude_unset=True)
        table["caption"]["template"] = "{keyword} style sticker of {subject}, thick outline"
        table["train"] = {"steps": STEPS, "checkpoint_every": STEPS}
        project.write_text(at.settings, to_toml(table))
    settings = read(at.settings)
    yield Told("1 of 6: the table of posts")
    yield from import_posts(at, settings, order, stop)
    yield Told("2 of 6: what is drawn for each")
    yield from plan_posts(at, settings, stop)
    yield Told("3 of 6: the pictures that the posts had")
    yield from get_pictures(at, SAMPLE, Downloader(), stop)
    yield Told("4 of 6: the data set")
    yield from build_posts(at, settings, stop)
    yield Told("5 of 6: training")
    yield from train(at, settings, Choice(), stop)
    yield Told("6 of 6: candidates for new posts")
    yield from draw_posts(at, settings, Choice(), PostWish(SAMPLE_POSTS / "new_posts.csv", {}, count=4, step=None, seed=0), stop)
