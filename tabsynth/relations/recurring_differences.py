"""Pairs of numeric columns whose difference recurs exactly, such as payment = bill.

Decoding samples the difference, so the equality survives binning. The distribution of the difference is
measured in each part of the later column's range. A difference d is sampled with a probability proportional to p(d)
times the share of the earlier token that d shifts into the later token. This is Bayes' rule for a number that is
uniform inside its token. If one of the columns has point masses, only recurring differences are used, which preserve
the masses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.codec.quantile_bins import measure_quantiles, shared_decimals
from tabsynth.codec.token_range import TokenRange
from tabsynth.common.arrays import Arrays, Floats, Tokens

MIN_RECURRING_SHARE = 0.05
"""Minimum share of rows whose difference recurs exactly, above that in shuffled rows."""

MIN_DIFFERENCE_SHARE = 0.01
"""A difference is recurring if at least this share of the rows of its part have it."""

N_CANDIDATES = 16
"""Differences sampled for a row, of which one is chosen."""

MAX_KNOTS = 1024
"""Distinct differences beyond which rare ones are merged into intervals."""

MAX_PARTS, MIN_PART_ROWS = 32, 400
"""Maximum number of parts with a distribution each, and minimum rows of a part."""

MAX_SCAN_ROWS = 4000
"""Rows on which pairs are searched."""

SCREEN_ROWS, MIN_SCREEN_REPEATS = 400, 5
"""Pairs with fewer repeated differences than this among the screened rows are skipped."""


@dataclass(frozen=True, eq=False)
class RecurringDifference:
    """The distribution of a column's difference to an earlier column.

    Attributes:
        partner: The earlier column.
        part: The part of the column that each of its tokens belongs to, shape (tokens,).
        differences: Distribution of the difference in each part.
        has_point_masses: Whether either column has point masses inside its tokens.
    """

    partner: str
    part: npt.NDArray[np.int64]
    differences: tuple[QuantileCoder, ...]
    has_point_masses: bool

    def sample(
        self,
        coders: tuple[QuantileCoder, QuantileCoder],
        tokens: tuple[Tokens, Tokens],
        placed: tuple[Floats, Floats],
        free: npt.NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> tuple[Floats, Floats]:
        """Sample numbers of both columns inside their tokens, shape (n,) each.

        Args:
            coders: The partner's coder and the column's own.
            tokens: Their tokens.
            placed: Numbers already sampled; they remain if one of the two is missing or no difference fits.
            free: Rows whose partner may still move inside its token, shape (n,).
            rng: Random generator.
        """
        first, second = placed[0].copy(), placed[1].copy()
        rows = np.flatnonzero(~np.isnan(first) & ~np.isnan(second))
        low, high = coders[0].token_bounds()
        start = np.where(free[rows], low[tokens[0][rows]], first[rows])
        stop = np.where(free[rows], high[tokens[0][rows]], first[rows])
        low, high = coders[1].token_bounds()
        least, most = low[tokens[1][rows]], high[tokens[1][rows]]
        wide = most > least
        rows, start, stop, least, most = rows[wide], start[wide], stop[wide], least[wide], most[wide]
        part = self.part[tokens[1][rows]]
        for number, differences in enumerate(self.differences):
            here = np.flatnonzero(part == number)
            if not len(here):
                continue
            a, b, c, d = (edge[here][:, None] for edge in (start, stop, least, most))
            floor = differences.cumulative_mass((c - b).ravel())[:, None]
            room = differences.cumulative_mass((d - a).ravel(), inclusive=True)[:, None] - floor
            mass = floor + rng.random((len(here), N_CANDIDATES)) * room
            drawn = differences.quantile(mass.ravel()).reshape(len(here), -1)
            # Weight of a candidate: the part of the partner's token that it shifts into the column's token.
            begin, end = np.maximum(a, c - drawn), np.minimum(b, d - drawn)
            weight = np.where((room > 0) & (end >= begin), end - begin + 1e-9 * (b - a) + 1e-12, 0.0).cumsum(1)
            fits = weight[:, -1] > 0
            chosen = (weight < rng.random((len(here), 1)) * weight[:, -1:]).sum(1).clip(max=N_CANDIDATES - 1)
            pick = (np.arange(len(here)), chosen)
            if self.has_point_masses:
                fits &= differences.is_frequent(drawn[pick], MIN_DIFFERENCE_SHARE)
            base = np.where(free[rows[here]], coders[0].sample_between(begin[pick], end[pick], rng), first[rows[here]])
            value = coders[1].round_to_step(np.clip(base + drawn[pick], c[:, 0], d[:, 0]))
            first[rows[here]] = np.where(fits, base, first[rows[here]])
            second[rows[here]] = np.where(fits, value, second[rows[here]])
        return first, second


def discover_differences(
    columns: Mapping[str, Floats],
    coders: Mapping[str, QuantileCoder],
    *,
    min_group: int,
    persons: npt.NDArray[np.int64] | None,
) -> dict[str, RecurringDifference]:
    """Find recurring differences by their later column; each column is in at most one pair, most frequent first.

    Args:
        columns: Values of columns of one unit in the order of the table, missing as NaN, shape (n,) each.
        coders: Their coders.
        min_group: Minimum persons of each stored difference.
        persons: Person of each row, shape (n,); None if each row is a person.
    """
    names = list(columns)
    step = max(1, len(next(iter(columns.values()))) // MAX_SCAN_ROWS)
    subsample = {name: _within_wide_tokens(coders[name], columns[name][::step]) for name in names}
    pairs, shuffle = [], np.random.default_rng(0)
    scan = np.stack([own[:: max(1, len(own) // SCREEN_ROWS)] for own in subsample.values()])
    for i, own in enumerate(names):
        screened = np.sort(np.round(scan[:i] - scan[i], 9), axis=1)
        repeats = (np.diff(screened, axis=1) == 0).sum(axis=1) >= MIN_SCREEN_REPEATS
        for other in (names[at] for at in np.flatnonzero(repeats)):
            share = _recurring_share(subsample[own] - subsample[other])
            # Differences of round numbers recur by chance; those in shuffled rows do not count.
            if share >= MIN_RECURRING_SHARE:
                share -= _recurring_share(subsample[own] - shuffle.permutation(subsample[other]))
            if share >= MIN_RECURRING_SHARE:
                pairs.append((share, own, other))
    out: dict[str, RecurringDifference] = {}
    taken: set[str] = set()
    for _, own, other in sorted(pairs, key=lambda pair: -pair[0]):
        if own not in taken and other not in taken:
            difference = _measure(other, coders[other], coders[own], columns[own], columns[other], min_group, persons)
            if difference is not None:
                out[own] = difference
                taken |= {own, other}
    return out


def _within_wide_tokens(coder: QuantileCoder, data: Floats) -> Floats:
    """Return the numbers in tokens wider than one number; the others, which decode exactly, become NaN."""
    low, high = coder.token_bounds()
    token = np.minimum(coder.encode(data), coder.n_ordered_tokens - 1)
    return np.where((high > low)[token], data, np.nan)


def _recurring_share(difference: Floats) -> float:
    """Return the share of all rows with a recurring difference."""
    present = np.round(difference[~np.isnan(difference)], 9)
    counts = np.unique(present, return_counts=True)[1]
    return float(counts[counts >= max(MIN_DIFFERENCE_SHARE * len(difference), 5)].sum() / len(difference))


def _measure(
    partner: str,
    partner_coder: QuantileCoder,
    coder: QuantileCoder,
    later: Floats,
    earlier: Floats,
    min_group: int,
    persons: npt.NDArray[np.int64] | None,
) -> RecurringDifference | None:
    """Measure the distribution of a difference in each part of a column; None if a part has too few persons."""
    decimals = shared_decimals(later)
    difference = later - earlier if decimals is None else np.round(later - earlier, decimals)
    counts = coder.counts[: coder.n_ordered_tokens].astype(np.float64)
    parts = int(np.clip(counts.sum() // MIN_PART_ROWS, 1, MAX_PARTS))
    share = (np.cumsum(counts) - counts / 2) / counts.sum()
    part = np.unique(np.floor(share * parts), return_inverse=True)[1].astype(np.int64)
    token = coder.encode(later)
    pairs = []
    for number in range(int(part.max()) + 1):
        rows = np.append(part == number, [False, False])[token]
        row_persons = None if persons is None else persons[rows]
        measured = measure_quantiles(
            difference[rows], tokens=MAX_KNOTS, decimals=decimals, min_group=min_group, persons=row_persons
        )
        if measured is None:
            return None
        pairs.append(measured)
    heaped = coder.has_point_masses() or partner_coder.has_point_masses()
    return RecurringDifference(partner, part, tuple(pairs), heaped)


def difference_state(difference: RecurringDifference) -> tuple[dict[str, Any], Arrays]:
    """Return a recurring difference as plain data and arrays."""
    states = [coder.state() for coder in difference.differences]
    arrays = {f"{i}.{key}": array for i, (_, coder_arrays) in enumerate(states) for key, array in coder_arrays.items()}
    config = {
        "partner": difference.partner,
        "heaped": difference.has_point_masses,
        "differences": [plain for plain, _ in states],
    }
    return config, {**arrays, "part": difference.part}


def difference_from_state(config: dict[str, Any], arrays: Arrays) -> RecurringDifference:
    """Rebuild a recurring difference from its state."""
    coders = []
    for i, plain in enumerate(config["differences"]):
        coder_arrays = {key.removeprefix(f"{i}."): array for key, array in arrays.items() if key.startswith(f"{i}.")}
        coders.append(QuantileCoder.from_state(plain, coder_arrays))
    return RecurringDifference(str(config["partner"]), arrays["part"], tuple(coders), bool(config["heaped"]))


def decode_numbers(
    coders: Mapping[str, QuantileCoder],
    tokens: Mapping[str, Tokens],
    differences: Mapping[str, RecurringDifference],
    ranges: Mapping[str, TokenRange],
    numbers: Mapping[str, Floats],
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Decode the numeric columns, with their recurring differences; arguments as in ``Relations.decode``."""
    out: dict[str, Floats] = {}
    for name, coder in coders.items():
        data = ranges[name].decode(coder, tokens[name], rng) if name in ranges else coder.decode(tokens[name], rng)
        known = numbers.get(name)
        out[name] = data if known is None else np.where(np.isnan(known), data, coder.round_to_step(known))
    for name, difference in differences.items():
        if name not in ranges:
            known = numbers.get(difference.partner)
            free = np.full(len(out[name]), difference.partner not in ranges) if known is None else np.isnan(known)
            pair, fixed = (difference.partner, name), out[name]
            out[difference.partner], out[name] = difference.sample(
                (coders[pair[0]], coders[name]), (tokens[pair[0]], tokens[name]), (out[pair[0]], fixed), free, rng
            )
            if name in numbers:
                out[name] = np.where(np.isnan(numbers[name]), out[name], fixed)
    return out
