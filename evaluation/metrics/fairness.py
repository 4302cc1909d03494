"""Fairness: demographic parity and model performance by the groups of sensitive columns.

The demographic-parity gap is the largest difference between two groups in the rate of one outcome (Agarwal et al., "A
reductions approach to fair classification", arXiv 1803.02453, definition 1). Fidelity within the groups is in
``subgroup_error``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.metrics.utility import N_DRAWS, PredictionTask, target_values
from tabsynth.evaluation.metrics.utility_models import TrainedModels
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.auc import weighted_auc
from tabsynth.evaluation.stats.binning import Bins
from tabsynth.evaluation.stats.bootstrap import calibrate_draws, error_interval, normalise
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.evaluation.stats.table_comparison import Comparison, PartErrors

MIN_GROUP_ROWS = 30
"""Minimum number of rows of a group."""

MAX_GROUPS = 12
N_QUANTILE_GROUPS = 4


@dataclass(frozen=True, eq=False)
class SensitiveGroups:
    """The groups of one sensitive column.

    Attributes:
        name: The column.
        column: Position of the column.
        codes: The codes of the groups.
        labels: Name of each group.
        bins: Quartile edges of a numeric column.
    """

    name: str
    column: int
    codes: Integers
    labels: tuple[str, ...]
    bins: Bins

    def of(self, table: EncodedTable) -> Integers:
        """Return the group of each row, -1 for none, shape (n,)."""
        codes = self.bins.codes(table) if table.encoding.continuous[self.column] else table.codes
        place = np.full(int(codes[:, self.column].max(initial=0)) + int(self.codes.max()) + 2, -1)
        place[self.codes] = np.arange(len(self.codes))
        return place[codes[:, self.column]]


def sensitive_groups(real: EncodedTable, names: list[str]) -> list[SensitiveGroups]:
    """Return the groups of each sensitive column with at least two large ones; numbers are cut at the quartiles."""
    bins = Bins.of(real, N_QUANTILE_GROUPS)
    out = []
    for name in names:
        if name not in real.encoding.names:
            continue
        j = real.encoding.names.index(name)
        codes = (bins.codes(real) if real.encoding.continuous[j] else real.codes)[:, j]
        counts = np.bincount(codes, minlength=2)
        counts[0] = 0
        order = np.argsort(-counts, kind="stable")[:MAX_GROUPS]
        large = np.sort(order[counts[order] >= MIN_GROUP_ROWS])
        if len(large) < 2:
            continue
        if real.encoding.continuous[j]:
            labels = tuple(f"{name}, quarter {code}" for code in large)
        else:
            labels = tuple(f"{name} = {real.encoding.labels[j][code - 1]}" for code in large)
        out.append(SensitiveGroups(name, j, large, labels, bins))
    return out


def parity_score(comparison: Comparison, task: PredictionTask, groups: list[SensitiveGroups]) -> Score:
    """Return the difference of the outcome's parity gap between the tables, on average over the sensitive columns."""
    middle = np.nanmedian(target_values(comparison.real, task.column))
    classes = np.unique(target_values(comparison.real, task.column))
    classes = classes[~np.isnan(classes)]
    errors = PartErrors()
    for group in groups:
        k = len(group.codes)
        size = 2 if task.kind == "regression" else len(classes)
        keys = [
            (
                _group_outcome_keys(one, task, classes, float(middle), group, size),
                _group_outcome_keys(two, task, classes, float(middle), group, size),
            )
            for one, two in comparison.pairs
        ]
        resample = comparison.resample
        sides = zip((resample.left, resample.right), keys[0], strict=True)
        drawn = [_bootstrap_gaps(*side.counts(key, size * (k + 1)), k, resample.scale) for side, key in sides]
        deviation = drawn[0] - drawn[0].mean() - drawn[1] + drawn[1].mean()
        gaps = [float(_parity_gap(one, k, size) - _parity_gap(two, k, size)) for one, two in keys]
        floor = comparison.floor([np.array(abs(gap)) for gap in gaps[1:]])
        draws = calibrate_draws(
            deviation[:, None], deviation[:, None], np.array(gaps[:1]), lambda x: np.abs(x[..., 0]), abs(gaps[0])
        )
        errors.add((group.name,), abs(gaps[0]), floor, draws)
    target = comparison.real.encoding.names[task.column]
    return errors.score(
        "parity_error",
        f"Error of the largest difference between groups in a rate of {target!r}.",
        f"Demographic-parity gap of {len(groups)} sensitive columns, groups of at least {MIN_GROUP_ROWS} rows; a "
        f"numeric target counts as above its median or not. {comparison.method_note}",
    )


