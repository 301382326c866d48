"""Which checkpoints to go on with and which cells to draw next, so that clear losers cost little.

Rounds are nested: each holds the cells of the one before and new ones. After a round, whoever is surely behind the leader by more than
matters drops out, and so does whoever is beyond a guardrail. All of it follows from the evidence alone, so a race that was stopped goes on
where it was, and one that is over asks for nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from decal.compare.contest import RESAMPLES, enter, gap
from decal.records import Gap
from decal.scores.evidence import BASE, Cells, Evidence

DELTA = 0.02
"""Utility that nobody would notice, 0..1."""
MAX_BROKEN = 0.05
"""Share of pictures that cannot be used above which a checkpoint is broken."""


@dataclass(frozen=True)
class Round:
    """The first so many prompts and seeds of the suite."""

    prompts: int
    seeds: int


ROUNDS = (Round(12, 1), Round(32, 1), Round(32, 2))


@dataclass(frozen=True)
class Place:
    """A cell to draw: a checkpoint, and the indexes of prompt and seed."""

    checkpoint: int
    prompt: int
    seed: int


@dataclass(frozen=True)
class Dropped:
    """A checkpoint that is out of the race. behind: the leader of its last round, None where a guardrail took it out."""

    checkpoint: int
    reasons: tuple[str, ...]
    behind: Gap | None
    pictures: int


@dataclass(frozen=True)
class Race:
    """How a race stands. cells: to draw next, the base's first; empty where the race is over."""

    survivors: tuple[int, ...]
    dropped: tuple[Dropped, ...]
    broken: tuple[int, ...]
    cells: tuple[Place, ...]


def race(evidence: Evidence, rounds: Sequence[Round] = ROUNDS, *, resamples: int = RESAMPLES, seed: int = 0) -> Race:
    """How the race stands with what was drawn so far.

    rounds: each with at least the cells of the one before; cut to the table of the evidence. The base is asked for every cell at once.
    """
    broken = tuple(step for step in evidence.checkpoints if is_broken(evidence, step))
    survivors = tuple(step for step in evidence.checkpoints if step not in broken)
    dropped: tuple[Dropped, ...] = ()
    for number, size in enumerate(rounds, start=1):
        table = np.zeros(evidence.cells(BASE).shape, bool)
        table[: size.prompts, : size.seeds] = True
        missing = _missing(evidence, BASE, np.ones_like(table))
        missing += tuple(place for checkpoint in survivors for place in _missing(evidence, checkpoint, table))
        if missing or not survivors:
            return Race(survivors, dropped, broken, missing if survivors else ())
        if number < len(rounds):
            out = _losers(evidence, survivors, table, resamples, seed)
            dropped += out
            survivors = tuple(step for step in survivors if step not in {loser.checkpoint for loser in out})
    return Race(survivors, dropped, broken, ())


def is_broken(evidence: Evidence, checkpoint: int) -> bool:
    """Whether too many of a checkpoint's pictures cannot be used."""
    if checkpoint not in evidence.broken:
        return False
    broken = int(evidence.broken[checkpoint].sum())
    return broken > MAX_BROKEN * (broken + int(evidence.cells(checkpoint).sum()))


def _missing(evidence: Evidence, checkpoint: int, table: Cells) -> tuple[Place, ...]:
    """The cells of a table that were never drawn."""
    missing = table & ~evidence.cells(checkpoint)
    if checkpoint in evidence.broken:
        missing &= ~evidence.broken[checkpoint]
    return tuple(Place(checkpoint, prompt, seed) for prompt, seed in np.argwhere(missing).tolist())


def _losers(evidence: Evidence, survivors: Sequence[int], table: Cells, resamples: int, seed: int) -> tuple[Dropped, ...]:
    """Who is out after a round; never everybody."""
    contest = enter(evidence, survivors, within=table, resamples=resamples, seed=seed)
    utilities, pictures = contest.utilities(), int(contest.cells.sum())
    fit = [row for row, checkpoint in enumerate(survivors) if not contest.complaints[checkpoint]]
    if not fit:
        return ()
    leader = max(fit, key=lambda row: utilities[row, 0])
    out = []
    for row, checkpoint in enumerate(survivors):
        behind = gap(utilities[leader], utilities[row])
        if reasons := tuple(contest.complaints[checkpoint].values()):
            out.append(Dropped(checkpoint, reasons, None, pictures))
        elif behind.low > 2 * DELTA:
            out.append(Dropped(checkpoint, (), behind, pictures))
    return tuple(out)
