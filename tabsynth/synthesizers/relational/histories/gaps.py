"""Gaps between siblings relative to the remaining time.

The tokens of gaps represent lengths, because lengths such as a week recur exactly. The logits also depend on the ratio
of a gap to the mean gap that remains, binned to a quarter of a doubling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Floats, Integers
from tabsynth.synthesizers.relational.histories.context import Clock

N_RATIOS = 52
"""Classes of ratios: one for no gap, a quarter of a doubling each, and one for tokens that are no number."""

EQUAL_RATIO = 25
"""Class of a gap that is as long as the mean remaining gap."""

LEFT_ROWS = (1, 2, 3, 5, 9, 17, 33, 65, 129)
"""Minimum remaining rows of each class of rows in which ratios are calibrated."""


@dataclass(frozen=True, eq=False)
class GapTokens:
    """The tokens of the gap as lengths.

    Attributes:
        low, typical: Least and mean length of each token, NaN for tokens that are no number, shape (tokens,).
    """

    low: Floats
    typical: Floats

    @classmethod
    def of(cls, coder: QuantileCoder) -> GapTokens:
        """Return the tokens of a coder."""
        low, typical = np.full(coder.size, np.nan), np.full(coder.size, np.nan)
        low[: coder.n_ordered_tokens] = coder.token_bounds()[0]
        typical[: coder.n_ordered_tokens] = coder.means()
        return cls(low, typical)

    def ratios(self, left: Floats) -> npt.NDArray[np.uint8]:
        """Return the class of each token's ratio to the mean remaining gap, shape (n, tokens).

        Args:
            left: The mean remaining gap, shape (n,).
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            doublings = np.log2(self.typical)[None, :] - np.log2(np.maximum(left, 1e-9))[:, None]
        out = np.clip(np.round(4 * np.nan_to_num(doublings, neginf=-99.0)) + EQUAL_RATIO, 1, N_RATIOS - 2)
        out[:, np.nan_to_num(self.typical) <= 0] = 0
        out[:, np.isnan(self.typical)] = N_RATIOS - 1
        tokens: npt.NDArray[np.uint8] = out.astype(np.uint8)
        return tokens


def sibling_gaps(times: Floats, starts: Integers) -> Floats:
    """Return the time since the previous sibling, NaN for first siblings.

    Args:
        times: Times of all rows, siblings together and in order, shape (n,).
        starts: Row number of each parent's first child, and the number of rows, shape (parents with children + 1,).
    """
    out = np.diff(times, prepend=times[:1])
    out[starts[:-1]] = np.nan
    return out


def longest_shares(gaps: Floats, clock: Clock, roots: Integers, min_group: int) -> Floats:
    """Return the longest gap of ``min_group`` roots as a share of the remaining time, by class of remaining rows.

    Args:
        gaps: Gaps of the training rows, NaN for first siblings, shape (n,).
        clock: Positions of the rows in their histories.
        roots: The root's row number of each row, shape (n,).
        min_group: Minimum number of roots; a class of fewer roots has no bound.
    """
    left = clock.last - clock.previous
    shares = pd.DataFrame({"class": left_class(clock), "root": roots, "share": gaps / np.where(left > 0, left, np.nan)})
    most = shares.dropna().groupby(["class", "root"]).share.max().sort_values(ascending=False)
    out = np.ones(len(LEFT_ROWS))
    for number in range(len(out)):
        own = most[most.index.get_level_values("class") == number]
        if len(own) >= min_group:
            out[number] = own.iloc[min_group - 1]
    return out


def mean_gap_left(clock: Clock) -> Floats:
    """Return the remaining time divided by the remaining rows, shape (n,)."""
    left = np.maximum(clock.last - clock.previous, 0.0)
    return np.asarray(left / np.maximum(clock.count - clock.place, 1))


def left_class(clock: Clock) -> Integers:
    """Return the class of the number of remaining rows, shape (n,)."""
    return np.asarray(np.searchsorted(LEFT_ROWS, clock.count - clock.place, side="right") - 1, np.int64)