def group_model_scores(
    trained: TrainedModels, groups: list[SensitiveGroups], rng: np.random.Generator, draws: int = N_DRAWS
) -> list[Score]:
    """Return the within-group AUC loss and the parity gap of boosted trees trained on synthetic rows."""
    if trained.task.kind == "regression":
        return []
    n = len(trained.truth)
    weights = np.vstack([np.ones(n), rng.multinomial(n, np.full(n, 1 / n), draws)])
    losses, labels, gap_parts, gap_draws = [], [], [], []
    for group in groups:
        codes = group.of(trained.test)
        for k, label in enumerate(group.labels):
            inside = codes == k
            if inside.sum() < MIN_GROUP_ROWS or len(np.unique(trained.truth[inside])) < 2:
                continue
            synthetic, real = (_group_auc(trained, name, inside, weights) for name in ("synthetic", "real"))
            losses.append(np.nan_to_num(real - synthetic))
            labels.append(label)
        gap, drawn = _prediction_gap(trained, "synthetic", codes, weights, rng)
        gap_draws.append(drawn)
        baseline, _ = _prediction_gap(trained, "real", codes, weights[:1], rng)
        gap_parts.append(Part(columns=(group.name,), value=100 * gap, floor=100 * baseline))
    scores = []
    if losses:
        each = np.array(losses)
        mean = each.mean(axis=0)
        low, high = np.quantile(mean[1:], [0.025, 0.975])
        order = np.argsort(-each[:, 0], kind="stable")
        scores.append(
            Score(
                name="group_utility_gap",
                value=float(mean[0]),
                interval=(float(min(low, mean[0])), float(max(high, mean[0]))),
                better="lower",
                target=0.0,
                floor=0.0,
                unit="AUC",
                description="Within-group AUC of a real-trained model minus that of a synthetic-trained one.",
                method=f"Boosted trees on {n:,} held-out rows, {len(each)} groups; interval: {draws} bootstrap draws.",
                detail=tuple(Part(columns=(labels[i],), value=float(each[i, 0]), floor=0.0) for i in order),
            )
        )
    value, baseline = (float(np.mean([getattr(part, which) for part in gap_parts])) for which in ("value", "floor"))
    low, high = error_interval(value / 100, np.mean(gap_draws, axis=0))
    scores.append(
        Score(
            name="prediction_parity_gap",
            value=value,
            interval=(low, high),
            better="lower",
            target=0.0,
            floor=baseline,
            unit="%",
            description="Largest difference between groups in a predicted rate of a synthetic-trained model.",
            method=f"Boosted trees on {n:,} held-out rows; interval: {draws} bootstrap draws. The floor is the gap of "
            "the real-trained model.",
            detail=tuple(gap_parts),
        )
    )
    return scores


def _group_outcome_keys(
    table: EncodedTable, task: PredictionTask, classes: Floats, middle: float, group: SensitiveGroups, size: int
) -> Integers:
    """Return a code of each row's group and outcome, shape (n,); 0 if the outcome is missing."""
    keys = _outcomes(table, task, classes, middle) + size * (group.of(table) + 1)
    return np.where(np.isnan(target_values(table, task.column)), 0, keys)


