"""The checkpoints that may be the best: the model confidence set.

With many candidates, comparing each with the leader one by one leaves good ones out too often, and the leader itself is partly luck. This
takes out the worst as long as the rest are surely not all equal. Source: Hansen, Lunde and Nason 2011, Econometrica 79, 453-497, the
statistic T_max of section 3.1.2.
"""

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.10
"""Chance that the best is not in the set."""


def confidence_set(utilities: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows may be the best, [C].

    utilities: [C, 1 + B], higher is better; column 0 the plain value, the others resamples, paired over the rows.
    """
    plain, drawn = utilities[:, :1], utilities[:, 1:]
    is_in = np.ones(len(utilities), bool)
    while is_in.sum() > 1:
        behind = plain[is_in].mean() - plain[is_in, 0]
        noise = (drawn[is_in].mean(axis=0) - drawn[is_in]) - behind[:, None]
        error = np.sqrt((noise**2).mean(axis=1))
        # Rows that are equal under every resample have no error and no distance: neither can be the worse.
        error = np.where(error > 0, error, np.where(np.abs(behind) > 0, 1e-12, 1.0))
        behind, noise = behind / error, noise / error[:, None]
        if (noise.max(axis=0) >= behind.max()).mean() >= LEVEL:
            break
        is_in[np.flatnonzero(is_in)[np.argmax(behind)]] = False
    return is_in
