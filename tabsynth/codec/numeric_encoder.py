"""Encoder of numeric columns: bins shared by enough persons, grouped into tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tabsynth.codec.numbers.day_times import DayTimes
from tabsynth.codec.numbers.local_clock import LocalClock, clock_from_state
from tabsynth.common.arrays import Arrays, Floats, Tokens, check_numbers
from tabsynth.schema.rounding import DRAW_BITS, Rounding


@dataclass(frozen=True, eq=False)
class QuantileCoder:
    """A piecewise-linear quantile function whose bins are grouped into tokens.

    A bin is one value shared by enough persons (``low == high``), or an interval of at least ``min_group`` persons that
    is described only by its mean and spread, so that every released number is based on enough persons.

    Attributes:
        low, high: Ends of each bin, ascending, shape (bins,).
        mass: Training rows of each bin, shape (bins,).
        token: The token of each bin, ascending from 0 without gaps, shape (bins,).
        edges: Bin edges for encoding, shape (bins - 1,).
        counts, allowed_tokens: As in ``ValueCoder``.
        decimals, unit: Values inside an interval are multiples of ``unit / 10**decimals``; None = not rounded.
        rounding: Coarser rounding units and their frequencies; None if all numbers have the same.
        day_times: Distribution of the time of day; None if it is uniform.
        clock: Local time of a zone with summer time, in which ``edges``, inner numbers and the time of day are;
            ``low`` and ``high`` are in UTC.
        single: Whether the numbers passed through 32-bit floats, as those of some statistics packages do.
    """

    low: Floats
    high: Floats
    mass: Floats
    token: npt.NDArray[np.int64]
    edges: Floats
    counts: npt.NDArray[np.int64]
    allowed_tokens: npt.NDArray[np.bool_]
    decimals: int | None
    unit: int = 1
    rounding: Rounding | None = None
    single: bool = False
    day_times: DayTimes | None = None
    clock: LocalClock | None = None

    @property
    def size(self) -> int:
        """Number of tokens."""
        return self.n_ordered_tokens + 2

    @property
    def n_ordered_tokens(self) -> int:
        """Number of leading tokens whose order has a meaning: all but RARE and MISSING."""
        return int(self.token[-1]) + 1

    @property
    def rare(self) -> int:
        """The RARE token, never used: every number falls into a bin."""
        return self.n_ordered_tokens

    @property
    def missing(self) -> int:
        """The MISSING token."""
        return self.n_ordered_tokens + 1

    @cached_property
    def _ends(self) -> Floats:
        return np.concatenate([[0.0], np.cumsum(self.mass)])

    @cached_property
    def _starts(self) -> npt.NDArray[np.int64]:
        """First bin of each token, and one past the last."""
        return np.searchsorted(self.token, np.arange(self.n_ordered_tokens + 1)).astype(np.int64)

    def bin_index(self, data: Floats) -> npt.NDArray[np.int64]:
        """Return the bin of each number, shape (n,)."""
        return np.searchsorted(self.edges, self.local(data), side="right").astype(np.int64)

    def encode(self, data: Floats) -> Tokens:
        """Return the tokens of numbers (missing as NaN), shape (n,)."""
        present = ~np.isnan(data)
        tokens = np.full(len(data), self.missing, np.int32)
        tokens[present] = self.token[self.bin_index(data[present])]
        return tokens

    def decode(self, tokens: Tokens, rng: np.random.Generator) -> Floats:
        """Numbers of tokens, shape (n,), NaN where missing; sampled from the quantile function inside a token."""
        return self.decode_at(tokens, rng.random(len(tokens)))

    def decode_at(self, tokens: Tokens, position: Floats) -> Floats:
        """Return the numbers at a position in [0, 1) inside their tokens, shape (n,), NaN where missing."""
        out = np.full(len(tokens), np.nan)
        inside = np.flatnonzero(tokens < self.n_ordered_tokens)
        chosen = tokens[inside]
        first, last = self._ends[self._starts[chosen]], self._ends[self._starts[chosen + 1]]
        out[inside] = self.quantile(first + position[inside] * (last - first))
        return out

    def quantile(self, mass: Floats) -> Floats:
        """Return the quantile function: numbers at a cumulative mass in [0, rows), shape (n,)."""
        index = np.clip(np.searchsorted(self._ends, mass, side="right") - 1, 0, len(self.mass) - 1)
        share = np.clip((mass - self._ends[index]) / self.mass[index], 0.0, 1.0)
        value, draw = self.low[index].copy(), mass * DRAW_BITS % 1.0
        interval = np.flatnonzero(self.high[index] > value)
        index, draw = index[interval], draw[interval]
        low, high = self.local(self.low[index]), self.local(self.high[index])
        share = share[interval]
        inner = low + share * (high - low) if self.day_times is None else self.day_times.between(low, high, share)
        if self.rounding is not None:
            # The last bits of a position decide how its number is rounded; they are independent of where it lies.
            inner = self._stored(self.rounding.round(inner, index, draw, self.local(self.atoms)))
        else:
            inner = self._rounded(inner)
        inner = np.clip(inner, *self.local(np.array([self.low[0], self.high[-1]])))
        # Rounding changes no sign.
        inner = np.where(low >= 0, np.maximum(inner, 0.0), inner)
        inner = np.where(high <= 0, np.minimum(inner, 0.0), inner)
        if self.clock is not None:
            inner = self.clock.to_utc(inner, draw < self.clock.first_share)
            inner = np.clip(inner, self.low[0], self.high[-1])
        value[interval] = inner
        return value

    def local(self, data: Floats) -> Floats:
        """Return numbers in local time, for a datetime in a zone with summer time; otherwise unchanged."""
        return data if self.clock is None else self.clock.to_local(data)

    @cached_property
    def atoms(self) -> Floats:
        """The numbers with a bin of their own, ascending."""
        return np.asarray(self.low[self.low == self.high])

    def cumulative_mass(self, data: Floats, *, inclusive: bool = False) -> Floats:
        """Return the distribution function: cumulative mass below numbers (or up to them), shape (n,)."""
        index = np.searchsorted(self.high, data, side="right" if inclusive else "left")
        within = np.minimum(index, len(self.mass) - 1)
        width = self.high[within] - self.low[within]
        share = self._shares_before(data, within)
        share = np.where((index < len(self.mass)) & (width > 0), share, 0.0)
        return np.asarray(self._ends[index] + share * self.mass[within])

    def sample_between(self, least: Floats, most: Floats, rng: np.random.Generator) -> Floats:
        """Sample numbers from the quantile function between bounds, shape (n,)."""
        first, last = self.cumulative_mass(least), self.cumulative_mass(most, inclusive=True)
        return self.round_to_step(np.clip(self.quantile(first + rng.random(len(least)) * (last - first)), least, most))

    def is_frequent(self, data: Floats, share: float) -> npt.NDArray[np.bool_]:
        """Return whether each number is one that holds at least a share of the mass alone, shape (n,)."""
        often = self.low[(self.low == self.high) & (self.mass >= share * self.mass.sum())]
        return np.isin(data, often)

    def has_point_masses(self) -> bool:
        """Return whether single numbers have a twentieth of the mass of the tokens with more than one number."""
        low, high = self.token_bounds()
        wide = (high > low)[self.token]
        return bool(self.mass[wide & (self.low == self.high)].sum() > 0.05 * max(self.mass[wide].sum(), 1))

    def token_bounds(self) -> tuple[Floats, Floats]:
        """Return the lowest and highest number of each token, shape (n_ordered_tokens,) each."""
        return self.low[self._starts[:-1]], self.high[self._starts[1:] - 1]

    def means(self) -> Floats:
        """Return the mean number of each token, shape (n_ordered_tokens,)."""
        totals = np.add.reduceat(self.mass * (self.low + self.high) / 2, self._starts[:-1])
        return np.asarray(totals / np.add.reduceat(self.mass, self._starts[:-1]))

    def coverage(self, low: float, high: float) -> tuple[Floats, Floats, Floats]:
        """Return the share of each token that lies in an inclusive range.

        Returns:
            The share of each token inside, and the first and last position inside; each (n_ordered_tokens,).
        """
        step = 0.0 if self.decimals is None else self.unit / 10.0**self.decimals
        every = np.arange(len(self.low))
        inside = (self.low >= low) & (self.high <= high)
        # An interval is covered by its lattice points, each with half a step on both sides.
        below = np.where(inside, 0.0, self._shares_before(np.full(len(every), low - step / 2), every))
        above = np.where(inside, 1.0, self._shares_before(np.full(len(every), high + step / 2), every))
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

    def _shares_before(self, data: Floats, bins: npt.NDArray[np.int64]) -> Floats:
        """Return the share of each number's bin that is below it, shape (n,)."""
        low, high, data = self.local(self.low[bins]), self.local(self.high[bins]), self.local(data)
        if self.day_times is not None:
            return self.day_times.share(low, high, data)
        return np.asarray(np.clip((data - low) / np.maximum(high - low, 1e-300), 0.0, 1.0))

    def round_to_step(self, value: Floats) -> Floats:
        """Round numbers to the column's step."""
        if self.clock is None or self.unit == 1:
            return self._rounded(value)
        local = self.local(value)
        return value + self._rounded(local) - local

    def _rounded(self, value: Floats) -> Floats:
        if self.decimals is None:
            return self._stored(value)
        scale = 10.0**self.decimals
        if self.unit > 1:
            value = np.rint(value * scale / self.unit) * self.unit / scale
        return self._stored(np.round(value, self.decimals))

    def _stored(self, value: Floats) -> Floats:
        """Return numbers with the precision of the column's floats."""
        return value.astype(np.float32).astype(np.float64) if self.single else value

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return plain data and arrays for ``from_state``."""
        names = ("low", "high", "mass", "token", "edges", "counts")
        config: dict[str, Any] = {
            "coder": "quantile",
            "decimals": self.decimals,
            "unit": self.unit,
            "single": self.single,
        }
        arrays = {name: getattr(self, name) for name in names} | {"emit": self.allowed_tokens}
        if self.rounding is not None:
            measured = {name: array for name, array in vars(self.rounding).items() if array is not None}
            arrays |= {f"rounding.{name}": array for name, array in measured.items()}
        if self.day_times is not None:
            config["units_per_day"] = self.day_times.day
            arrays["day_times"] = self.day_times.shares
        if self.clock is not None:
            config["clock"] = [self.clock.zone, self.clock.unit, self.clock.first_share]
        return config, arrays

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: Arrays) -> QuantileCoder:
        """Rebuild a coder from its state.

        Raises:
            ValueError: Its arrays do not describe a quantile function.
        """
        rounding = {
            key.removeprefix("rounding."): array for key, array in arrays.items() if key.startswith("rounding.")
        }
        coder = cls(
            **{name: arrays[name] for name in ("low", "high", "mass", "token", "edges", "counts")},
            allowed_tokens=arrays["emit"].astype(bool),
            decimals=None if config["decimals"] is None else int(config["decimals"]),
            unit=int(config["unit"]),
            single=bool(config.get("single")),
            rounding=Rounding(**rounding) if rounding else None,
            day_times=DayTimes(float(config["units_per_day"]), arrays["day_times"]) if "day_times" in arrays else None,
            clock=clock_from_state(config.get("clock")),
        )
        coder._check()
        return coder

    def _check(self) -> None:
        """Raise a ValueError unless the arrays describe a quantile function."""
        bins, steps = self.low.shape, np.diff(self.token, prepend=0)
        if not self.token.size or self.token[0] or not np.isin(steps, (0, 1)).all():
            raise ValueError("the tokens of a number do not ascend from 0")
        whole = self.token.dtype.kind in "iu"
        if not whole or any(array.shape != bins for array in (self.high, self.mass, self.token)):
            raise ValueError("the bins of a number differ in their arrays")
        for array in (self.low, self.high, self.edges):
            check_numbers(array, array.shape, "the bins of a number")
        if (self.low > self.high).any() or self.unit < 1:
            raise ValueError("the bins of a number do not ascend")
        # The outermost bins may have no rows: their ends are the column's bounds.
        known = np.isfinite(self.mass).all() and (self.mass >= 0).all() and np.bincount(self.token, self.mass).all()
        if self.edges.shape != (bins[0] - 1,) or not known:
            raise ValueError("the bins of a number have no edges or no rows")
        if self.allowed_tokens.shape != (self.size,):
            raise ValueError("the counts of a number do not match its tokens")
        check_numbers(self.counts, (self.size,), "the counts of a number do not match its tokens", low=0, whole=True)
        if self.rounding is not None:
            self.rounding.check(bins[0])
        if self.day_times is not None:
            self.day_times.check()


def count_persons(groups: npt.NDArray[Any], persons: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Return the distinct persons in each group, shape (count,); negative groups are ignored."""
    seen = groups >= 0
    pairs = np.unique(np.stack([groups[seen].astype(np.int64), persons[seen]], axis=1), axis=0)
    return np.bincount(pairs[:, 0], minlength=count)
