"""What every distance needs: a sample of both tables, fresh real rows for the floor, and the draws for intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.bootstrap import DRAWS, RARELY, Resample, around, reachable, sampled
from tabsynth.evaluation.stats.encoded_table import Coded

MOST_ROWS = 20_000
"""Rows a side that the finer distances look at."""

HALVES = 3
"""Random splits of the training table over which a floor is averaged when there is no holdout."""

MOST_PARTS = 60
"""Parts that a score keeps, the worst first."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """A real and a synthetic table side by side.

    Attributes:
        real: Rows of the training table.
        made: Rows of the synthetic table.
        sides: Pairs of real tables; what they differ by, times ``scale``, is the floor.
        scale: From the rows that were compared to those of the two tables.
        resample: The draws for intervals.
        how: How interval and floor were found.
    """

    real: Coded
    made: Coded
    sides: tuple[tuple[Coded, Coded], ...]
    scale: float
    resample: Resample
    how: str

    @classmethod
    def of(cls, train: Coded, made: Coded, holdout: Coded | None, rng: np.random.Generator) -> Comparison:
        """Draw the samples; ``train`` needs at least four rows."""
        real, other = sampled(train, MOST_ROWS, rng), sampled(made, MOST_ROWS, rng)
        sides, scale, how = floor_sides(real, len(other), holdout, rng)
        resample = Resample.of(len(real), len(other), rng)
        rows = f"{len(real):,} real and {len(other):,} synthetic rows"
        return cls(real, other, sides, scale, resample, f"On {rows}. Interval: {DRAWS} bootstrap draws. Floor: {how}.")

    @property
    def pairs(self) -> tuple[tuple[Coded, Coded], ...]:
        """The two tables, then the real ones that give the floor."""
        return ((self.real, self.made), *self.sides)

    def each(self, keys: Callable[[Coded], Integers]) -> list[tuple[Integers, Integers]]:
        """What every pair of tables holds, by a function of one table."""
        return [(keys(one), keys(other)) for one, other in self.pairs]

    def floor(self, each: Sequence[Floats]) -> Floats:
        """The floor from what each of ``sides`` differs by."""
        return np.asarray(np.minimum(np.mean(each, axis=0) * self.scale, 1.0))


def floor_sides(
    real: Coded, rows: int, holdout: Coded | None, rng: np.random.Generator
) -> tuple[tuple[tuple[Coded, Coded], ...], float, str]:
    """Real tables to compare for a floor, the factor from their sizes to those asked for, and how, in words.

    The factor is sqrt((1/n + 1/rows) / (1/a + 1/b)), as sampling noise goes, with a and b the rows that are compared.
    """
    n = len(real)
    if holdout is not None:
        fresh = holdout.take(rng.permutation(len(holdout))[: min(rows, len(holdout))])
        sides = [(real, fresh)]
        how = f"{len(fresh):,} held-out rows against the training rows"
    else:
        sides = []
        for _ in range(HALVES):
            order = rng.permutation(n)
            sides.append((real.take(order[: n // 2]), real.take(order[n // 2 :])))
        how = f"halves of the training rows against each other, {HALVES} splits"
    scale = float(np.sqrt((1 / n + 1 / rows) / (1 / len(sides[0][0]) + 1 / len(sides[0][1]))))
    if abs(scale - 1) > 1e-9:
        how += f", times {scale:.2f} for the number of rows"
    return tuple(sides), scale, how


def variation(left: Integers, right: Integers, size: int) -> float:
    """Total variation between the shares of keys."""
    p, q = (
        np.bincount(left, minlength=size) / max(len(left), 1),
        np.bincount(right, minlength=size) / max(len(right), 1),
    )
    return 0.5 * float(np.abs(p - q).sum())


def error_score(
    name: str,
    title: str,
    description: str,
    method: str,
    columns: Sequence[tuple[str, ...]],
    values: Floats,
    floors: Floats,
    draws: Floats,
    rate: float = RARELY,
) -> Score:
    """A mean of errors in percent with its parts, the worst first.

    Args:
        name: The score's name.
        title: Its title.
        description: What it says.
        method: How it was found.
        columns: What each part is of, p in all.
        values: Errors, shape (p,), from 0 to 1.
        floors: What real rows reach, shape (p,).
        draws: Errors under every draw, and by chance alone, shape (2, DRAWS, p).
        rate: Share of tables of one population of which some part may reach beyond its ``chance``.
    """
    value = float(values.mean())
    low, high = around(value, draws.mean(axis=2))
    reach = reachable(draws[1].mean(axis=0), draws[1].std(axis=0), rate)
    order = np.argsort(-(values - floors), kind="stable")[:MOST_PARTS]
    return Score(
        name=name,
        title=title,
        value=100 * value,
        interval=(min(low, 100 * value), max(high, 100 * value)),
        better="lower",
        target=0.0,
        floor=100 * float(floors.mean()),
        unit="%",
        description=description,
        method=method if len(values) <= MOST_PARTS else f"{method} Detail: the worst {MOST_PARTS} of {len(values)}.",
        detail=tuple(
            Part(
                columns=columns[i],
                value=100 * float(values[i]),
                floor=100 * float(floors[i]),
                chance=100 * float(reach[i]),
            )
            for i in order
        ),
    )
