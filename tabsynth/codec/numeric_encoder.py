"""A line of numbers to tokens and back: runs that rest on enough persons, joined to tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Arrays, Floats, Tokens
from tabsynth.schema.rounding import DRAW_BITS, Rounding


@dataclass(frozen=True, eq=False)
class QuantileCoder:
    """A line of numbers cut into runs, runs joined to tokens.

    A run is one value held by enough persons (``low == high``), or a stretch of at least ``min_group`` persons that is
    known only by its median and spread, so that no knot of the table rests on fewer persons.

    Attributes:
        low, high: Ends of each run, ascending, shape (runs,).
        mass: Training rows of each run, shape (runs,).
        token: The token of each run, ascending from 0 without gaps, shape (runs,).
        edges: Where one run ends and the next begins when encoding, shape (runs - 1,).
        counts, emit: As in ``ValueCoder``.
        decimals, unit: Values inside a stretch are rounded to multiples of ``unit / 10**decimals``; None = not rounded.
        rounding: How much more coarsely they are rounded, and how often; None where all are alike.
    """

    low: Floats
    high: Floats
    mass: Floats
    token: npt.NDArray[np.int64]
    edges: Floats
    counts: npt.NDArray[np.int64]
    emit: npt.NDArray[np.bool_]
    decimals: int | None
    unit: int = 1
    rounding: Rounding | None = None

    @property
    def size(self) -> int:
        """Number of tokens."""
        return self.line + 2

    @property
    def line(self) -> int:
        """How many leading tokens lie in order on a line: all but RARE and MISSING."""
        return int(self.token[-1]) + 1

    @property
    def rare(self) -> int:
        """The RARE token, never used: every number lies somewhere on the line."""
        return self.line

    @property
    def missing(self) -> int:
        """The MISSING token."""
        return self.line + 1

    @cached_property
    def _ends(self) -> Floats:
        return np.concatenate([[0.0], np.cumsum(self.mass)])

    @cached_property
    def _starts(self) -> npt.NDArray[np.int64]:
        """First run of each token, and one past the last."""
        return np.searchsorted(self.token, np.arange(self.line + 1)).astype(np.int64)

    def runs(self, data: Floats) -> npt.NDArray[np.int64]:
        """The run of each number, shape (n,)."""
        return np.searchsorted(self.edges, data, side="right").astype(np.int64)

    def encode(self, data: Floats) -> Tokens:
        """Tokens of numbers (missing as NaN), shape (n,)."""
        present = ~np.isnan(data)
        tokens = np.full(len(data), self.missing, np.int32)
        tokens[present] = self.token[self.runs(data[present])]
        return tokens

    def decode(self, tokens: Tokens, rng: np.random.Generator) -> Floats:
        """Numbers of tokens, shape (n,), NaN where missing; drawn from the quantile function inside a token."""
        return self.place(tokens, rng.random(len(tokens)))

    def place(self, tokens: Tokens, position: Floats) -> Floats:
        """Numbers at a position in [0, 1) inside their tokens, shape (n,), NaN where missing."""
        out = np.full(len(tokens), np.nan)
        inside = np.flatnonzero(tokens < self.line)
        chosen = tokens[inside]
        first, last = self._ends[self._starts[chosen]], self._ends[self._starts[chosen + 1]]
        out[inside] = self.at(first + position[inside] * (last - first))
        return out

    def at(self, mass: Floats) -> Floats:
        """The quantile function: numbers at a cumulative mass in [0, rows), shape (n,)."""
        run = np.clip(np.searchsorted(self._ends, mass, side="right") - 1, 0, len(self.mass) - 1)
        low, high = self.low[run], self.high[run]
        share = np.clip((mass - self._ends[run]) / self.mass[run], 0.0, 1.0)
        value = low + share * (high - low)
        stretch = high > low
        inner = value[stretch]
        if self.rounding is not None:
            # The last bits of a position decide how its number is rounded: they say nothing about where it lies.
            inner = self.rounding.round(inner, run[stretch], mass[stretch] * DRAW_BITS % 1.0, self._atoms)
        else:
            inner = self.rounded(inner)
        value[stretch] = np.clip(inner, self.low[0], self.high[-1])
        return np.asarray(value)

    @cached_property
    def _atoms(self) -> Floats:
        """The numbers that have runs of their own, ascending."""
        return np.asarray(self.low[self.low == self.high])

    def mass_below(self, data: Floats, *, inclusive: bool = False) -> Floats:
        """The distribution function: cumulative mass below numbers (or up to them), shape (n,)."""
        run = np.searchsorted(self.high, data, side="right" if inclusive else "left")
        within = np.minimum(run, len(self.mass) - 1)
        width = self.high[within] - self.low[within]
        share = np.clip((data - self.low[within]) / np.where(width > 0, width, 1.0), 0.0, 1.0)
        share = np.where((run < len(self.mass)) & (width > 0), share, 0.0)
        return np.asarray(self._ends[run] + share * self.mass[within])

    def between(self, least: Floats, most: Floats, rng: np.random.Generator) -> Floats:
        """Numbers drawn from the quantile function between bounds, shape (n,)."""
        first, last = self.mass_below(least), self.mass_below(most, inclusive=True)
        return np.clip(self.at(first + rng.random(len(least)) * (last - first)), least, most)

    def recurs(self, data: Floats, share: float) -> npt.NDArray[np.bool_]:
        """Whether each number is one that holds at least a share of the mass alone, shape (n,)."""
        often = self.low[(self.low == self.high) & (self.mass >= share * self.mass.sum())]
        return np.isin(data, often)

    def heaped(self) -> bool:
        """Whether single numbers hold a twentieth of the mass of the tokens that hold more than one number."""
        low, high = self.spans()
        wide = (high > low)[self.token]
        return bool(self.mass[wide & (self.low == self.high)].sum() > 0.05 * max(self.mass[wide].sum(), 1))

    def spans(self) -> tuple[Floats, Floats]:
        """Lowest and highest number of each token on the line, shape (line,) each."""
        return self.low[self._starts[:-1]], self.high[self._starts[1:] - 1]

    def means(self) -> Floats:
        """The mean number of each token on the line, shape (line,)."""
        weighed = np.add.reduceat(self.mass * (self.low + self.high) / 2, self._starts[:-1])
        return np.asarray(weighed / np.add.reduceat(self.mass, self._starts[:-1]))

    def cover(self, low: float, high: float) -> tuple[Floats, Floats, Floats]:
        """How much of each token lies in an inclusive range.

        Returns:
            The share of each token on the line that lies inside, and the first and last position inside; each (line,).
        """
        step = 0.0 if self.decimals is None else self.unit / 10.0**self.decimals
        width = np.maximum(self.high - self.low, 1e-300)
        inside = (self.low >= low) & (self.high <= high)
        # A stretch is met by its lattice points, each of which gathers half a step on both sides.
        below = np.where(inside, 0.0, np.clip((low - step / 2 - self.low) / width, 0.0, 1.0))
        above = np.where(inside, 1.0, np.clip((high + step / 2 - self.low) / width, 0.0, 1.0))
        single = self.low == self.high
        below = np.where(single, (self.low < low).astype(float), below)
        above = np.where(single, (self.low <= high).astype(float), above)
        start, stop = self._ends[:-1] + below * self.mass, self._ends[:-1] + above * self.mass
        covered = np.maximum(stop - start, 0.0)
        begin, end = self._ends[self._starts[:-1]], self._ends[self._starts[1:]]
        share = np.add.reduceat(covered, self._starts[:-1]) / (end - begin)
        some = covered > 0
        first = np.minimum.reduceat(np.where(some, start, np.inf), self._starts[:-1])
        last = np.maximum.reduceat(np.where(some, stop, -np.inf), self._starts[:-1])
        none = share <= 0
        first = np.where(none, 0.0, (np.where(none, begin, first) - begin) / (end - begin))
        last = np.where(none, 0.0, (np.where(none, begin, last) - begin) / (end - begin))
        return share, first, last

    def rounded(self, value: Floats) -> Floats:
        """Numbers on the column's lattice."""
        if self.decimals is None:
            return value
        scale = 10.0**self.decimals
        if self.unit > 1:
            value = np.rint(value * scale / self.unit) * self.unit / scale
        return np.round(value, self.decimals)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """What ``from_state`` needs: plain data and arrays."""
        names = ("low", "high", "mass", "token", "edges", "counts", "emit")
        config = {"coder": "quantile", "decimals": self.decimals, "unit": self.unit}
        arrays = {name: getattr(self, name) for name in names}
        if self.rounding is not None:
            arrays |= {f"rounding.{name}": array for name, array in vars(self.rounding).items()}
        return config, arrays

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: Arrays) -> QuantileCoder:
        """Rebuild a coder from its state."""
        rounding = {
            key.removeprefix("rounding."): array for key, array in arrays.items() if key.startswith("rounding.")
        }
        return cls(
            **{name: arrays[name] for name in ("low", "high", "mass", "token", "edges", "counts")},
            emit=arrays["emit"].astype(bool),
            decimals=config["decimals"],
            unit=int(config["unit"]),
            rounding=Rounding(**rounding) if rounding else None,
        )


@dataclass(frozen=True, eq=False)
class Range:
    """An inclusive range on a line, and which part of each token it reaches.

    Attributes:
        low, high: Ends of the range, in units of the line.
        first, last: The first and last position inside each token, shape (line,).
    """

    low: float
    high: float
    first: Floats
    last: Floats

    def place(self, coder: QuantileCoder, tokens: Tokens, rng: np.random.Generator) -> Floats:
        """Numbers of tokens that lie in the range, shape (n,)."""
        inside = np.minimum(tokens, coder.line - 1)
        position = self.first[inside] + rng.random(len(tokens)) * (self.last - self.first)[inside]
        return np.clip(coder.place(tokens, np.minimum(position, 1 - 1e-12)), self.low, self.high)


def persons_per(groups: npt.NDArray[Any], persons: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Distinct persons in each group, shape (count,); negative groups are left out."""
    seen = groups >= 0
    pairs = np.unique(np.stack([groups[seen].astype(np.int64), persons[seen]], axis=1), axis=0)
    return np.bincount(pairs[:, 0], minlength=count)
