"""Optimised computations agree with their definitions on small tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info

from tabsynth.evaluation.evaluate import evaluate
from tabsynth.evaluation.metrics.diversity import _count_within
from tabsynth.evaluation.metrics.subgroups import _bootstrap_distance
from tabsynth.evaluation.metrics.tails import QUANTILES, _null_category_errors, _null_number_errors, _relative_error
from tabsynth.evaluation.metrics.utility import prediction_task
from tabsynth.evaluation.metrics.utility_models import N_SHUFFLES, _permutation_losses, train_models
from tabsynth.evaluation.stats.auc import weighted_auc
from tabsynth.evaluation.stats.bootstrap import Resample, conditional_variation
from tabsynth.evaluation.stats.coverage import N_COVERAGE_DRAWS, bootstrap_coverage, column_coverage, permuted_coverage
from tabsynth.evaluation.stats.encoded_table import EncodedTable, encode_tables
from tabsynth.schema import Schema

Tables = tuple[pd.DataFrame, Schema]


@pytest.fixture(scope="module")
def coded(every_kind: Tables) -> tuple[EncodedTable, EncodedTable]:
    frame, schema = every_kind
    return tuple(encode_tables([frame[:250].reset_index(drop=True), frame[250:].reset_index(drop=True)], schema))  # type: ignore[return-value]


def parts_one_by_one(resample: Resample, left: np.ndarray, right: np.ndarray, size: int) -> list[np.ndarray]:
    """Counts of keys in both parts of every random parting, shape (DRAWS, size) each."""
    keys = np.concatenate([left[resample.left.rows], right[resample.right.rows]])
    first = [np.bincount(keys[mask], minlength=size) for mask in resample.permuted]
    second = [np.bincount(keys[~mask], minlength=size) for mask in resample.permuted]
    return [np.array(first), np.array(second)]


def test_evaluation_runs_in_one_thread_and_gives_the_threads_back(cancer: Tables) -> None:
    frame, schema = cancer

    def threads() -> list[int]:
        return [library["num_threads"] for library in threadpool_info()]

    before, during = threads(), []
    evaluate(
        frame[:200],
        frame[200:400],
        schema=schema,
        sdmetrics=False,
        thorough=False,
        progress=lambda stage, share: during.extend(threads()),
    )
    assert set(during) == {1}
    assert threads() == before


@pytest.mark.parametrize("rows", [(1, 1), (7, 40), (300, 250)])
def test_counts_of_random_partings_are_those_of_the_rows(rows: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    resample = Resample.of(*rows, rng)
    left, right = (rng.integers(5, size=n) for n in rows)
    found = resample.permuted_counts([resample.left.table(left, 5), resample.right.table(right, 5)])
    for fast, slow in zip(found, parts_one_by_one(resample, left, right, 5), strict=True):
        assert (fast == slow).all()


def test_distances_within_a_group_are_those_of_all_rows_with_the_others_pooled(
    coded: tuple[EncodedTable, EncodedTable],
) -> None:
    """By definition the rows outside of the group share one key, whose share is left out."""
    rng = np.random.default_rng(1)
    real, synthetic = coded
    resample = Resample.of(len(real), len(synthetic), rng)
    j = real.encoding.names.index("group")
    sizes = real.encoding.sizes
    for group in (1, 2):
        members = real.codes[:, j] == group, synthetic.codes[:, j] == group
        inside = real.codes[members[0]], synthetic.codes[members[1]]
        value, drawn = _bootstrap_distance(resample.restrict(*members), inside, sizes, (0,))
        keys = [np.where(m, t.codes[:, 0] + 1, 0) for t, m in zip(coded, members, strict=True)]
        size = int(sizes[0]) + 1
        p, q = (np.bincount(key[key > 0], minlength=size)[1:] / (key > 0).sum() for key in keys)
        deviation = resample.share_deviations(keys[0], keys[1], size, skip=1)
        assert value == pytest.approx(0.5 * np.abs(p - q).sum(), abs=1e-12)
        assert drawn == pytest.approx(
            np.minimum(resample.calibrate(deviation, p - q, conditional_variation, value), 1.0), abs=1e-12
        )


def tails_one_by_one(resample: Resample, real: np.ndarray, synthetic: np.ndarray) -> np.ndarray:
    """The error of a number's tails in every random parting: cells cut by the first part, shares of both parts."""
    values = np.concatenate([real[resample.left.rows], synthetic[resample.right.rows]])
    out = []
    for first in resample.permuted:
        one, two = (np.sort(part[~np.isnan(part)]) for part in (values[first], values[~first]))
        if not len(one):
            out.append(None)
            continue
        low = [one[0], *np.quantile(one, QUANTILES[:3], method="lower")]
        high = [*np.quantile(one, QUANTILES[3:], method="higher"), one[-1]]
        counts: list[list[Any]] = [[], []]
        for side, part in enumerate((one, two)):
            below = [np.sum(part < cut) for cut in low]
            above = [np.sum(part > cut) for cut in high[::-1]]
            counts[side] = [*np.diff(below, prepend=0), *np.diff(above, prepend=0)]
        p, q = np.array(counts[0]) / first.sum(), np.array(counts[1]) / (~first).sum()
        out.append(float(_relative_error((p - q)[None], np.array([p.sum()]))[0]) * resample.scale)
    return np.array([np.nan if each is None else each for each in out])


