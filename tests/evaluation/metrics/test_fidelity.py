"""Shape and trend errors: agreement with SDMetrics, invariances and planted faults."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabsynth.evaluation.metrics.diversity import column_coverage
from tabsynth.evaluation.metrics.fidelity import fidelity_scores
from tabsynth.evaluation.stats.distances import shape_errors, trend_errors
from tabsynth.evaluation.stats.encoded_table import EncodedTable, encode_tables
from tabsynth.schema import Schema


def coded(schema: Schema, *frames: pd.DataFrame) -> list[EncodedTable]:
    return encode_tables(frames, schema)


def halves(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    n = len(frame) // 2
    return frame[:n].reset_index(drop=True), frame[n:].reset_index(drop=True)


@pytest.mark.parametrize("table", ["cancer", "diabetes", "wine"])
def test_agrees_with_sdmetrics(table: str, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("sdmetrics")
    from sdmetrics.column_pairs import ContingencySimilarity, CorrelationSimilarity
    from sdmetrics.single_column import KSComplement, TVComplement

    frame, schema = request.getfixturevalue(table)
    real, synthetic = halves(frame)
    a, b = coded(schema, real, synthetic)
    shape, trend = shape_errors(a, b), trend_errors(a, b)
    names = list(a.encoding.names)
    for j, name in enumerate(names):
        metric = KSComplement if a.encoding.continuous[j] else TVComplement
        assert shape[j] == pytest.approx(1 - metric.compute(real[name], synthetic[name]), abs=1e-9)
    pairs = list(combinations(range(len(names)), 2))
    mixed = [p for p in pairs if not a.encoding.continuous[list(p)].all()]
    for i, j in mixed + [p for p in pairs if p not in mixed][:60]:
        pair = [names[i], names[j]]
        if (i, j) in mixed:
            numbers = [name for name, k in zip(pair, (i, j), strict=True) if a.encoding.continuous[k]]
            expected = ContingencySimilarity.compute(
                real[pair].copy(), synthetic[pair].copy(), continuous_column_names=numbers
            )
        else:
            expected = CorrelationSimilarity.compute(real[pair], synthetic[pair])
        assert trend[i, j] == pytest.approx(1 - expected, abs=1e-9), pair


@pytest.mark.parametrize("table", ["cancer", "diabetes", "wine"])
def test_coverage_agrees_with_sdmetrics(table: str, request: pytest.FixtureRequest) -> None:
    metrics = pytest.importorskip("sdmetrics.single_column")
    frame, schema = request.getfixturevalue(table)
    real, synthetic = halves(frame)
    synthetic = synthetic[synthetic[synthetic.columns[0]] > synthetic[synthetic.columns[0]].median()]
    a, b = coded(schema, real, synthetic)
    ours = column_coverage(a, b)
    for j, name in enumerate(a.encoding.names):
        metric = metrics.RangeCoverage if a.encoding.continuous[j] else metrics.CategoryCoverage
        with np.errstate(all="ignore"):
            expected = metric.compute(real[name], synthetic[name])
        assert ours[j] == pytest.approx(expected, abs=1e-9)
    assert ours.min() < 1


def test_correlations_skip_missing_values_pair_by_pair(cancer: tuple[pd.DataFrame, Schema]) -> None:
    from tabsynth.evaluation.stats.distances import pairwise_correlations

    values = cancer[0].drop(columns="target").to_numpy(float)[:, :8]
    values[np.random.default_rng(0).random(values.shape) < 0.2] = np.nan
    np.testing.assert_allclose(
        pairwise_correlations(values * 1e6 + 1e9), pd.DataFrame(values).corr().to_numpy(), atol=1e-7
    )
    np.testing.assert_allclose(pairwise_correlations(values), pd.DataFrame(values).corr().to_numpy(), atol=1e-12)


def test_every_kind_scores_zero_against_itself(every_kind: tuple[pd.DataFrame, Schema]) -> None:
    frame, schema = every_kind
    a, b = coded(schema, frame, frame.sample(frac=1, random_state=1))
    assert a.encoding.names == ("number <script>", "group", "flag", "seen", "level", "constant")
    np.testing.assert_allclose(shape_errors(a, b), 0, atol=1e-12)
    np.testing.assert_allclose(trend_errors(a, b), 0, atol=1e-12)


def test_missing_values_count(every_kind: tuple[pd.DataFrame, Schema]) -> None:
    frame, schema = every_kind
    filled = frame.assign(**{"number <script>": frame["number <script>"].fillna(frame["number <script>"].median())})
    emptied = frame.assign(group=None, **{"number <script>": np.nan})
    real, without, empty = coded(schema, frame, filled, emptied)
    missing = frame["number <script>"].isna().mean()
    assert shape_errors(real, without)[0] == pytest.approx(missing, abs=0.03)
    errors = shape_errors(real, empty)
    assert errors[0] == 1
    assert errors[1] == pytest.approx(frame["group"].notna().mean())


def test_constant_columns() -> None:
    schema = Schema.from_dict({"columns": {"x": {"kind": "numeric"}, "y": {"kind": "numeric"}}})
    real = pd.DataFrame({"x": np.arange(50.0), "y": np.arange(50.0)})
    flat = real.assign(y=0.1)
    a, b = coded(schema, real, flat)
    assert trend_errors(a, b)[0, 1] == 1  # a lost correlation is the worst there is
    assert trend_errors(*coded(schema, flat, flat))[0, 1] == 0


columns = st.lists(st.sampled_from(["a", "b", "c", None]), min_size=8, max_size=40)


@settings(max_examples=40, deadline=None)
@given(left=columns, right=columns, seed=st.integers(0, 99))
def test_invariances(left: list[str | None], right: list[str | None], seed: int) -> None:
    schema = Schema.from_dict(
        {"columns": {"k": {"kind": "categorical", "nullable": True}, "x": {"kind": "numeric", "nullable": True}}}
    )
    rng = np.random.default_rng(seed)

    def table(values: list[str | None]) -> pd.DataFrame:
        numbers = rng.normal(size=len(values)).round(1)
        numbers[rng.random(len(values)) < 0.2] = np.nan
        return pd.DataFrame({"k": pd.Series(values, dtype=object), "x": numbers})

    real, synthetic = table(left), table(right)
    a, b = coded(schema, real, synthetic)
    shape, trend = shape_errors(a, b), trend_errors(a, b)
    assert ((shape >= 0) & (shape <= 1)).all()
    assert ((trend >= 0) & (trend <= 1)).all()
    c, d = coded(schema, real.sample(frac=1, random_state=seed), synthetic.sample(frac=1, random_state=seed))
    np.testing.assert_allclose(shape_errors(c, d), shape, atol=1e-12)
    np.testing.assert_allclose(trend_errors(c, d), trend, atol=1e-12)
    np.testing.assert_allclose(shape_errors(b, a), shape, atol=1e-12)
    assert shape_errors(a, a).max() == 0
    scores = fidelity_scores(a, b, None, rng)
    for score in scores:
        assert score.interval is not None
        assert 0 <= score.interval[0] <= score.value <= score.interval[1] <= 100


def test_interval_covers_what_other_samples_score() -> None:
    # A population with a known fault: its distance is found from a large sample, then small samples should cover it.
    rng = np.random.default_rng(0)
    schema = Schema.from_dict({"columns": {k: {"kind": "numeric"} for k in "xy"} | {"k": {"kind": "categorical"}}})

    def draw(n: int, shift: float) -> pd.DataFrame:
        x = rng.normal(shift, 1, n)
        return pd.DataFrame({"x": x, "y": x * (1 - shift) + rng.normal(size=n), "k": np.where(x > 0, "p", "n")})

    big = fidelity_scores(*coded(schema, draw(60_000, 0), draw(60_000, 0.5)), None, rng)
    hits = np.zeros(2)
    for _ in range(40):
        small = fidelity_scores(*coded(schema, draw(500, 0), draw(500, 0.5)), None, rng)
        hits += [s.interval[0] <= b.value <= s.interval[1] for s, b in zip(small, big, strict=True) if s.interval]
    assert (hits >= 34).all(), hits


def test_floor_is_what_a_fresh_sample_scores() -> None:
    rng = np.random.default_rng(1)
    schema = Schema.from_dict({"columns": {"x": {"kind": "numeric"}, "k": {"kind": "categorical"}}})

    def draw(n: int) -> pd.DataFrame:
        x = rng.normal(size=n)
        return pd.DataFrame({"x": x, "k": np.round(x).astype(int).astype(str)})

    found = []
    for _ in range(15):
        train, held_out, holdout = coded(schema, draw(1500), draw(1500), draw(800))
        with_holdout = fidelity_scores(train, held_out, holdout, rng)
        with_halves = fidelity_scores(train, held_out, None, rng)
        found.append([[s.value, t.floor, s.floor] for s, t in zip(with_holdout, with_halves, strict=True)])
    mean = np.mean(np.array(found, dtype=float), axis=0)
    np.testing.assert_allclose(mean[:, 1:] / mean[:, :1], 1, atol=0.35)