def _outcomes(table: EncodedTable, task: PredictionTask, classes: Floats, middle: float) -> Integers:
    values = target_values(table, task.column)
    if task.kind == "regression":
        return (values > middle).astype(np.int64)
    return np.minimum(np.searchsorted(classes, np.nan_to_num(values, nan=classes[0])), len(classes) - 1)


def _parity_gap(keys: Integers, k: int, size: int) -> Floats:
    """Return the largest difference between groups in the rate of an outcome."""
    return _max_difference(_group_rates(np.bincount(keys, minlength=size * (k + 1)).astype(np.float64), k))


def _bootstrap_gaps(counts: Floats, drawn: Floats, k: int, scale: float) -> Floats:
    """Bootstrap the maximum gap, shape (DRAWS,), from counts, shape ((k + 1) * size,), and those of the draws.

    The maximum of differences is biased upwards. The rates are therefore shrunk towards each other until the mean of
    the bootstrap maxima equals the observed maximum.
    """
    rates = _group_rates(counts, k)
    deviation = (_group_rates(drawn, k) - rates) * scale
    return np.asarray(calibrate_draws(deviation, deviation, rates, _max_difference, float(_max_difference(rates)))[0])


def _group_rates(counts: Floats, k: int) -> Floats:
    """Return the rate of each outcome in each group, shape (..., k, size); the overall rate for an empty group."""
    table = counts.reshape(*counts.shape[:-1], k + 1, -1)
    every = normalise(table.sum(axis=-2, keepdims=True))
    groups = table[..., 1:, :]
    return np.where(groups.sum(axis=-1, keepdims=True) > 0, normalise(groups), every)


def _group_auc(trained: TrainedModels, name: str, inside: np.ndarray, weights: Floats) -> Floats:
    predictions, truth = trained.predictions["boosted", name][inside], trained.truth[inside]
    places = range(1, 2) if len(trained.classes) == 2 else range(len(trained.classes))
    known = [k for k in places if 0 < (truth == trained.classes[k]).sum() < len(truth)]
    each = [weighted_auc(truth == trained.classes[k], predictions[:, k], weights[:, inside]) for k in known]
    return np.asarray(np.mean(each, axis=0)) if each else np.zeros(len(weights))


def _prediction_gap(
    trained: TrainedModels, name: str, codes: Integers, weights: Floats, rng: np.random.Generator
) -> tuple[float, Floats]:
    """Return the largest difference between groups in the rate of a predicted class, and its calibrated draws.

    The null distribution comes from permutations of the groups among the rows.
    """
    counts = np.bincount(codes[codes >= 0], minlength=1)
    large = np.flatnonzero(counts >= MIN_GROUP_ROWS)
    if len(large) < 2:
        return 0.0, np.zeros((2, len(weights) - 1))
    predictions = trained.predictions["boosted", name]
    chosen = (predictions.argmax(axis=1)[:, None] == np.arange(predictions.shape[1])).astype(np.float64)

    def rates(member: np.ndarray, drawn: Floats) -> Floats:
        """Return the rates of some classes by group, shape (draws, groups, classes)."""
        each = [drawn @ (member[:, [g]] * chosen) for g in range(len(large))]
        return np.asarray(np.stack(each, axis=1) / np.maximum(drawn @ member, 1e-9)[:, :, None])

    member = codes[:, None] == large
    drawn_rates = rates(member, weights)
    gap = _max_difference(drawn_rates[0])
    shuffled = [rates(rng.permutation(member), weights[:1])[0] for _ in weights[1:]]
    if not shuffled:
        return float(gap), np.empty((2, 0))
    return float(gap), calibrate_draws(
        drawn_rates[1:] - drawn_rates[0], np.array(shuffled), drawn_rates[0], _max_difference, float(gap)
    )


def _max_difference(rates: Floats) -> Floats:
    """Return the largest difference between groups, of rates of shape (..., groups, classes)."""
    return np.asarray((rates.max(axis=-2) - rates.min(axis=-2)).max(axis=-1))
