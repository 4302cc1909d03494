"""One rule from public facts and the noisy number of rows: how the budget is parted and how large the mixture is.

Everything follows from the *signal*, the number of rows times the square root of the zCDP budget: it is how many
standard deviations of noise the whole table would amount to if all of the budget went to one count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

REFERENCE = 5000.0
"""The signal of about 32,000 rows at epsilon 1 and delta 1e-6, which the factors below refer to."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How a mixture is fitted.

    Attributes:
        components: Number of components.
        steps: Steps of Adam.
        rate: Its largest step.
        penalty: Weight of the components' divergence from the one-column marginals, per row.
    """

    components: int
    steps: int
    rate: float
    penalty: float


def effort_of(rows: float, rho: float, components: int | None = None) -> Effort:
    """The mixture for a noisy number of rows and a budget."""
    signal = strength(rows, rho)
    return Effort(
        components=components or int(np.clip(round(384 * signal ** (1 / 3)), 128, 1536)),
        steps=int(np.clip(round(400 * signal ** (1 / 3)), 150, 1000)),
        rate=0.2,
        penalty=float(0.02 * signal**0.75),
    )


def bins_of(rows: float, rho: float) -> int:
    """About how many tokens a line is cut into."""
    return int(np.clip(round(26 * strength(rows, rho) ** 0.2), 8, 64))


def fine_share(expected_rows: float, rho: float) -> float:
    """The share of the budget that goes to the fine counts of single columns."""
    return float(np.clip(0.15 * strength(expected_rows, rho) ** -0.3, 0.1, 0.33))


def strength(rows: float, rho: float) -> float:
    """The signal, in units of the reference."""
    return float(max(rows, 1.0) * np.sqrt(rho) / REFERENCE)
