"""Memorisation smoke test: distance to the closest record (DCR) and exact matches.

It detects models that copy training rows. It does not show that a table is safe; the privacy audit tests that (Houssiau
et al., "TAPAS", 2022; Yao et al., "The DCR delusion", 2025).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from scipy.stats import norm

from tabsynth.common.arrays import Floats, Integers
from tabsynth.common.binomial import newcombe, wilson
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.encoded_table import EncodedTable

MAX_REAL_ROWS = 10_000
"""Maximum training, and held-out, rows to which distances are computed."""

MAX_SYNTHETIC_ROWS = 2_000
"""Maximum synthetic rows for which distances are computed."""

CHUNK_ROWS = 32
"""Number of synthetic rows per chunk: 32 x 10,000 distances take 2.5 MB, which fits into a core's cache."""

MANTISSA_BITS = 40
"""Number of bits (about twelve decimal digits) in which equal numbers agree; file readers may differ in the last of
the 53 bits."""

MISSING_POSITION = -0.5
"""Position of a missing number on the scale from 0 (training minimum) to 1 (training maximum)."""


def memorisation_scores(
    train: EncodedTable, synthetic: EncodedTable, holdout: EncodedTable, rng: np.random.Generator
) -> list[Score]:
    """Return the DCR share and exact-match rate.

    Args:
        train: The training table.
        synthetic: The synthetic table.
        holdout: Held-out real rows.
        rng: Generator of the samples.
    """
    k = min(len(train), len(holdout), MAX_REAL_ROWS)
    sample = synthetic.take(rng.permutation(len(synthetic))[:MAX_SYNTHETIC_ROWS])
    seen = nearest_neighbours(sample, train.take(rng.permutation(len(train))[:k]), train)
    unseen = nearest_neighbours(sample, holdout.take(rng.permutation(len(holdout))[:k]), train)
    share, low, high = _dcr_share(seen, unseen, k)
    known = np.unique(_row_hashes(train))
    matched = np.isin(_row_hashes(synthetic), known)
    other = np.isin(_row_hashes(holdout), known)
    below, above = newcombe(int(matched.sum()), len(matched), int(other.sum()), len(other))
    return [
        Score(
            name="dcr_share",
            value=100 * share,
            interval=(100 * low, 100 * high),
            better="target",
            target=50.0,
            floor=50.0,
            unit="%",
            description="Share of synthetic rows whose closest record is a training row; 50 % without memorisation.",
            method=f"{len(sample):,} synthetic rows against {k:,} training and {k:,} held-out rows, Gower distance; "
            "interval from random labels of the real rows. A smoke test, not a proof of privacy.",
        ),
        Score(
            name="copies",
            value=100 * float(matched.mean() - other.mean()),
            interval=(100 * below, 100 * above),
            better="lower",
            target=0.0,
            floor=0.0,
            unit="%",
            description="Share of synthetic rows that equal a training row, minus the same share of held-out rows.",
            method=f"{100 * matched.mean():.2f} % of synthetic and {100 * other.mean():.2f} % of held-out rows are in "
            "the training table (numbers to twelve digits); Newcombe interval of the difference. A smoke test, "
            "not a proof of privacy.",
        ),
    ]


def nearest_distances(rows: EncodedTable, others: EncodedTable, train: EncodedTable) -> Floats:
    """Return the distance of each row to its nearest neighbour among the others, shape (n,)."""
    return nearest_neighbours(rows, others, train)[0]


def nearest_neighbours(rows: EncodedTable, others: EncodedTable, train: EncodedTable) -> tuple[Floats, Integers]:
    """Return the distance and the number of each row's nearest neighbour among the others, shape (n,) each.

    Gower's distance ("A general coefficient of similarity", Biometrics 27, 1971), not divided by the number of columns:
    the difference of numbers over the training range, and 1 for different categories.
    """
    left, right = _scale_to_unit_range(rows, train), _scale_to_unit_range(others, train)
    discrete = ~train.encoding.continuous
    # Small integers in column-major order, because memory bandwidth limits the comparison.
    small = np.min_scalar_type(int(train.encoding.sizes.max()))
    a, b = (np.ascontiguousarray(table.codes[:, discrete].T.astype(small)) for table in (rows, others))
    out, which = np.empty(len(rows)), np.empty(len(rows), dtype=np.int64)
    for start in range(0, len(rows), CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        distance = np.zeros((len(out[part]), len(others)))
        if left.shape[1]:
            distance += cdist(left[part], right, "cityblock")
        differing = np.zeros(distance.shape, dtype=np.int16)
        for one, other in zip(a, b, strict=True):
            differing += one[part, None] != other[None, :]
        distance += differing
        which[part] = distance.argmin(axis=1)
        out[part] = np.take_along_axis(distance, which[part, None], axis=1)[:, 0]
    return out, which


def _dcr_share(seen: tuple[Floats, Integers], unseen: tuple[Floats, Integers], k: int) -> tuple[float, float, float]:
    """Return the share of rows that are nearer to the first table of k rows than to the second, with its interval.

    Without memorisation the training rows are a random half of all 2k real rows. The variance is therefore that of
    sampling k of 2k real rows without replacement, each weighted by the number of synthetic rows nearest to it.
    """
    n = len(seen[0])
    equal = seen[0] == unseen[0]
    closer = (seen[0] < unseen[0]) + 0.5 * equal
    share = float(closer.mean())
    if not 0 < share < 1:
        return share, *wilson(share * n, n)
    nearest_row = np.where(seen[0] < unseen[0], seen[1], unseen[1] + k)[~equal]
    nearest_counts = np.bincount(nearest_row, minlength=2 * k).astype(np.float64)
    spread = 2 * k / (2 * k - 1) * float(((nearest_counts - nearest_counts.mean()) ** 2).sum()) if k > 0 else 0.0
    half = float(norm.ppf(0.975)) * (share * (1 - share) * spread) ** 0.5 / n
    return share, max(0.0, share - half), min(1.0, share + half)


def _scale_to_unit_range(table: EncodedTable, train: EncodedTable) -> Floats:
    """Scale numbers to the training table's range; missing ones are at ``MISSING_POSITION``."""
    if not train.values.shape[1]:
        return table.values
    present = ~np.isnan(train.values)
    low = np.where(present, train.values, np.inf).min(axis=0)
    span = np.where(present, train.values, -np.inf).max(axis=0) - low
    usable = np.isfinite(span) & (span > 0)
    scaled = (table.values - np.where(np.isfinite(low), low, 0.0)) / np.where(usable, span, 1.0)
    return np.where(np.isnan(scaled), MISSING_POSITION, scaled)


def _row_hashes(table: EncodedTable) -> np.ndarray:
    """Hash every row to 64 bits, shape (n,); numbers that agree in ``MANTISSA_BITS`` bits are equal."""
    discrete = table.codes[:, ~table.encoding.continuous]
    part, power = np.frexp(table.values)
    rounded = (
        np.ldexp(np.round(np.ldexp(part, MANTISSA_BITS)), power - MANTISSA_BITS) + 0.0
    )  # + 0.0 turns -0.0 into 0.0
    frame = pd.concat([pd.DataFrame(discrete), pd.DataFrame(rounded)], axis=1, ignore_index=True)
    return pd.util.hash_pandas_object(frame, index=False).to_numpy()
