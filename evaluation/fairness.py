"""Fairness: are the groups of sensitive columns treated by the synthetic table as by the real one?

The demographic-parity gap is the largest difference between two groups in the rate of one outcome (Agarwal et al., "A
reductions approach to fair classification", arXiv 1803.02453, definition 1). A gap that is in the real table should
neither grow nor vanish unseen. Fidelity within the groups is in ``subgroup_error``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabsynth.evaluation.auc import weighted_auc
from tabsynth.evaluation.bins import Bins
from tabsynth.evaluation.coded import Coded, Floats, Ints
from tabsynth.evaluation.comparison import Comparison, error_score
from tabsynth.evaluation.learners import Trained
from tabsynth.evaluation.resample import half_width
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.utility import DRAWS, Question, answers

FEWEST = 30
"""Rows that a group needs."""

MOST_GROUPS = 12
QUARTERS = 4


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups that one sensitive column makes.

    Attributes:
        name: The column.
        column: Its place.
        codes: The codes of the groups.
        labels: A name for each.
        bins: What cuts a number into quarters.
    """

    name: str
    column: int
    codes: Ints
    labels: tuple[str, ...]
    bins: Bins

    def of(self, table: Coded) -> Ints:
        """The group of each row, -1 for none, shape (n,)."""
        codes = self.bins.codes(table) if table.book.continuous[self.column] else table.codes
        place = np.full(int(codes[:, self.column].max(initial=0)) + int(self.codes.max()) + 2, -1)
        place[self.codes] = np.arange(len(self.codes))
        return place[codes[:, self.column]]


def sensitive_groups(real: Coded, names: list[str]) -> list[Groups]:
    """The groups of each sensitive column that has at least two of ``FEWEST`` real rows; numbers are quartered."""
    bins = Bins.of(real, QUARTERS)
    out = []
    for name in names:
        if name not in real.book.names:
            continue
        j = real.book.names.index(name)
        codes = (bins.codes(real) if real.book.continuous[j] else real.codes)[:, j]
        counts = np.bincount(codes, minlength=2)
        counts[0] = 0
        order = np.argsort(-counts, kind="stable")[:MOST_GROUPS]
        large = np.sort(order[counts[order] >= FEWEST])
        if len(large) < 2:
            continue
        if real.book.continuous[j]:
            labels = tuple(f"{name}, quarter {code}" for code in large)
        else:
            labels = tuple(f"{name} = {real.book.labels[j][code - 1]}" for code in large)
        out.append(Groups(name, j, large, labels, bins))
    return out


def parity_score(comparison: Comparison, asked: Question, groups: list[Groups]) -> Score:
    """How far the parity gap of the outcome differs between the tables, on average over the sensitive columns."""
    middle = np.nanmedian(answers(comparison.real, asked.column))
    classes = np.unique(answers(comparison.real, asked.column))
    classes = classes[~np.isnan(classes)]
    values, floors, draws = [], [], []
    for group in groups:
        k = len(group.codes)
        size = 2 if asked.task == "regression" else len(classes)
        keys = [
            tuple(_outcomes(side, asked, classes, float(middle)) + size * (group.of(side) + 1) for side in both)
            for both in comparison.pairs
        ]
        # outcome -1 (unknown) falls into the row before: such rows are put into the group of none
        keys = [
            tuple(np.where(_unknown(s, asked), 0, key) for s, key in zip(b, both, strict=True))
            for b, both in zip(comparison.pairs, keys, strict=True)
        ]
        gaps = [
            float(np.subtract(*(_gap(np.bincount(key, minlength=size * (k + 1))[None], k, size)[0] for key in both)))
            for both in keys
        ]
        sides = zip((comparison.resample.left, comparison.resample.right), keys[0], strict=True)
        drawn = [_gap(side.counts(key, size * (k + 1))[1], k, size) for side, key in sides]
        deviation = drawn[0] - drawn[0].mean() - drawn[1] + drawn[1].mean()
        values.append(abs(gaps[0]))
        floors.append(float(comparison.floor([np.array(abs(gap)) for gap in gaps[1:]])))
        draws.append(
            comparison.resample.calibrated(
                deviation[:, None], np.array(gaps[:1]), lambda x: np.abs(x[..., 0]), abs(gaps[0])
            )
        )
    target = comparison.real.book.names[asked.column]
    return error_score(
        "parity_error",
        "Parity of outcomes",
        f"How far the largest difference between groups in a rate of {target!r} is off.",
        f"Demographic-parity gap of {len(groups)} sensitive columns, groups of at least {FEWEST} rows; a number to "
        f"predict counts as above its median or not. {comparison.how}",
        [(group.name,) for group in groups],
        np.array(values),
        np.array(floors),
        np.stack(draws, axis=-1),
    )


