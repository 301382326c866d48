"""How much regret is noise: what a choice by the true quality itself would lose, with so many pictures.

    python benchmarks/selection/noise.py FILE [--seeds 2 --measured 2]

FILE is one that real.py writes. The means over all pictures of a training stand for the truth. Around them, pictures of other seeds are
made up with the spread and the correlations between checkpoints that seeds have within a prompt; the prompts stay. Then a choice is made by
the best of some seeds and held against others, as real.py does it with the verdict's.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from regrets import Numbers, regret
from results import Judged

from decal import project

DRAWS = 4000


@dataclass(frozen=True)
class Noise:
    """Mean regrets. of_choice: of the best by the pictures that are judged, against the truth; of_both: against other pictures.
    of_measuring: of the truly best, against other pictures. spread: of the true quality, best less worst; error: of a difference.
    """

    of_choice: float
    of_both: float
    of_measuring: float
    spread: float
    error: float


def noise(quality: Numbers, judged: int, measured: int, *, draws: int = DRAWS, seed: int = 0) -> Noise:
    """What chance costs with so many seeds of each prompt. quality: of each picture, [C, P, S], S > 1."""
    count, prompts, seeds = quality.shape
    truth = quality.mean(axis=(1, 2))
    apart = (quality - quality.mean(axis=2, keepdims=True)).reshape(count, -1)
    covariance = apart @ apart.T / (prompts * (seeds - 1))
    rng = np.random.default_rng(seed)

    def seen(number: int) -> Numbers:
        return np.asarray(truth + rng.multivariate_normal(np.zeros(count), covariance / (prompts * number), size=draws), np.float64)

    first, second = seen(judged), seen(measured)
    chosen, best = first.argmax(axis=1), int(truth.argmax())
    variance = covariance.diagonal()
    between = variance[:, None] + variance - 2 * covariance
    return Noise(
        of_choice=float(np.mean([regret(truth, place) for place in chosen])),
        of_both=float(np.mean([regret(row, place) for row, place in zip(second, chosen, strict=True)])),
        of_measuring=float(np.mean([regret(row, best) for row in second])),
        spread=float(truth.max() - truth.min()),
        error=float(np.sqrt(between[np.triu_indices(count, 1)].mean() / (prompts * judged))),
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seeds", type=int, default=2, help="of each prompt that are judged")
    parser.add_argument("--measured", type=int, default=2, help="of each prompt that quality is measured on")
    given = parser.parse_args()
    print(f"{'training':34} {'spread':>7} {'error':>7} {'choice':>7} {'measuring':>9} {'both':>7}")
    found = [(one.training, noise(one.quality, given.seeds, given.measured)) for one in project.read(given.file, Judged)]
    for name, of in found:
        print(f"{name:34} {of.spread:7.3f} {of.error:7.4f} {of.of_choice:7.1%} {of.of_measuring:9.1%} {of.of_both:7.1%}")
    means = [np.mean(of) for of in zip(*((of.of_choice, of.of_measuring, of.of_both) for _, of in found), strict=True)]
    print(f"{'mean':50} {means[0]:7.1%} {means[1]:9.1%} {means[2]:7.1%}")


if __name__ == "__main__":
    main()
