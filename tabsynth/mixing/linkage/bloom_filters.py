"""Privacy-preserving linkage: compare keyed Bloom filters instead of records.

A filter is **pseudonymous, not anonymous**. Whoever has the secret, or enough filters and a list of frequent names, can
re-identify people (Christen, Ranbaduge, Vatsalan and Schnell, "Precise and fast cryptanalysis for Bloom filter based
privacy-preserving record linkage", IEEE TKDE 31, 2019). Handle filters as personal data, and never release them.

The filters are cryptographic long-term keys (Schnell, Bachteler and Reiher, "A novel error-tolerant anonymous linking
code", 2011): all fields of a record in one filter, each field's bigrams at positions given by a keyed hash.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tabsynth.common.arrays import Floats, Integers
from tabsynth.common.progress import progress_bar
from tabsynth.errors import DataError, InputError, quote
from tabsynth.mixing.linkage.fields import FieldKind, prepare_fields

Bits = npt.NDArray[np.uint8]

N_BITS = 1024
"""Bits of a filter."""

LOCAL_SECRET = b"tabsynth: both tables are here, so the filters hide nothing from anyone"
"""The secret while both tables are in one process; parties that exchange filters agree on their own."""

MAX_PAIRS = 2e10
"""Maximum number of pairs: all filters are compared with all."""

BLOCK_ROWS = 2000
"""Number of left filters that are compared at once."""

N_NEIGHBOURS = 3
"""Candidates kept for each record, from both sides."""


def encode_filters(table: pa.Table, kinds: Mapping[str, FieldKind], secret: bytes, hashes: int) -> Bits:
    """Encode each record as a filter.

    Args:
        table: The fields as text (``fields.prepared``).
        kinds: The kind of each field; digits are encoded with their position, words without.
        secret: Secret key that only the parties know, at least 16 bytes.
        hashes: Bits set for each bigram; see ``optimal_hashes``.

    Returns:
        Shape (records, ``N_BITS`` / 8), eight bits in a byte.

    Raises:
        InputError: The secret is too short, or the number of hashes is not in 1 to 32.
    """
    if len(secret) < 16:
        raise InputError(f"the secret has {len(secret)} bytes; at least 16 are needed, drawn by the module secrets")
    if not 1 <= hashes <= 32:
        raise InputError(f"a filter has 1 to 32 hashes, not {hashes}")
    filters = np.zeros((len(table), N_BITS), bool)
    for name in table.column_names:
        cache: dict[str, Integers] = {}
        encoded = table[name].combine_chunks().dictionary_encode()
        words = encoded.dictionary.to_pylist()
        each = [_bit_positions(text, name, kinds[name], secret, hashes, cache) for text in words]
        index = np.asarray(encoded.indices.fill_null(-1), np.int64)
        rows = np.flatnonzero(index >= 0)
        sizes = np.array([len(found) for found in each], np.int64)[index[rows]]
        if len(rows):
            filters[np.repeat(rows, sizes), np.concatenate([each[i] for i in index[rows]])] = True
    return np.packbits(filters, axis=1)


def optimal_hashes(tables: Sequence[pa.Table]) -> int:
    """Return the optimal number of hashes, ``N_BITS`` ln 2 / elements, which sets about half of the bits.

    Parties that exchange filters must agree on one number.
    """
    letters = sum(pc.sum(pc.utf8_length(column)).as_py() or 0 for table in tables for column in table.columns)
    records = sum(len(table) for table in tables)
    return int(np.clip(round(N_BITS * np.log(2) * records / max(letters, 1)), 1, 32))


def _bit_positions(
    text: str, name: str, kind: FieldKind, secret: bytes, hashes: int, cache: dict[str, Integers]
) -> Integers:
    """Return the bits set by a value."""
    grams = {a + b for a, b in itertools.pairwise(f"_{text}_")}
    if kind in ("date", "identifier", "number"):
        # Digits by position: an error in one digit leaves the others unchanged.
        grams |= {f"{place}:{digit}" for place, digit in enumerate(text)}
    positions = []
    for gram in grams:
        if gram not in cache:
            digest = hmac.digest(secret, f"{name}\x00{gram}".encode(), hashlib.sha512)
            cache[gram] = np.frombuffer(digest, ">u2")[:hashes].astype(np.int64) % N_BITS
        positions.append(cache[gram])
    return np.unique(np.concatenate(positions))


def dice_similarity(left: Bits, right: Bits) -> Floats:
    """Return the Dice coefficient of each left filter with each right filter, shape (n, m)."""
    a, b = (np.unpackbits(side, axis=1).astype(np.float32) for side in (left, right))
    size = a.sum(axis=1)[:, None] + b.sum(axis=1)[None, :]
    return np.asarray(2 * (a @ b.T) / np.maximum(size, 1), np.float64)


def score_pairs(
    records: Mapping[str, pd.DataFrame], fields: Sequence[str], low: float
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Score pairs of records of different sources by the similarity of their filters.

    The match probability is estimated from the scores: a record's best score belongs to its match or, without one, to a
    chance neighbour; its second best to chance neighbours only.

    Args:
        records: The sources, one row for each record.
        fields: The columns to compare.
        low: Minimum probability of a returned pair.

    Returns:
        ``source_a``, ``row_a``, ``source_b``, ``row_b``, ``probability`` in descending order; and the report.

    Raises:
        DataError: A field is missing or empty, or the tables are too large to compare all with all.
    """
    sizes = {source: len(frame) for source, frame in records.items()}
    for a, b in itertools.combinations(sizes, 2):
        if sizes[a] * sizes[b] > MAX_PAIRS:
            raise DataError(
                f"sources {quote([a, b])} have {sizes[a]} and {sizes[b]} records: too many to compare all filters; "
                "use engine 'splink', which compares only pairs with a common field"
            )
    tables, kinds = prepare_fields(records, fields)
    hashes = optimal_hashes(list(tables.values()))
    filters = {source: encode_filters(table, kinds, LOCAL_SECRET, hashes) for source, table in tables.items()}
    parts = []
    steps = sum(-(-sizes[a] // BLOCK_ROWS) for a, _ in itertools.combinations(sizes, 2))
    with progress_bar(steps, "link", "block", None) as bar:
        for a, b in itertools.combinations(sizes, 2):
            candidates = _with_probability(*_nearest_neighbours(filters[a], filters[b], bar))
            parts.append(candidates.assign(source_a=a, source_b=b))
    scored = pd.concat(parts, ignore_index=True)
    scored = scored[scored["probability"] >= low].sort_values(
        ["probability", "score", "source_a", "source_b", "row_a", "row_b"], ascending=[False, False] + [True] * 4
    )
    report = {"fields": dict(kinds), "filters": "pseudonymous, not anonymous", "bits": N_BITS, "hashes": hashes}
    return scored[["source_a", "row_a", "source_b", "row_b", "probability"]].reset_index(drop=True), report


def _nearest_neighbours(left: Bits, right: Bits, bar: Any) -> tuple[Integers, Integers, Floats]:
    """Return the nearest right records of each left record and vice versa: rows and scores."""
    n_left = min(N_NEIGHBOURS, len(right))
    n_right = min(N_NEIGHBOURS, len(left))
    best = np.full((len(right), 0), 0.0)
    who = np.zeros((len(right), 0), np.int64)
    rows, columns, scores = [], [], []
    for start in range(0, len(left), BLOCK_ROWS):
        block = dice_similarity(left[start : start + BLOCK_ROWS], right)
        top = np.argpartition(-block, n_left - 1, axis=1)[:, :n_left]
        rows.append(np.repeat(np.arange(start, start + len(block)), n_left))
        columns.append(top.ravel())
        scores.append(np.take_along_axis(block, top, axis=1).ravel())
        best = np.concatenate([best, block.T], axis=1)
        who = np.concatenate([who, np.broadcast_to(np.arange(start, start + len(block)), block.T.shape)], axis=1)
        top = np.argpartition(-best, min(n_right, best.shape[1]) - 1, axis=1)[:, :n_right]
        best, who = np.take_along_axis(best, top, axis=1), np.take_along_axis(who, top, axis=1)
        bar.update()
    rows.append(who.ravel())
    columns.append(np.repeat(np.arange(len(right)), who.shape[1]))
    scores.append(best.ravel())
    one, other, score = np.concatenate(rows), np.concatenate(columns), np.concatenate(scores)
    first = np.unique(one * len(right) + other, return_index=True)[1]
    return one[first], other[first], score[first]


def _with_probability(one: Integers, other: Integers, score: Floats) -> pd.DataFrame:
    """Add each candidate's match probability."""
    order = np.lexsort((other, -score, one))
    first = np.r_[True, np.diff(one[order]) > 0]
    best, next_best = score[order][first], score[order][np.r_[False, first[:-1]] & ~first]
    pairs = pd.DataFrame({"row_a": one, "row_b": other, "score": score})
    return pairs.assign(probability=np.round(match_probability(best, next_best, score), 9))


def match_probability(best: Floats, next_best: Floats, score: Floats) -> Floats:
    """Match probability of a score, from a mixture of two normal distributions fitted by EM.

    Chance neighbours have the mean and spread of the second-best scores. The probability never decreases with the
    score.

    Args:
        best: The best score of each record.
        next_best: The second-best score of each record that has one.
        score: Scores to evaluate.
    """
    chance = next_best if len(next_best) >= 2 else best
    low, spread = float(np.median(chance)), max(float(np.std(chance)), 1e-3)
    high, width, share = max(float(best.max()), low + 3 * spread), 0.1, 0.5
    for _ in range(500):
        odds = _log_odds(best, share, (high, width), (low, spread))
        probability = 1 / (1 + np.exp(-odds))
        # Laplace smoothing keeps the share away from 0 and 1.
        before, share = share, float((probability.sum() + 1) / (len(best) + 2))
        high = float(np.average(best, weights=probability + 1e-12))
        width = max(float(np.sqrt(np.average((best - high) ** 2, weights=probability + 1e-12))), spread)
        if abs(share - before) < 1e-9:
            break
    grid = np.linspace(0, 1, 2001)
    curve = 1 / (1 + np.exp(-_log_odds(grid, share, (high, width), (low, spread))))
    # The wider of two normal densities dominates in both tails, so the curve is made monotone.
    top = np.maximum.accumulate(np.where(grid >= high, curve, 0.0))
    rising = np.minimum.accumulate(np.where(grid >= high, 1.0, curve)[::-1])[::-1]
    return np.interp(
        score, grid, np.where(grid >= high, np.maximum(top, rising[grid < high][-1:].max(initial=0)), rising)
    )


def _log_odds(at: Floats, share: float, match: tuple[float, float], chance: tuple[float, float]) -> Floats:
    """Return the log odds of a match, given the mean and spread of both groups."""
    logs = [-0.5 * ((at - mean) / width) ** 2 - np.log(width) for mean, width in (match, chance)]
    return np.asarray(np.clip(np.log(share / (1 - share)) + logs[0] - logs[1], -500, 500), np.float64)