def model_scores(trained: Trained, groups: list[Groups], rng: np.random.Generator, draws: int = DRAWS) -> list[Score]:
    """What boosted trees lose in each group, and the parity gap of their predictions, learned from synthetic rows."""
    if trained.asked.task == "regression":
        return []
    n = len(trained.truth)
    weights = np.vstack([np.ones(n), rng.multinomial(n, np.full(n, 1 / n), draws)])
    lost, labels, gap_parts, gap_draws = [], [], [], []
    for group in groups:
        codes = group.of(trained.test)
        for k, label in enumerate(group.labels):
            inside = codes == k
            if inside.sum() < FEWEST or len(np.unique(trained.truth[inside])) < 2:
                continue
            made, real = (_auc(trained, name, inside, weights) for name in ("synthetic", "real"))
            lost.append(np.nan_to_num(real - made))
            labels.append(label)
        rates = [_predicted(trained, name, codes, len(group.codes), weights) for name in ("synthetic", "real")]
        gap_draws.append(rates)
        gap_parts.append(Part(columns=(group.name,), value=100 * float(rates[0][0]), floor=100 * float(rates[1][0])))
    scores = []
    if lost:
        each = np.array(lost)
        mean = each.mean(axis=0)
        low, high = np.quantile(mean[1:], [0.025, 0.975])
        order = np.argsort(-each[:, 0], kind="stable")
        scores.append(
            Score(
                name="group_utility_gap",
                title="Usefulness lost in groups",
                value=float(mean[0]),
                interval=(float(min(low, mean[0])), float(max(high, mean[0]))),
                better="lower",
                target=0.0,
                floor=0.0,
                unit="AUC",
                description="What a synthetic-trained model lacks to a real-trained one within a group, on average.",
                method=f"Boosted trees on {n:,} held-out rows, {len(each)} groups; interval: {draws} bootstrap draws.",
                detail=tuple(Part(columns=(labels[i],), value=float(each[i, 0]), floor=0.0) for i in order),
            )
        )
    made, real = (np.mean([pair[i] for pair in gap_draws], axis=0) for i in (0, 1))
    half = half_width(made[1:])
    value = float(made[0])
    scores.append(
        Score(
            name="prediction_parity_gap",
            title="Parity of predictions",
            value=100 * value,
            interval=(100 * max(0.0, value - half), 100 * min(1.0, value + half)),
            better="lower",
            target=0.0,
            floor=100 * float(real[0]),
            unit="%",
            description="Largest difference between groups in how often a synthetic-trained model predicts a class.",
            method=f"Boosted trees on {n:,} held-out rows; interval: {draws} bootstrap draws. The floor is the gap of "
            "the real-trained model.",
            detail=tuple(gap_parts),
        )
    )
    return scores


def _unknown(table: Coded, asked: Question) -> np.ndarray:
    return np.isnan(answers(table, asked.column))


def _outcomes(table: Coded, asked: Question, classes: Floats, middle: float) -> Ints:
    values = answers(table, asked.column)
    if asked.task == "regression":
        return (values > middle).astype(np.int64)
    return np.minimum(np.searchsorted(classes, np.nan_to_num(values, nan=classes[0])), len(classes) - 1)


def _gap(counts: Floats | Ints, k: int, size: int) -> Floats:
    """The largest difference of a rate between groups, from counts of shape (b, (k + 1) * size); shape (b,)."""
    table = counts.reshape(-1, k + 1, size)[:, 1:].astype(np.float64)
    total = table.sum(axis=2, keepdims=True)
    rates = np.where(total > 0, table / np.where(total > 0, total, 1.0), np.nan)
    known = np.nan_to_num(np.nanmax(rates, axis=1) - np.nanmin(rates, axis=1)) if len(rates) else np.zeros((0, size))
    return np.asarray(known.max(axis=1))


def _auc(trained: Trained, name: str, inside: np.ndarray, weights: Floats) -> Floats:
    guess, truth = trained.guesses["boosted", name][inside], trained.truth[inside]
    places = range(1, 2) if len(trained.classes) == 2 else range(len(trained.classes))
    known = [k for k in places if 0 < (truth == trained.classes[k]).sum() < len(truth)]
    each = [weighted_auc(truth == trained.classes[k], guess[:, k], weights[:, inside]) for k in known]
    return np.asarray(np.mean(each, axis=0)) if each else np.zeros(len(weights))


def _predicted(trained: Trained, name: str, codes: Ints, k: int, weights: Floats) -> Floats:
    chosen = trained.guesses["boosted", name].argmax(axis=1)
    member = codes[:, None] == np.arange(k)
    total = np.maximum(weights @ member, 1e-9)
    enough = member.sum(axis=0) >= FEWEST
    gaps = []
    for label in range(len(trained.classes)):
        rates = (weights @ (member & (chosen == label)[:, None]) / total)[:, enough]
        gaps.append(rates.max(axis=1) - rates.min(axis=1) if enough.sum() > 1 else np.zeros(len(weights)))
    return np.asarray(np.max(gaps, axis=0))
