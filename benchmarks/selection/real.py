"""How well the verdict names the checkpoint to keep, on real trainings of the embedded base.

    python benchmarks/selection/real.py draw WORK [--style STYLE] [--recipe NAME] [--cores 2]
    python benchmarks/selection/real.py judge WORK [--style STYLE] [--recipe NAME]
    python benchmarks/selection/real.py tell FILE

draw trains, draws and judges what is not there yet; with several cores, so many trainings at a time, each bound to a core. judge judges
what is drawn once more, for a method that has changed. Both write WORK/STYLES.jsonl, number by number, and print the tables that tell makes
of such a file. README.md has the plan, which was written before any result was seen.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from queue import Queue

import numpy as np
from plan import DEVELOPMENT, JUDGED_SEEDS, MEASURED_SEEDS, RECIPES, SEEN, TESTS, Training, pictures, trainings
from regrets import ACCEPTABLE, Numbers, differs, given_away, mean_over_styles, regret
from results import Judged
from trained import draw, is_whole, train
from verdicts import BASELINES, Seeds, judged

from decal import project
from decal.project import Project

Loss = Callable[[Judged, Numbers, int | None], float]
RULES = ("verdict", "earliest", *BASELINES, "best on what is seen")


def main() -> None:
    """Train, draw, judge, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("draw", "judge", "tell"))
    parser.add_argument("work", type=Path, help="folder that keeps what was trained and drawn, or a file of results")
    names = [recipe.name for recipe in RECIPES]
    parser.add_argument("--style", action="append", choices=(*TESTS, *DEVELOPMENT, *SEEN), help="the three test styles where left out")
    parser.add_argument("--recipe", action="append", choices=names, help="all of them where left out")
    parser.add_argument("--cores", type=int, default=1, help="trainings at a time")
    parser.add_argument("--quiet", action="store_true", help="draw and print no tables")
    given = parser.parse_args()
    if given.what == "tell":
        print("\n".join(table(project.read(given.work, Judged))))
        return
    # Whole recipes first, for all styles, so that a run which is cut short keeps those.
    jobs = [(style, recipe) for recipe, style in product(given.recipe or names, given.style or TESTS)]
    planned = {style: {one.recipe.name: one for one in _plan(given.work, style)} for style in dict.fromkeys(style for style, _ in jobs)}
    wanted = [planned[style][recipe] for style, recipe in jobs]
    if given.what == "draw" and given.cores > 1:
        _draw_at_once(given.work, jobs, given.cores)
    elif given.what == "draw":
        for training in wanted:
            _draw(given.work, training)
        if given.quiet:
            return
    else:
        for training in wanted:
            if is_whole(training, Project(given.work / training.name)):
                _judge(given.work, training)
    found = [one for training in wanted if (one := project.read_record(_kept(given.work, training), Judged)) is not None]
    project.write_lines(given.work / f"{'-'.join(planned)}.jsonl", found)
    print("\n".join(table(found)))


def table(found: Sequence[Judged]) -> Iterator[str]:
    """Every training, then what each rule loses."""
    yield from _trainings(found)
    unseen = [(one, one.by_seeds(MEASURED_SEEDS)) for one in found]
    seen = [(one, one.by_seeds(JUDGED_SEEDS)) for one in found]
    sure = [(one, quality) for one, quality in unseen if differs(one.quality.mean(axis=2))]
    measured = f"quality on {len(MEASURED_SEEDS)} other seeds, which no rule saw"
    yield from ("", f"Choices by seeds 0 and 1, {measured}: {len(found)} trainings")
    yield from _rules(unseen, JUDGED_SEEDS, _regret)
    yield from ("", f"Choices by seed 0 alone, {measured}")
    yield from _rules(unseen, JUDGED_SEEDS[:1], _regret)
    yield from ("", f"Choices by seeds 0 and 1, {measured}: the {len(sure)} trainings whose checkpoints differ by more than chance")
    yield from _rules(sure, JUDGED_SEEDS, _regret)
    yield from ("", "Choices by seeds 0 and 1, quality on the same")
    yield from _rules(seen, JUDGED_SEEDS, _regret)
    yield from ("", f"What the choice gives away of what training gained over the base, {measured}")
    yield from _rules(unseen, JUDGED_SEEDS, _given_away)


