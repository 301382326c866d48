"""How well the verdict names the checkpoint to keep, on real trainings of the embedded base.

    python benchmarks/selection/real.py draw WORK [--style STYLE] [--recipe NAME]
    python benchmarks/selection/real.py judge WORK [--style STYLE]

draw trains and draws what is not there yet; judge prints tables of what is, and writes them as WORK/STYLES.txt and, number by number, as
WORK/STYLES.jsonl. README.md has the plan, which was written before any result was seen.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from plan import DEVELOPMENT, JUDGED_SEEDS, MEASURED_SEEDS, RECIPES, SEEN, TESTS, Training, pictures, trainings
from regrets import ACCEPTABLE, Numbers, differs, given_away, mean_over_styles, regret
from trained import draw, is_whole, train
from verdicts import BASELINES, Judged, Seeds, judged

from decal import project
from decal.project import Project

Loss = Callable[[Judged, Numbers, int | None], float]
RULES = ("verdict", "earliest", *BASELINES, "best on what is seen")


def main() -> None:
    """Train, draw, judge, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("draw", "judge"))
    parser.add_argument("work", type=Path, help="folder that keeps what was trained and drawn")
    names = [recipe.name for recipe in RECIPES]
    parser.add_argument("--style", action="append", choices=(*TESTS, *DEVELOPMENT, *SEEN), help="the three test styles where left out")
    parser.add_argument("--recipe", action="append", choices=names, help="all of them where left out")
    given = parser.parse_args()
    styles, recipes = given.style or TESTS, given.recipe or names
    if given.what == "draw":
        for name in recipes:
            for style in styles:
                _draw(given.work, style, name)
        return
    found = [
        judged(training, Project(given.work / training.name), pictures(training.style, given.work))
        for style in styles
        for training in _plan(given.work, style)
        if training.recipe.name in recipes and is_whole(training, Project(given.work / training.name))
    ]
    told = "\n".join(table(found))
    print(told)
    at = given.work / "-".join(styles)
    project.write_text(at.with_suffix(".txt"), told + "\n")
    project.write_text(at.with_suffix(".jsonl"), "".join(json.dumps(line, sort_keys=True) + "\n" for line in map(record, found)))


def table(found: Sequence[Judged]) -> Iterator[str]:
    """Every training, then what each rule loses."""
    yield from _trainings(found)
    unseen = [(one, one.by_seeds(MEASURED_SEEDS)) for one in found]
    seen = [(one, one.by_seeds(JUDGED_SEEDS)) for one in found]
    sure = [(one, quality) for one, quality in unseen if differs(one.quality.mean(axis=2))]
    measured = f"quality on seed {MEASURED_SEEDS[0]}, which no rule saw"
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


def record(one: Judged) -> dict[str, object]:
    """One training in numbers."""
    return {
        "training": one.training.name,
        "steps": one.steps,
        "quality": one.quality.mean(axis=1).round(5).tolist(),
        "base": one.base.mean(axis=0).round(5).tolist(),
        "choices": {
            str(len(seeds)): {rule: None if place is None else one.steps[place] for rule, place in choices.items()}
            for seeds, choices in one.choices.items()
        },
        "verdicts": {str(len(seeds)): verdict.model_dump(mode="json") for seeds, verdict in one.verdicts.items()},
    }


def _trainings(found: Sequence[Judged]) -> Iterator[str]:
    yield f"{'training':34} {'best':>5} {'verdict':>8} {'regret':>7}  {'outcome':10} {'best is':9} {'quality of base, first .. last'}"
    places: Counter[str] = Counter()
    for one in found:
        quality, verdict = one.by_seeds(MEASURED_SEEDS), one.verdicts[JUDGED_SEEDS]
        best = one.steps[int(quality.argmax())]
        place = next(standing.place for standing in verdict.standings if standing.checkpoint == best)
        places[f"{verdict.outcome}: the best is {place}"] += 1
        lost = _regret(one, quality, one.choices[JUDGED_SEEDS]["verdict"])
        shown = " ".join(f"{value:.3f}" for value in (one.base[:, list(MEASURED_SEEDS)].mean(), *quality))
        yield f"{one.training.name:34} {best:5} {verdict.checkpoint or 'none':>8} {lost:7.2f}  {verdict.outcome:10} {place:9} {shown}"
    yield from ("", *(f"{count:3} {what}" for what, count in places.most_common()))


def _rules(found: Sequence[tuple[Judged, Numbers]], seeds: Seeds, lost_by: Loss) -> Iterator[str]:
    """What each rule loses by these seeds, and how much less the verdict does. found: trainings with the quality that counts, [C]."""
    if not found:
        return
    styles = list(dict.fromkeys(one.training.style for one, _ in found))
    yield f"  {'':26} {'mean':25} {'acceptable':>10}  {'less the verdict':26} {'by style'}"
    first = [lost_by(one, quality, one.choices[seeds][RULES[0]]) for one, quality in found]
    for rule in (*RULES, "blind"):
        if rule == "blind":
            lost = [float(np.mean([lost_by(one, quality, place) for place in range(len(quality))])) for one, quality in found]
        else:
            lost = [lost_by(one, quality, one.choices[seeds][rule]) for one, quality in found]
        by_style, gaps = _grouped(found, lost), _grouped(found, np.subtract(lost, first).tolist())
        told = "  ".join(f"{style} {np.mean(by_style[style]):.1%}" for style in styles)
        gap = "" if rule == RULES[0] else str(mean_over_styles(gaps))
        yield f"  {rule:26} {mean_over_styles(by_style)}  {np.mean(np.array(lost) <= ACCEPTABLE):10.0%}  {gap:26} {told}"


def _grouped(found: Sequence[tuple[Judged, Numbers]], values: Sequence[float]) -> dict[str, list[float]]:
    grouped: dict[str, list[float]] = {}
    for (one, _), value in zip(found, values, strict=True):
        grouped.setdefault(one.training.style, []).append(value)
    return grouped


def _regret(one: Judged, quality: Numbers, place: int | None) -> float:
    """The regret of a choice; of none, the worst."""
    return 1.0 if place is None else regret(quality, place)


def _given_away(one: Judged, quality: Numbers, place: int | None) -> float:
    """What a choice gives away; of none, what the worst would."""
    return given_away(quality, float(one.base[:, list(MEASURED_SEEDS)].mean()), int(quality.argmin()) if place is None else place)


def _plan(work: Path, style: str) -> list[Training]:
    return trainings(style, list(pictures(style, work)))


def _draw(work: Path, style: str, recipe: str) -> None:
    """Train one and draw with it."""
    began, plan = time.process_time(), _plan(work, style)
    training = next(one for one in plan if one.recipe.name == recipe)
    at = train(training, pictures(style, work), work)
    others = [Project(work / one.name) for one in plan if one.name != training.name]
    draw(training, at, [other for other in others if other.runs()])
    print(f"{training.name}: {time.process_time() - began:.0f} CPU seconds", flush=True)


if __name__ == "__main__":
    main()
