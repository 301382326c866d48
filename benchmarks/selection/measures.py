"""Which measure says which checkpoint is best: of every measure, how it goes with quality within a training, and what a choice by it loses.

    python benchmarks/selection/measures.py FILE

FILE is one that real.py writes. Quality is the mean over all pictures of a checkpoint, those that the measures saw included. A measure is
taken at its better end, so this flatters; it is for looking at development styles.
"""

import argparse
from pathlib import Path

import numpy as np
from regrets import Numbers, regret
from results import Judged

from decal import project


def rows(one: Judged) -> dict[str, tuple[float, float]]:
    """By measure, its correlation with quality over the checkpoints and the regret of choosing by its better end."""
    quality: Numbers = one.quality.mean(axis=(1, 2))
    found = {}
    for name, values in one.views[0].measures.items():
        known = np.array([np.nan if value is None else value for value in values])
        if np.isnan(known).any() or np.ptp(known) == 0:
            continue
        correlation = float(np.corrcoef(known, quality)[0, 1])
        found[name] = (correlation, regret(quality, int((known * np.sign(correlation)).argmax())))
    return found


def main() -> None:
    """Print a table, a column of two numbers a training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    found = project.read(parser.parse_args().file, Judged)
    tables = [rows(one) for one in found]
    print(f"{'':20}" + "".join(f"{one.training:>24}" for one in found))
    for name in dict.fromkeys(name for table in tables for name in table):
        cells = (f"{table[name][0]:14.2f}{table[name][1]:10.2f}" if name in table else f"{'-':>24}" for table in tables)
        print(f"{name:20}" + "".join(cells))


if __name__ == "__main__":
    main()