def _trainings(found: Sequence[Judged]) -> Iterator[str]:
    yield f"{'training':34} {'best':>5} {'verdict':>8} {'regret':>7}  {'outcome':10} {'best is':9} {'quality of base, first .. last'}"
    places: Counter[str] = Counter()
    for one in found:
        quality, view = one.by_seeds(MEASURED_SEEDS), one.view(JUDGED_SEEDS)
        best = one.steps[int(quality.argmax())]
        place = view.said.places[best]
        places[f"{view.said.outcome}: the best is {place}"] += 1
        lost = _regret(one, quality, view.choices["verdict"])
        shown = " ".join(f"{value:.3f}" for value in (one.base_by_seeds(MEASURED_SEEDS), *quality))
        yield f"{one.training:34} {best:5} {view.said.checkpoint or 'none':>8} {lost:7.2f}  {view.said.outcome:10} {place:9} {shown}"
    yield from ("", *(f"{count:3} {what}" for what, count in places.most_common()))


def _rules(found: Sequence[tuple[Judged, Numbers]], seeds: Seeds, lost_by: Loss) -> Iterator[str]:
    """What each rule loses by these seeds, and how much less the verdict does. found: trainings with the quality that counts, [C]."""
    if not found:
        return
    styles = list(dict.fromkeys(one.style for one, _ in found))
    yield f"  {'':26} {'mean':25} {'acceptable':>10}  {'less the verdict':26} {'by style'}"
    first = [lost_by(one, quality, one.view(seeds).choices[RULES[0]]) for one, quality in found]
    for rule in (*RULES, "blind"):
        if rule == "blind":
            lost = [float(np.mean([lost_by(one, quality, place) for place in range(len(quality))])) for one, quality in found]
        else:
            lost = [lost_by(one, quality, one.view(seeds).choices[rule]) for one, quality in found]
        by_style, gaps = _grouped(found, lost), _grouped(found, np.subtract(lost, first).tolist())
        told = "  ".join(f"{style} {np.mean(by_style[style]):.1%}" for style in styles)
        gap = "" if rule == RULES[0] else str(mean_over_styles(gaps))
        yield f"  {rule:26} {mean_over_styles(by_style)}  {np.mean(np.array(lost) <= ACCEPTABLE):10.0%}  {gap:26} {told}"


def _grouped(found: Sequence[tuple[Judged, Numbers]], values: Sequence[float]) -> dict[str, list[float]]:
    grouped: dict[str, list[float]] = {}
    for (one, _), value in zip(found, values, strict=True):
        grouped.setdefault(one.style, []).append(value)
    return grouped


def _regret(one: Judged, quality: Numbers, place: int | None) -> float:
    """The regret of a choice; of none, the worst."""
    return 1.0 if place is None else regret(quality, place)


def _given_away(one: Judged, quality: Numbers, place: int | None) -> float:
    """What a choice gives away; of none, what the worst would."""
    return given_away(quality, one.base_by_seeds(MEASURED_SEEDS), int(quality.argmin()) if place is None else place)


def _plan(work: Path, style: str) -> list[Training]:
    return trainings(style, list(pictures(style, work)))


def _kept(work: Path, training: Training) -> Path:
    return work / "judged" / f"{training.name}.json"


def _draw(work: Path, training: Training) -> None:
    """Train one, draw with it, and judge it."""
    began, plan = time.process_time(), _plan(work, training.style)
    at = Project(work / training.name)
    if not is_whole(training, at):
        train(training, pictures(training.style, work), work)
        others = [Project(work / one.name) for one in plan if one.name != training.name]
        draw(training, at, [other for other in others if other.runs()])
    if not _kept(work, training).exists():
        _judge(work, training)
    print(f"{training.name}: {time.process_time() - began:.0f} CPU seconds", flush=True)


def _draw_at_once(work: Path, jobs: Sequence[tuple[str, str]], cores: int) -> None:
    """The same, so many at a time, each a process of its own that is bound to a core and runs one thread."""
    free: Queue[int] = Queue()
    for core in sorted(os.sched_getaffinity(0))[:cores]:
        free.put(core)

    def run(job: tuple[str, str]) -> None:
        core = free.get()
        command = ["taskset", "-c", str(core), sys.executable, __file__, "draw", str(work), "--style", job[0], "--recipe", job[1]]
        command.append("--quiet")
        done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True, check=False)
        free.put(core)
        print(done.stdout.partition("\n")[0] or f"{job[0]} {job[1]} failed ({done.returncode})", flush=True)

    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(run, jobs))


def _judge(work: Path, training: Training) -> None:
    found = judged(training, Project(work / training.name), pictures(training.style, work))
    project.write_record(_kept(work, training), found)


if __name__ == "__main__":
    main()
