"""Statistical matching: fuse two tables that share columns but no key.

The second table's columns are sampled for the first table's rows. Without a key, the joint distribution of columns that
were never observed together is known only within Fréchet bounds: sampled rows assume conditional independence given the
common columns, and joint shares of such a pair are refused if the bounds are wide. A small linked sample replaces this
assumption by learned donor odds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

from tabsynth.common.arrays import Floats, Integers
from tabsynth.common.progress import progress_bar
from tabsynth.errors import DataError, InputError, quote
from tabsynth.mixing.combination.conditional_logit import calibrate_odds, fit_odds
from tabsynth.mixing.combination.frechet_bounds import cramers_v, group_rows, joint_bounds, to_classes

N_TREES = 40
MIN_LEAF_ROWS = 10
"""Minimum leaf size; a row's donors are the rows in its leaf of any tree."""

N_DONORS = 120
"""Candidate donors of a row."""

BLOCK_ROWS = 2000
MAX_CALIBRATION_ROWS = 4000
"""Maximum rows for calibrating the odds."""

MAX_TARGETS = 8
"""Maximum columns of the second table that the trees predict."""

MAX_BOUND_WIDTH = 0.05
"""Maximum width of the bounds of a claimed share."""

MIN_LINKED_ROWS = 50


@dataclass(frozen=True, eq=False)
class FuseResult:
    """A fused table and its uncertainty.

    Attributes:
        frame: The first table's rows with the second's columns.
        report: ``method``, and under ``pairs`` for each pair of columns never observed together: ``cells`` with the
            Fréchet bounds ``low`` and ``high`` and the sampled ``share``; ``width``, the widest bounds; ``cramers_v``;
            ``refused``, the reason against a claim, or None.
    """

    frame: pd.DataFrame
    report: dict[str, Any]

    def claim(self, first: str, second: str) -> pd.DataFrame:
        """Return the joint shares of a pair of columns.

        Raises:
            InputError: The pair was not fused here.
            DataError: The bounds are too wide; the message states them.
        """
        pair = next((p for p in self.report["pairs"] if {p["first"], p["second"]} == {first, second}), None)
        if pair is None:
            raise InputError(f"columns {first!r} and {second!r} were not fused")
        if pair["refused"]:
            raise DataError(pair["refused"])
        cells = pd.DataFrame(pair["cells"])
        return cells.pivot(index=pair["first"], columns=pair["second"], values="share")