@pytest.mark.parametrize("rows", [(40, 30), (400, 500)])
def test_tails_by_chance_are_those_cut_anew_in_every_parting(rows: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    resample = Resample.of(*rows, rng)
    for values in (rng.normal(size=sum(rows)), rng.integers(6, size=sum(rows)).astype(float)):
        values[rng.random(len(values)) < 0.2] = np.nan
        real, synthetic = values[: rows[0]], values[rows[0] :]
        slow = tails_one_by_one(resample, real, synthetic)
        assert _null_number_errors(resample, real, synthetic) == pytest.approx(slow, abs=1e-12)


def test_tails_of_a_number_that_hardly_ever_occurs() -> None:
    rng = np.random.default_rng(3)
    resample = Resample.of(30, 30, rng)
    real = np.full(30, np.nan)
    real[4] = 1.0
    drawn = _null_number_errors(resample, real, np.full(30, np.nan))
    slow = tails_one_by_one(resample, real, np.full(30, np.nan))
    assert np.isfinite(drawn).all()
    assert drawn[~np.isnan(slow)] == pytest.approx(slow[~np.isnan(slow)], abs=1e-12)


def test_rare_categories_of_a_sparse_table_of_counts() -> None:
    rng = np.random.default_rng(4)
    size = 30_000  # times 400 groups more cells than are kept as a plain array
    resample = Resample.of(400, 400, rng)
    real, synthetic = rng.integers(1, size, size=400), rng.integers(1, size, size=400)
    first, second = parts_one_by_one(resample, real, synthetic, size)
    p, q = first / first.sum(axis=1, keepdims=True), second / second.sum(axis=1, keepdims=True)
    slow = _relative_error(p - q, p.sum(axis=1)) * resample.scale
    assert _null_category_errors(resample, real, synthetic, size) == pytest.approx(slow, abs=1e-12)


def coverage_of_lists(real: EncodedTable, synthetic: EncodedTable) -> list[float]:
    """SDMetrics' CategoryCoverage and RangeCoverage, from the values of each column."""
    out = []
    numbers = iter(zip(real.values.T, synthetic.values.T, strict=True))
    for j, continuous in enumerate(real.encoding.continuous):
        if not continuous:
            known = set(real.codes[:, j].tolist()) - {0}
            out.append(len(known & set(synthetic.codes[:, j].tolist())) / len(known) if known else 1.0)
            continue
        one, two = (side[~np.isnan(side)] for side in next(numbers))
        if not len(one) or not len(two):
            out.append(0.0 if len(one) else 1.0)
        elif one.min() == one.max():
            out.append(float(one[0] in two))
        else:
            short = max(two.min() - one.min(), 0.0) + max(one.max() - two.max(), 0.0)
            out.append(max(1 - short / (one.max() - one.min()), 0.0))
    return out


def edges() -> tuple[EncodedTable, EncodedTable]:
    """Columns that are constant, missing, or of values that hardly occur."""
    rng = np.random.default_rng(5)
    n = 60
    frame = pd.DataFrame(
        {
            "constant": np.ones(n),
            "two": np.where(np.arange(n) % 20 == 0, 2.0, 7.0),
            "blank": np.full(n, np.nan),
            "nearly blank": np.where(np.arange(n) == 3, 1.0, np.nan),
            "normal": rng.normal(size=n),
            "label": rng.choice(list("abcdefghij"), size=n),
            "rare": np.where(np.arange(n) % 30 == 0, "x", None),
        }
    )
    schema = Schema.from_dict(
        {"columns": {k: {"kind": "categorical" if k in ("label", "rare") else "numeric"} for k in frame}}
    )
    synthetic = frame.assign(constant=np.r_[np.zeros(n // 2), np.full(n // 2, 2.0)], two=7.0)
    return tuple(encode_tables([frame, synthetic], schema))  # type: ignore[return-value]


@pytest.mark.parametrize("case", ["every kind", "edges"])
def test_coverage_of_all_draws_is_that_of_each(coded: tuple[EncodedTable, EncodedTable], case: str) -> None:
    real, synthetic = coded if case == "every kind" else edges()
    assert column_coverage(real, synthetic) == pytest.approx(coverage_of_lists(real, synthetic), abs=1e-12)
    assert column_coverage(synthetic, real) == pytest.approx(coverage_of_lists(synthetic, real), abs=1e-12)

    again = np.random.default_rng(6)
    drawn = [synthetic.take(again.integers(len(synthetic), size=len(synthetic))) for _ in range(N_COVERAGE_DRAWS)]
    slow = [np.mean(coverage_of_lists(real, each)) for each in drawn]
    assert bootstrap_coverage(real, synthetic, np.random.default_rng(6)) == pytest.approx(slow, abs=1e-12)

    again = np.random.default_rng(7)
    both = EncodedTable(
        real.encoding, np.concatenate([real.codes, synthetic.codes]), np.concatenate([real.values, synthetic.values])
    )
    orders = [again.permutation(len(both)) for _ in range(N_COVERAGE_DRAWS)]
    slow = [np.mean(coverage_of_lists(both.take(o[: len(real)]), both.take(o[len(real) :]))) for o in orders]
    assert permuted_coverage(real, synthetic, np.random.default_rng(7)) == pytest.approx(slow, abs=1e-12)


def test_rows_within_rising_radii_are_counted_with_their_times() -> None:
    rng = np.random.default_rng(8)
    distance, times = rng.integers(6, size=50).astype(float), rng.integers(4, size=50)
    radius = np.array([0.0, 1.0, 1.0, 2.5, 4.0])
    slow = [times[distance <= each].sum() for each in radius]
    assert _count_within(distance, radius, times).tolist() == slow


@pytest.mark.parametrize("digits", [0, 6])
def test_weighted_auc_is_the_share_of_pairs_in_order(digits: int) -> None:
    rng = np.random.default_rng(9)
    positive = rng.random(40) < 0.3
    score = np.round(rng.normal(size=40) + positive, digits)
    weights = rng.integers(4, size=(7, 40)).astype(float)
    weights[3, positive] = 0  # a draw without positives
    slow = []
    for w in weights:
        won = total = 0.0
        for i in np.flatnonzero(positive):
            for j in np.flatnonzero(~positive):
                won += w[i] * w[j] * (float(score[i] > score[j]) + 0.5 * float(score[i] == score[j]))
                total += w[i] * w[j]
        slow.append(won / total if total else np.nan)
    assert weighted_auc(positive, score, weights) == pytest.approx(slow, abs=1e-12, nan_ok=True)
    assert np.isnan(weighted_auc(np.zeros(40, dtype=bool), score, weights)).all()


def test_importances_are_the_losses_of_rows_with_one_column_shuffled(every_kind: Tables) -> None:
    frame, schema = every_kind
    asked_of = [frame[:150], frame[150:300], frame[300:]]
    real, synthetic, held_out = encode_tables([part.reset_index(drop=True) for part in asked_of], schema)
    trained = train_models(real, synthetic, held_out, prediction_task(real, "flag"), 0, np.random.default_rng(10))
    assert trained is not None
    rows = np.delete(trained.test.features(), trained.task.column, axis=1)
    n, d = rows.shape
    orders = np.array([np.random.default_rng(k).permutation(n) for k in range(N_SHUFFLES * d)])
    model = trained.boosters["real"]
    truth = np.searchsorted(trained.classes, trained.truth)

    def loss(features: np.ndarray) -> np.ndarray:
        return -np.log(np.maximum(model.predict_proba(features)[np.arange(n), truth], 1e-4))

    slow = np.zeros((n, d))
    for k, order in enumerate(orders):
        shuffled = rows.copy()
        shuffled[:, k % d] = shuffled[order, k % d]
        slow[:, k % d] += (loss(shuffled) - loss(rows)) / N_SHUFFLES
    assert np.abs(slow).max() > 0.01
    columns = np.arange(rows.shape[1])
    assert _permutation_losses(trained, "real", rows, columns, orders) == pytest.approx(slow, abs=1e-12)
