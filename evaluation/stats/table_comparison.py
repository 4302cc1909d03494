"""Samples of both tables, pairs of real tables for the floor, and bootstrap draws, common to all distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.bootstrap import (
    FAMILYWISE_RATE,
    N_DRAWS,
    Resample,
    error_interval,
    familywise_bound,
    subsample,
)
from tabsynth.evaluation.stats.encoded_table import EncodedTable

MAX_ROWS = 20_000
"""Maximum rows of each table."""

N_SPLITS = 3
"""Number of random splits of the training table for the floor without a holdout."""

MAX_PARTS = 60
"""Maximum number of parts of a score, the worst first."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Samples of a real and a synthetic table for comparison.

    Attributes:
        real: Rows of the training table.
        synthetic: Rows of the synthetic table.
        floor_pairs: Pairs of real tables, whose mean distance times ``scale`` is the floor.
        scale: Correction for the numbers of rows of ``floor_pairs``.
        resample: Bootstrap draws for the intervals.
        method_note: Description of interval and floor.
    """

    real: EncodedTable
    synthetic: EncodedTable
    floor_pairs: tuple[tuple[EncodedTable, EncodedTable], ...]
    scale: float
    resample: Resample
    method_note: str

    @classmethod
    def of(
        cls, train: EncodedTable, synthetic: EncodedTable, holdout: EncodedTable | None, rng: np.random.Generator
    ) -> Comparison:
        """Draw the samples; ``train`` must have at least four rows."""
        real, other = subsample(train, MAX_ROWS, rng), subsample(synthetic, MAX_ROWS, rng)
        floor_pairs, scale, method_note = draw_floor_pairs(real, len(other), holdout, rng)
        resample = Resample.of(len(real), len(other), rng)
        rows = f"{len(real):,} real and {len(other):,} synthetic rows"
        return cls(
            real,
            other,
            floor_pairs,
            scale,
            resample,
            f"On {rows}. Interval: {N_DRAWS} bootstrap draws. Floor: {method_note}.",
        )

    @property
    def pairs(self) -> tuple[tuple[EncodedTable, EncodedTable], ...]:
        """The two tables, then the pairs of real tables for the floor."""
        return ((self.real, self.synthetic), *self.floor_pairs)

    def floor(self, each: Sequence[Floats]) -> Floats:
        """Return the floor from the distances of ``floor_pairs``."""
        return np.asarray(np.minimum(np.mean(each, axis=0) * self.scale, 1.0))


def draw_floor_pairs(
    real: EncodedTable, rows: int, holdout: EncodedTable | None, rng: np.random.Generator
) -> tuple[tuple[tuple[EncodedTable, EncodedTable], ...], float, str]:
    """Return pairs of real tables for a floor, the correction factor for their sizes, and a description.

    The factor is sqrt((1/n + 1/rows) / (1/a + 1/b)) for pairs of a and b rows, by the sampling error.
    """
    n = len(real)
    if holdout is not None:
        held_out = holdout.take(rng.permutation(len(holdout))[: min(rows, len(holdout))])
        floor_pairs = [(real, held_out)]
        method_note = f"{len(held_out):,} held-out rows against the training rows"
    else:
        floor_pairs = []
        for _ in range(N_SPLITS):
            order = rng.permutation(n)
            floor_pairs.append((real.take(order[: n // 2]), real.take(order[n // 2 :])))
        method_note = f"halves of the training rows against each other, {N_SPLITS} splits"
    scale = float(np.sqrt((1 / n + 1 / rows) / (1 / len(floor_pairs[0][0]) + 1 / len(floor_pairs[0][1]))))
    if abs(scale - 1) > 1e-9:
        method_note += f", times {scale:.2f} for the number of rows"
    return tuple(floor_pairs), scale, method_note


def total_variation_distance(left: Integers, right: Integers, size: int) -> float:
    """Return the total variation between the shares of keys."""
    p, q = (
        np.bincount(left, minlength=size) / max(len(left), 1),
        np.bincount(right, minlength=size) / max(len(right), 1),
    )
    return 0.5 * float(np.abs(p - q).sum())


@dataclass
class PartErrors:
    """Errors of the parts of a score: columns, combinations of columns, or groups of rows.

    Attributes:
        columns: The column or columns of each part.
        values: Errors, from 0 to 1.
        floors: Errors of real rows.
        draws: Draws and null errors of each part, shape (2, N_DRAWS).
    """

    columns: list[tuple[str, ...]] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)
    draws: list[Floats] = field(default_factory=list)

    def add(self, columns: tuple[str, ...], value: float, floor: float | Floats, draws: Floats) -> None:
        """Add a part."""
        self.columns.append(columns)
        self.values.append(value)
        self.floors.append(float(floor))
        self.draws.append(draws)

    def score(self, name: str, description: str, method: str, rate: float = FAMILYWISE_RATE) -> Score:
        """Return the score of the mean error in percent, with its parts, the worst first.

        Args:
            name: Name of the score.
            description: Meaning of the score.
            method: Method of computation.
            rate: Family-wise error rate of the parts' ``chance``.
        """
        values, floors, draws = np.array(self.values), np.array(self.floors), np.stack(self.draws, axis=-1)
        value = float(values.mean())
        low, high = error_interval(value, draws.mean(axis=2))
        reach = familywise_bound(draws[1].mean(axis=0), draws[1].std(axis=0), rate)
        order = np.argsort(-(values - floors), kind="stable")[:MAX_PARTS]
        return Score(
            name=name,
            value=100 * value,
            interval=(min(low, 100 * value), max(high, 100 * value)),
            better="lower",
            target=0.0,
            floor=100 * float(floors.mean()),
            unit="%",
            description=description,
            method=method if len(values) <= MAX_PARTS else f"{method} Detail: the worst {MAX_PARTS} of {len(values)}.",
            detail=tuple(
                Part(
                    columns=self.columns[i],
                    value=100 * float(values[i]),
                    floor=100 * float(floors[i]),
                    chance=100 * float(reach[i]),
                )
                for i in order
            ),
        )
