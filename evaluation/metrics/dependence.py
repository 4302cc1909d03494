"""Dependence scores: three-way distributions, mutual information, conditional distributions."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from math import comb

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.binning import Bins, joint_codes
from tabsynth.evaluation.stats.bootstrap import (
    FAMILYWISE_RATE,
    Resample,
    familywise_bound,
    half_l1_norm,
    statistic_difference,
)
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.evaluation.stats.table_comparison import Comparison, PartErrors, total_variation_distance

MAX_TRIPLES = 60
MAX_PAIRS = 300
N_TRIPLE_BINS, N_PAIR_BINS = 5, 8
"""Number of codes of a column in a triple, and in a pair."""


def dependence_scores(comparison: Comparison) -> list[Score]:
    """Return the errors of three-way distributions, mutual information and conditional distributions."""
    d = len(comparison.real.encoding.names)
    scores = [_triple_score(comparison)] if d > 2 else []
    return scores + ([_information_score(comparison), _conditional_score(comparison)] if d > 1 else [])


def spaced_combinations(d: int, k: int, most: int) -> list[tuple[int, ...]]:
    """Return at most ``most`` combinations of k of d columns, evenly spaced in lexicographic order."""
    total = comb(d, k)
    if total <= most:
        return list(combinations(range(d), k))
    return [_combination_at(int(index), d, k) for index in np.linspace(0, total - 1, most).astype(np.int64)]


def _combination_at(index: int, d: int, k: int) -> tuple[int, ...]:
    """Return the combination at an index of the lexicographic order, without listing the others."""
    out: list[int] = []
    j = 0
    while len(out) < k:
        count = comb(d - j - 1, k - len(out) - 1)
        if index < count:
            out.append(j)
        else:
            index -= count
        j += 1
    return tuple(out)


def _spaced_permutations(d: int, most: int) -> list[tuple[int, int]]:
    """Return at most ``most`` ordered pairs of d columns, evenly spaced."""
    total = d * (d - 1)
    indices = range(total) if total <= most else np.linspace(0, total - 1, most).astype(np.int64).tolist()
    pairs = (divmod(index, d - 1) for index in indices)
    return [(a, b + (b >= a)) for a, b in pairs]


def _triple_score(comparison: Comparison) -> Score:
    bins = Bins.of(comparison.real, N_TRIPLE_BINS)
    codes = [(bins.codes(a), bins.codes(b)) for a, b in comparison.pairs]
    chosen = spaced_combinations(len(bins.sizes), 3, MAX_TRIPLES)
    errors = PartErrors()
    for triple in chosen:
        keys = [(joint_codes(a, bins.sizes, triple), joint_codes(b, bins.sizes, triple)) for a, b in codes]
        value, drawn = comparison.resample.total_variation(keys[0][0][0], keys[0][1][0], keys[0][0][1])
        floor = comparison.floor([np.array(total_variation_distance(a[0], b[0], a[1])) for a, b in keys[1:]])
        errors.add(_names_of(comparison, triple), value, floor, drawn)
    return errors.score(
        "triple_error",
        "Distance between the joint distributions of three columns, averaged over the triples.",
        f"Total variation over {N_TRIPLE_BINS} bins per column; {len(chosen)} of {comb(len(bins.sizes), 3)} triples. "
        + comparison.method_note,
    )


def _information_score(comparison: Comparison) -> Score:
    bins = Bins.of(comparison.real, N_PAIR_BINS)
    codes = [(bins.codes(a), bins.codes(b)) for a, b in comparison.pairs]
    chosen = spaced_combinations(len(bins.sizes), 2, MAX_PAIRS)
    errors = PartErrors()
    for pair in chosen:
        shape = (int(bins.sizes[pair[0]]), int(bins.sizes[pair[1]]))
        keys = [(joint_codes(a, bins.sizes, pair)[0], joint_codes(b, bins.sizes, pair)[0]) for a, b in codes]
        size = shape[0] * shape[1]
        shared = partial(_normalised_information, shape=shape)
        value, drawn = comparison.resample.statistic_change(*keys[0], size, shared)
        gaps = [statistic_difference(*both, size, shared) for both in keys[1:]]
        errors.add(_names_of(comparison, pair), value, comparison.floor([np.array(abs(gap)) for gap in gaps]), drawn)
    return errors.score(
        "information_error",
        "Difference of the mutual information of two columns, averaged over the pairs.",
        f"Mutual information over the smaller entropy, {N_PAIR_BINS} bins per column, bias-corrected (Miller); "
        f"{len(chosen)} pairs. {comparison.method_note}",
    )


def _names_of(comparison: Comparison, columns: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(comparison.real.encoding.names[j] for j in columns)


def shared_information(left: Integers, right: Integers, sizes: tuple[int, int]) -> float:
    """Return the mutual information of two coded columns over the smaller entropy, from 0 to 1."""
    counts = np.bincount(left * sizes[1] + right, minlength=sizes[0] * sizes[1])
    return float(_normalised_information(counts[None], sizes)[0])


def target_information_gains(
    real: EncodedTable, synthetic: EncodedTable, target: str, minimum: float
) -> list[tuple[str, float, float]]:
    """Return the columns with more shared information with the target than in the real table, beyond chance.

    Returns:
        Name of each column, and its shared information in the real and in the synthetic table.
    """
    names = real.encoding.names
    target_index = names.index(target)
    bins = Bins.of(real, N_PAIR_BINS)
    left, right = bins.codes(real), bins.codes(synthetic)
    resample = None
    out = []
    for j, name in enumerate(names):
        if j == target_index:
            continue
        shape = int(bins.sizes[j]), int(bins.sizes[target_index])
        before, after = (shared_information(codes[:, j], codes[:, target_index], shape) for codes in (left, right))
        if after - before <= minimum:
            continue
        # A fixed seed, so that the result depends on the tables alone.
        resample = resample or Resample.of(len(real), len(synthetic), np.random.default_rng(0))
        keys = [joint_codes(codes, bins.sizes, (j, target_index))[0] for codes in (left, right)]
        chance = resample.statistic_change(
            keys[0], keys[1], shape[0] * shape[1], partial(_normalised_information, shape=shape)
        )[1][1]
        bound = familywise_bound(chance.mean(keepdims=True), chance.std(keepdims=True), FAMILYWISE_RATE / len(names))
        if after - before > float(bound[0]):
            out.append((name, before, after))
    return out


def related_columns(real: EncodedTable, wanted: set[str], excluded: set[str], minimum: float) -> dict[str, set[str]]:
    """Return, for each wanted column, the columns that share at least ``minimum`` information with it."""
    bins = Bins.of(real, N_PAIR_BINS)
    codes, names = bins.codes(real), real.encoding.names
    out: dict[str, set[str]] = {name: set() for name in names}
    for a, b in combinations([j for j, name in enumerate(names) if name not in excluded], 2):
        if not {names[a], names[b]} & wanted:
            continue
        if shared_information(codes[:, a], codes[:, b], (int(bins.sizes[a]), int(bins.sizes[b]))) >= minimum:
            out[names[a]].add(names[b])
            out[names[b]].add(names[a])
    return out


def _normalised_information(counts: np.ndarray, shape: tuple[int, int]) -> Floats:
    """Return the mutual information over the smaller entropy, for counts of shape (b, r * c); shape (b,)."""
    table = counts.reshape(-1, *shape).astype(np.float64)
    total = np.maximum(table.sum(axis=(1, 2)), 1.0)
    rows, columns = table.sum(axis=2), table.sum(axis=1)
    one, two, both = (_entropy(each.reshape(len(table), -1), total) for each in (rows, columns, table))
    # Miller's correction: each entropy is too small by (occupied cells - 1) / 2n
    bias = ((rows > 0).sum(axis=1) - 1) * ((columns > 0).sum(axis=1) - 1) / (2 * total)
    smaller_entropy = np.minimum(one, two)
    information = np.where(
        smaller_entropy > 1e-9, (one + two - both - bias) / np.where(smaller_entropy > 1e-9, smaller_entropy, 1.0), 0.0
    )
    return np.asarray(np.clip(information, 0.0, 1.0))


def _entropy(counts: Floats, total: Floats) -> Floats:
    shares = counts / total[:, None]
    return np.asarray(-(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=1))


def _conditional_score(comparison: Comparison) -> Score:
    bins = Bins.of(comparison.real, N_PAIR_BINS)
    codes = [(bins.codes(a), bins.codes(b)) for a, b in comparison.pairs]
    chosen = _spaced_permutations(len(bins.sizes), MAX_PAIRS)
    errors = PartErrors()
    for pair in chosen:
        given, size = int(bins.sizes[pair[0]]), int(bins.sizes[pair[1]])
        keys = [(joint_codes(a, bins.sizes, pair)[0], joint_codes(b, bins.sizes, pair)[0]) for a, b in codes]
        weight, gap = _conditional_gap(keys[0][0], keys[0][1], given, size)
        value = 0.5 * float(np.abs(gap).sum())
        sides = ((comparison.resample.left, keys[0][0]), (comparison.resample.right, keys[0][1]))
        tables = [side.table(key, given * size) for side, key in sides]
        parts = [
            _conditional_shares(side.weights @ table, given, size)
            - _conditional_shares(table.sum(axis=0)[None], given, size)
            for (side, _), table in zip(sides, tables, strict=True)
        ]
        chance = [_conditional_shares(part, given, size) for part in comparison.resample.permuted_counts(tables)]
        deviation, by_chance = (
            ((each[0] - each[1]) * weight[None, :, None]).reshape(len(each[0]), -1) for each in (parts, chance)
        )
        draws = comparison.resample.calibrate((deviation, by_chance), gap, half_l1_norm, value)
        gaps = [_conditional_gap(a, b, given, size)[1] for a, b in keys[1:]]
        floor = comparison.floor([np.array(0.5 * np.abs(gap).sum()) for gap in gaps])
        errors.add(_names_of(comparison, pair), value, floor, draws)
    return errors.score(
        "conditional_error",
        "Distance between the distributions of one column given another, averaged over the pairs.",
        f"Total variation of the second column within each of {N_PAIR_BINS} bins of the first, weighted by real rows; "
        f"{len(chosen)} ordered pairs. {comparison.method_note}",
    )


def _conditional_shares(counts: Floats, given: int, size: int) -> Floats:
    """Return the conditional shares given each value of the first column, shape (b, given, size)."""
    table = counts.reshape(-1, given, size)
    total = table.sum(axis=2, keepdims=True)
    return np.asarray(table / np.where(total > 0, total, 1.0))


def _conditional_gap(left: Integers, right: Integers, given: int, size: int) -> tuple[Floats, Floats]:
    """Return the weight of each condition, shape (given,), and the weighted differences, shape (given * size,)."""
    p, q = (np.bincount(key, minlength=given * size).astype(np.float64)[None] for key in (left, right))
    weight = p.reshape(given, size).sum(axis=1) / len(left)
    return weight, (
        (_conditional_shares(p, given, size) - _conditional_shares(q, given, size))[0] * weight[:, None]
    ).ravel()