def fuse(
    a: pd.DataFrame,
    b: pd.DataFrame,
    common: Sequence[str],
    overlap: pd.DataFrame | None = None,
    seed: int = 0,
) -> FuseResult:
    """Sample the columns of ``b`` for the rows of ``a``.

    Each row takes all of ``b``'s own columns from one donor, a row of ``b`` that a random forest finds similar in the
    common columns, so dependences within ``b`` are preserved. With a linked sample, donors are sampled with odds
    learned by a conditional logit.

    Args:
        a: The table to complete.
        b: The table of donors.
        common: The common columns.
        overlap: A linked sample with the columns of both tables.
        seed: Random seed.

    Raises:
        InputError: Common columns are missing, or other columns are in both tables.
        DataError: A table is too small.
    """
    common = list(common)
    own, other = _check_columns(a, b, common, overlap)
    rng = np.random.default_rng(seed)
    left, right, linked = _to_numbers([a[common], b[common], *([] if overlap is None else [overlap[common]])])
    targets = np.column_stack([to_classes([b[name]])[0][0] for name in other[:MAX_TARGETS]])
    forest = RandomForestClassifier(
        N_TREES, min_samples_leaf=MIN_LEAF_ROWS, max_features=0.5, random_state=int(rng.integers(2**31 - 1))
    )
    forest.fit(right, targets if targets.shape[1] > 1 else targets[:, 0])
    donors = _DonorPool(forest, right)
    odds = None
    if overlap is not None:
        candidates = donors.draw(linked, rng)
        odds = fit_odds((overlap[own], overlap[other]), a[own], b[other], candidates, int(rng.integers(2**31 - 1)))
        calibration_rows = slice(0, len(a), -(-len(a) // MAX_CALIBRATION_ROWS))
        odds = calibrate_odds(odds, calibration_rows, donors.draw(left[calibration_rows], rng))
    donor_rows = np.empty(len(a), np.int64)
    with progress_bar(len(a), "fuse", "row", None) as bar:
        for start in range(0, len(a), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            candidates = donors.draw(left[rows], rng)
            weights = odds.of(rows, candidates) if odds else np.ones(candidates.shape)
            share = np.cumsum(weights, axis=1)
            place = (share < rng.random(len(candidates))[:, None] * share[:, -1:]).sum(axis=1)
            donor_rows[rows] = candidates[np.arange(len(candidates)), np.minimum(place, candidates.shape[1] - 1)]
            bar.update(len(candidates))
    donated = b[other].iloc[donor_rows].set_axis(a.index, axis=0)
    frame = pd.concat([a, donated], axis=1)
    report: dict[str, Any] = {
        "method": "donors under conditional independence" if odds is None else "donors weighted by a linked sample",
        "common": common,
        "linked_rows": 0 if overlap is None else len(overlap),
        "donors_used": len(np.unique(donor_rows)),
        "limit": MAX_BOUND_WIDTH,
        "pairs": _pair_reports(frame, a[own], b[other], group_rows(left, right, targets, seed), overlap),
    }
    return FuseResult(frame, report)


def _check_columns(
    a: pd.DataFrame, b: pd.DataFrame, common: list[str], overlap: pd.DataFrame | None
) -> tuple[list[str], list[str]]:
    """Validate the tables; return the columns that only ``a`` has and those that only ``b`` has."""
    for label, frame in (("first", a), ("second", b)):
        absent = [name for name in common if name not in frame.columns]
        if absent or not common:
            named = quote(absent) if common else "(none is named)"
            raise InputError(f"the {label} table has no column {named} in common")
        if len(frame) < 2 * MIN_LEAF_ROWS:
            raise DataError(
                f"the {label} table has {len(frame)} rows; at least {2 * MIN_LEAF_ROWS} are needed to find donors"
            )
    own, other = ([name for name in frame.columns if name not in common] for frame in (a, b))
    both = [name for name in own if name in other]
    if both:
        raise InputError(f"column {quote(both)} is in both tables but not named as common; name it, or drop one")
    if not other:
        raise InputError("all columns of the second table are in the first; there is nothing to fuse")
    if overlap is not None:
        absent = [name for name in [*common, *own, *other] if name not in overlap.columns]
        if absent:
            raise InputError(f"the linked sample has no column {quote(absent)}; it needs all columns of both tables")
        if len(overlap) < MIN_LINKED_ROWS:
            raise DataError(f"the linked sample has {len(overlap)} rows; below {MIN_LINKED_ROWS} it is too small")
    return own, other


class _DonorPool:
    """Candidate donors: rows of the second table with similar common columns."""

    def __init__(self, forest: RandomForestClassifier, right: Floats) -> None:
        self.forest = forest
        leaves = forest.apply(right)
        self.order = np.argsort(leaves, axis=0, kind="stable")
        self.sorted = np.take_along_axis(leaves, self.order, axis=0)

    def draw(self, rows: Floats, rng: np.random.Generator) -> Integers:
        """Sample donors of each row, shape (rows, N_DONORS): random rows of the row's leaf in random trees."""
        leaves = self.forest.apply(rows)
        low, high = (
            np.column_stack([np.searchsorted(self.sorted[:, t], leaves[:, t], side) for t in range(leaves.shape[1])])
            for side in ("left", "right")
        )
        tree = rng.integers(leaves.shape[1], size=(len(rows), N_DONORS))
        start, stop = np.take_along_axis(low, tree, axis=1), np.take_along_axis(high, tree, axis=1)
        place = start + (rng.random(tree.shape) * (stop - start)).astype(np.int64)
        return np.asarray(self.order[place, tree], np.int64)


def _to_numbers(frames: list[pd.DataFrame]) -> tuple[Floats, Floats, Floats]:
    """Return the common columns as numbers: numbers and dates by value, others by frequency rank."""
    out = [np.empty(frame.shape) for frame in frames]
    for i, name in enumerate(frames[0].columns):
        columns = [frame[name] for frame in frames]
        if all(pd.api.types.is_numeric_dtype(column.dtype) for column in columns):
            numbers = [column.to_numpy(np.float64, na_value=np.nan) for column in columns]
        elif all(pd.api.types.is_datetime64_any_dtype(column.dtype) for column in columns):
            numbers = [np.where(c.isna(), np.nan, c.astype("datetime64[ns]").astype("int64")) for c in columns]
        else:
            counts = pd.concat([column.astype(object) for column in columns]).value_counts()
            rank = {value: float(place) for place, value in enumerate(counts.index)}
            numbers = [column.astype(object).map(rank).to_numpy(np.float64) for column in columns]
        for array, values in zip(out, numbers, strict=True):
            array[:, i] = values
    return out[0], out[1], out[2] if len(out) > 2 else np.empty((0, out[0].shape[1]))


def _pair_reports(
    frame: pd.DataFrame,
    first: pd.DataFrame,
    second: pd.DataFrame,
    grouped: tuple[Integers, Integers],
    overlap: pd.DataFrame | None,
) -> list[dict[str, Any]]:
    """Report each pair of columns never observed together."""
    reports = []
    for y in first.columns:
        (mine,), names = to_classes([first[y]])
        for z in second.columns:
            (theirs, drawn), other = to_classes([second[z], frame[z]])
            low, high = joint_bounds(mine, theirs, *grouped, (len(names), len(other)))
            share = np.zeros(low.shape)
            np.add.at(share, (mine, drawn), 1 / len(frame))
            cells = [
                {y: names[i], z: other[j], "low": low[i, j], "high": high[i, j], "share": share[i, j]}
                for i in range(len(names))
                for j in range(len(other))
            ]
            width = high - low
            i, j = np.unravel_index(width.argmax(), width.shape)
            refused = None
            if overlap is None and width.max() > MAX_BOUND_WIDTH:
                refused = (
                    f"the tables leave the share of {y}={names[i]}, {z}={other[j]} anywhere between {low[i, j]:.3f} "
                    f"and {high[i, j]:.3f}, farther apart than {MAX_BOUND_WIDTH:g}; a linked sample (overlap=) can "
                    "decide"
                )
            reports.append(
                {
                    "first": y,
                    "second": z,
                    "cells": cells,
                    "width": float(width.max()),
                    "cramers_v": cramers_v(share),
                    "refused": refused,
                }
            )
    return reports
