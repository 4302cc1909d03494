"""Scores, AUC, detection, utility and memorisation against known answers and planted faults."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from tabsynth.common.binomial import wilson
from tabsynth.errors import DataError
from tabsynth.evaluation.metrics.detection import detection_scores
from tabsynth.evaluation.metrics.memorisation import memorisation_scores, nearest_distances
from tabsynth.evaluation.metrics.utility import utility_scores
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.auc import delong_auc, weighted_auc
from tabsynth.evaluation.stats.encoded_table import EncodedTable, encode_tables
from tabsynth.evaluation.verdict import level_of
from tabsynth.reporting.number_format import format_number
from tabsynth.schema import Schema


def detected(frames: list[pd.DataFrame], schema: Schema, rng: np.random.Generator) -> list[Score]:
    real, synthetic = encode_tables(frames, schema)
    return detection_scores(real, synthetic, rng)[0]


def remembered(tables: list[EncodedTable]) -> list[Score]:
    train, synthetic, holdout = tables
    return memorisation_scores(train, synthetic, holdout, np.random.default_rng(0))


def test_score_refuses_what_cannot_be_read() -> None:
    facts: dict[str, Any] = {"name": "s", "title": "S", "interval": (0.0, 1.0), "better": "lower"}
    with pytest.raises(DataError, match="not a finite number"):
        Score(value=float("nan"), **facts)
    with pytest.raises(DataError, match="is reversed"):
        Score(value=0.5, **{**facts, "interval": (1.0, 0.0)})
    with pytest.raises(DataError, match="needs a target"):
        Score(value=0.5, **{**facts, "better": "target"})
    with pytest.raises(DataError, match="not one of"):
        Score(value=0.5, **{**facts, "better": "up"})


def test_score_survives_its_dictionary() -> None:
    score = Score(
        name="shape_error",
        title="Column shapes",
        value=1.234,
        interval=(1.0, 1.5),
        better="lower",
        floor=0.5,
        unit="%",
        detail=(Part(columns=("a", "b"), value=2.0, floor=0.5),),
    )
    assert Score.from_dict(score.to_dict()) == score
    assert str(score) == "Column shapes: 1.23 % (1.00 % to 1.50 %), real data 0.50 %, lower is better"
    assert score.detail[0].name == "a × b"
    other = dataclasses.replace(score, beside="the baseline table")
    assert Score.from_dict(other.to_dict()) == other
    assert "the baseline table 0.50 %" in str(other)
    with pytest.raises(DataError, match="cannot be read"):
        Score.from_dict({"name": "x"})


def test_figures() -> None:
    assert [format_number(-0.0001), format_number(-0.25), format_number(12.345, "%"), format_number(0.579, "AUC")] == [
        "0.000",
        "−0.250",
        "12.3 %",
        "0.579",
    ]


def test_delong_and_the_bootstrap_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    y = rng.random(800) < 0.3
    score = (rng.normal(size=800) + y).round(1)  # ties
    auc, (low, high) = delong_auc(y, score)
    assert auc == pytest.approx(roc_auc_score(y, score), abs=1e-12)
    weights = rng.multinomial(800, np.full(800, 1 / 800), 400).astype(float)
    draws = weighted_auc(y, score, weights)
    assert draws[0] == pytest.approx(roc_auc_score(y, score, sample_weight=weights[0]), abs=1e-12)
    np.testing.assert_allclose([low, high], np.quantile(draws, [0.025, 0.975]), atol=0.01)


def test_delong_without_variance() -> None:
    auc, (low, high) = delong_auc(np.array([True] * 30 + [False] * 30), np.r_[np.ones(30), np.zeros(30)])
    assert (auc, low, high) == (1.0, 0.9, 1.0)


def test_detection_names_the_shuffled_column(cancer: tuple[pd.DataFrame, Schema]) -> None:
    frame, schema = cancer
    rng = np.random.default_rng(0)
    shuffled = frame.assign(**{"mean radius": rng.permutation(frame["mean radius"])})
    joint, alone = detected([frame, shuffled], schema, rng)
    assert joint.value > 0.75
    assert alone.value < 0.6
    assert "mean radius" in [part.name for part in joint.detail[:4]]
    shifted = frame.assign(**{"mean texture": frame["mean texture"] + 5})
    joint, alone = detected([frame, shifted], schema, rng)
    assert joint.detail[0].name == alone.detail[0].name == "mean texture"


def test_detection_of_a_fresh_sample_is_guessing() -> None:
    rng = np.random.default_rng(3)
    schema = Schema.from_dict({"columns": {"x": {"kind": "numeric"}, "k": {"kind": "categorical"}}})
    frames = [pd.DataFrame({"x": rng.normal(size=1500), "k": rng.choice(list("abc"), 1500)}) for _ in range(2)]
    joint, alone = detected(frames, schema, rng)
    assert joint.value == pytest.approx(0.5, abs=0.05)
    assert alone.value == pytest.approx(0.5, abs=0.05)


def test_detection_sees_a_spike() -> None:
    # Half of the real values are exactly zero; the synthetic ones are near it.
    rng = np.random.default_rng(4)
    schema = Schema.from_dict({"columns": {"x": {"kind": "numeric"}}})
    real = np.where(rng.random(1000) < 0.5, 0.0, rng.normal(size=1000))
    synthetic = np.where(rng.random(1000) < 0.5, rng.normal(0, 0.01, 1000), rng.normal(size=1000))
    frames = [pd.DataFrame({"x": x}) for x in (real, synthetic)]
    assert detected(frames, schema, rng)[1].value > 0.7


@pytest.mark.parametrize(
    ("table", "unit", "least"), [("cancer", "AUC", 0.95), ("wine", "AUC", 0.95), ("diabetes", "R²", 0.1)]
)
def test_utility_of_the_real_table_is_the_floor(
    table: str, unit: str, least: float, request: pytest.FixtureRequest
) -> None:
    frame, schema = request.getfixturevalue(table)
    n = int(len(frame) * 0.6)
    train, holdout = encode_tables([frame[:n], frame[n:]], schema)
    (utility, gap), notes = utility_scores(train, train, holdout, "target", np.random.default_rng(0))
    assert utility.unit == unit
    assert utility.value > least
    assert utility.floor == utility.value
    assert (gap.value, gap.interval, notes) == (0.0, (0.0, 0.0), [])
    noise = frame[:n].assign(target=np.random.default_rng(0).permutation(frame["target"][:n]))
    train, synthetic, holdout = encode_tables([frame[:n], noise, frame[n:]], schema)
    (utility, gap), _ = utility_scores(train, synthetic, holdout, "target", np.random.default_rng(0))
    assert gap.value > 0.1
    assert gap.interval is not None
    assert gap.interval[0] > 0


def test_utility_with_a_class_missing_and_targets_missing(wine: tuple[pd.DataFrame, Schema]) -> None:
    frame, schema = wine
    schema = schema.replace("target", nullable=True)
    synthetic = frame[frame["target"] != 2]
    synthetic = synthetic.assign(target=synthetic["target"].where(synthetic.index % 7 != 0))
    train, some, none, holdout = encode_tables(
        [frame[:100], synthetic, frame.assign(target=np.nan), frame[100:]], schema
    )
    (utility, _), notes = utility_scores(train, some, holdout, "target", np.random.default_rng(0))
    assert 0.5 < utility.value < 0.95
    assert not notes
    (utility, _), notes = utility_scores(train, none, holdout, "target", np.random.default_rng(0))
    assert utility.value == 0.5
    assert "predictions are constant" in notes[0]


def test_a_number_with_two_values_is_a_class(diabetes: tuple[pd.DataFrame, Schema]) -> None:
    frame, schema = diabetes
    frame = frame.assign(target=(frame["target"] > 140).astype(int))
    train, holdout = encode_tables([frame[:250], frame[250:]], schema)
    (utility, _), _ = utility_scores(train, train, holdout, "target", np.random.default_rng(0))
    assert utility.unit == "AUC"


def test_memorisation_finds_copies(cancer: tuple[pd.DataFrame, Schema]) -> None:
    frame, schema = cancer
    train, holdout = frame[:280], frame[280:]
    copied = encode_tables([train, train.sample(frac=1, random_state=1), holdout], schema)
    share, copies = remembered(copied)
    assert share.value == 100
    assert copies.value == 100
    held_out = encode_tables([frame[:190], frame[190:380], frame[380:]], schema)
    share, copies = remembered(held_out)
    assert share.interval is not None
    assert share.interval[0] - 5 < 50 < share.interval[1] + 5
    assert copies.value == 0


def test_a_copy_is_one_also_where_a_reader_rounds_its_last_bit(cancer: tuple[pd.DataFrame, Schema]) -> None:
    frame, schema = cancer
    numbers = frame.columns.drop("target")
    near, other = frame.copy(), frame.copy()
    near[numbers] = frame[numbers] * (1 + 2**-52)
    other[numbers] = frame[numbers] * (1 + 1e-9)
    for synthetic, share in ((near, 100.0), (other, 0.0)):
        tables = encode_tables([frame[:280], synthetic[:280], frame[280:]], schema)
        assert remembered(tables)[1].value == share


def test_nearest_agrees_with_a_loop(every_kind: tuple[pd.DataFrame, Schema]) -> None:
    frame, schema = every_kind
    train, synthetic = encode_tables([frame[:200], frame[200:260]], schema)
    got = nearest_distances(synthetic, train, train)
    numbers = ["number <script>", "seen", "constant"]
    real = frame[numbers].assign(seen=frame["seen"].astype("int64") / 1e9)
    low, span = real[:200].min(), (real[:200].max() - real[:200].min()).replace(0, 1)
    scaled = ((real - low) / span).fillna(-0.5).to_numpy()
    labels = frame[["group", "flag", "level"]].astype(object)
    other = labels.where(labels.notna(), "?").to_numpy()
    for i in range(60):
        gaps = np.abs(scaled[:200] - scaled[200 + i]).sum(1) + (other[:200] != other[200 + i]).sum(1)
        assert got[i] == pytest.approx(gaps.min(), abs=1e-6)


def test_wilson() -> None:
    # Newcombe (1998), table I: 81 of 263.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_categories_of_one_table_alone_do_not_give_it_away() -> None:
    # Every label is nearly unique, so each table has its own; fresh rows must still be indistinguishable.
    rng = np.random.default_rng(5)
    schema = Schema.from_dict({"columns": {"k": {"kind": "categorical"}, "x": {"kind": "numeric"}}})
    frames = [pd.DataFrame({"k": rng.integers(0, 5000, 800).astype(str), "x": rng.normal(size=800)}) for _ in range(2)]
    joint, alone = detected(frames, schema, rng)
    assert joint.value == pytest.approx(0.5, abs=0.06)
    assert alone.interval is not None
    assert alone.interval[0] < 0.5


def test_one_broken_pair_is_not_called_good() -> None:
    facts: dict[str, Any] = {
        "title": "Pair trends",
        "value": 1.5,
        "interval": (1.2, 1.8),
        "better": "lower",
        "floor": 1.0,
        "unit": "%",
    }
    fine, broken = Part(columns=("a", "b"), value=3.0, floor=1.0), Part(columns=("a", "c"), value=77.0, floor=1.0)
    assert level_of(Score(name="trend_error", detail=(fine,), **facts)) == "good"
    assert level_of(Score(name="trend_error", detail=(fine, broken), **facts)) == "fair"
