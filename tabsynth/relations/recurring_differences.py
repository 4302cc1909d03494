"""Exact relations narrower than a token: two numbers are placed inside their tokens together, by their difference.

A payment equals the bill before it, a visit ends a quarter of an hour after it began: tokens are too wide to say so,
and numbers placed at random inside them would break it. Columns whose difference keeps recurring exactly are tied in
pairs: the distribution of the difference is measured for each part of the later column (every knot rests on enough
persons here too), and decoding draws a difference d by p(d) times the share of the earlier token that d leads from into
the later one, which is Bayes' rule for a number that lies evenly inside its token. Where one of the columns heaps on
round numbers, only differences that recur are kept, so that the heaps stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.codec.quantile_bins import decimals_of, measure_quantiles
from tabsynth.common.arrays import Arrays, Floats, Tokens

RECURRING = 0.05
"""A tie needs this share of rows whose difference recurs exactly."""

OFTEN = 0.01
"""A difference recurs when it has this share of the rows of its part."""

CANDIDATES = 16
"""Differences drawn for a row, of which one is chosen."""

KNOTS = 1024
"""Values of a difference beyond which rare ones are joined to stretches."""

PARTS, ROWS = 32, 400
"""Most parts of a column that have a distribution each, and fewest rows of a part."""

SAMPLE = 4000
"""Rows on which pairs are looked for."""


@dataclass(frozen=True, eq=False)
class Tie:
    """A column's difference to a column before it.

    Attributes:
        partner: The column before it.
        part: The part of the column that each of its tokens belongs to, shape (line,).
        differences: How the difference is distributed in each part.
        heaped: Whether either column heaps on some numbers inside its tokens.
    """

    partner: str
    part: npt.NDArray[np.int64]
    differences: tuple[QuantileCoder, ...]
    heaped: bool

    def place(
        self,
        coders: tuple[QuantileCoder, QuantileCoder],
        tokens: tuple[Tokens, Tokens],
        placed: tuple[Floats, Floats],
        free: npt.NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> tuple[Floats, Floats]:
        """Numbers of both columns inside their tokens, shape (n,) each.

        Args:
            coders: The partner's coder and the column's own.
            tokens: Their tokens.
            placed: Numbers already placed, which stay where one is missing or no difference fits.
            free: Rows whose partner may still be moved inside its token.
            rng: Where random numbers come from.
        """
        first, second = placed[0].copy(), placed[1].copy()
        rows = np.flatnonzero(~np.isnan(first) & ~np.isnan(second))
        low, high = coders[0].spans()
        start = np.where(free[rows], low[tokens[0][rows]], first[rows])
        stop = np.where(free[rows], high[tokens[0][rows]], first[rows])
        low, high = coders[1].spans()
        least, most = low[tokens[1][rows]], high[tokens[1][rows]]
        wide = most > least
        rows, start, stop, least, most = rows[wide], start[wide], stop[wide], least[wide], most[wide]
        part = self.part[tokens[1][rows]]
        for number, differences in enumerate(self.differences):
            here = np.flatnonzero(part == number)
            if not len(here):
                continue
            a, b, c, d = (edge[here][:, None] for edge in (start, stop, least, most))
            floor = differences.mass_below((c - b).ravel())[:, None]
            room = differences.mass_below((d - a).ravel(), inclusive=True)[:, None] - floor
            drawn = differences.at((floor + rng.random((len(here), CANDIDATES)) * room).ravel()).reshape(len(here), -1)
            # The candidates lie in reach; each weighs as much of the partner's token as leads into ours.
            begin, end = np.maximum(a, c - drawn), np.minimum(b, d - drawn)
            weight = np.where((room > 0) & (end >= begin), end - begin + 1e-9 * (b - a) + 1e-12, 0.0).cumsum(1)
            fits = weight[:, -1] > 0
            chosen = (weight < rng.random((len(here), 1)) * weight[:, -1:]).sum(1).clip(max=CANDIDATES - 1)
            pick = (np.arange(len(here)), chosen)
            if self.heaped:
                fits &= differences.recurs(drawn[pick], OFTEN)
            base = np.where(free[rows[here]], coders[0].between(begin[pick], end[pick], rng), first[rows[here]])
            own = np.clip(coders[1].rounded(base + drawn[pick]), c[:, 0], d[:, 0])
            first[rows[here]] = np.where(fits, base, first[rows[here]])
            second[rows[here]] = np.where(fits, own, second[rows[here]])
        return first, second


def find_ties(
    lines: Mapping[str, Floats],
    coders: Mapping[str, QuantileCoder],
    *,
    min_group: int,
    persons: npt.NDArray[np.int64] | None,
) -> dict[str, Tie]:
    """Ties by their later column; each column takes part in one at most, the most often recurring pair first.

    Args:
        lines: Each column's numbers, missing as NaN, in the order of the table; columns of one unit.
        coders: Their coders.
        min_group: How many persons every knot of a difference rests on.
        persons: Who each row is about.
    """
    names = list(lines)
    step = max(1, len(next(iter(lines.values()))) // SAMPLE)
    thin = {name: _inside(coders[name], lines[name][::step]) for name in names}
    found = []
    for i, own in enumerate(names):
        for other in names[:i]:
            share = _recurring(thin[own] - thin[other])
            if share >= RECURRING:
                found.append((share, own, other))
    out: dict[str, Tie] = {}
    taken: set[str] = set()
    for _, own, other in sorted(found, key=lambda pair: -pair[0]):
        if own not in taken and other not in taken:
            tie = _measured(other, coders[other], coders[own], lines[own], lines[other], min_group, persons)
            if tie is not None:
                out[own] = tie
                taken |= {own, other}
    return out


def _inside(coder: QuantileCoder, data: Floats) -> Floats:
    """Numbers whose token says less than they do; the others, which decode exactly, as missing."""
    low, high = coder.spans()
    token = np.minimum(coder.encode(data), coder.line - 1)
    return np.where((high > low)[token], data, np.nan)


def _recurring(difference: Floats) -> float:
    """Share of all rows whose difference is one that recurs."""
    present = np.round(difference[~np.isnan(difference)], 9)
    counts = np.unique(present, return_counts=True)[1]
    return float(counts[counts >= max(OFTEN * len(difference), 5)].sum() / len(difference))


def _measured(
    partner: str,
    partner_coder: QuantileCoder,
    coder: QuantileCoder,
    own: Floats,
    other: Floats,
    min_group: int,
    persons: npt.NDArray[np.int64] | None,
) -> Tie | None:
    """The distribution of a difference in each part of a column; None where a part holds too few persons."""
    decimals = decimals_of(own)
    difference = own - other if decimals is None else np.round(own - other, decimals)
    counts = coder.counts[: coder.line].astype(np.float64)
    parts = int(np.clip(counts.sum() // ROWS, 1, PARTS))
    share = (np.cumsum(counts) - counts / 2) / counts.sum()
    part = np.unique(np.floor(share * parts), return_inverse=True)[1].astype(np.int64)
    token = coder.encode(own)
    found = []
    for number in range(int(part.max()) + 1):
        rows = np.append(part == number, [False, False])[token]
        who = None if persons is None else persons[rows]
        measured = measure_quantiles(
            difference[rows], tokens=KNOTS, decimals=decimals, min_group=min_group, persons=who
        )
        if measured is None:
            return None
        found.append(measured)
    return Tie(partner, part, tuple(found), coder.heaped() or partner_coder.heaped())


def tie_state(tie: Tie) -> tuple[dict[str, Any], Arrays]:
    """A tie as plain data and arrays."""
    states = [coder.state() for coder in tie.differences]
    arrays = {f"{i}.{key}": array for i, (_, held) in enumerate(states) for key, array in held.items()}
    config = {"partner": tie.partner, "heaped": tie.heaped, "differences": [plain for plain, _ in states]}
    return config, {**arrays, "part": tie.part}


def tie_from_state(config: dict[str, Any], arrays: Arrays) -> Tie:
    """Rebuild a tie from its state."""
    coders = []
    for i, plain in enumerate(config["differences"]):
        held = {key.removeprefix(f"{i}."): array for key, array in arrays.items() if key.startswith(f"{i}.")}
        coders.append(QuantileCoder.from_state(plain, held))
    return Tie(str(config["partner"]), arrays["part"], tuple(coders), bool(config["heaped"]))
