"""Random thirds of one real table: real rows pass as synthetic ones, and copies are detected."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from tabsynth.evaluation.evaluate import evaluate
from tabsynth.evaluation.metrics.dependence import target_information_gains
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.encoded_table import encode_tables
from tabsynth.evaluation.verdict import Verdict, assess
from tabsynth.schema import Schema


@pytest.mark.parametrize("name", [pytest.param("cancer", marks=pytest.mark.slow), "diabetes"])
def test_thirds_of_a_real_table(name: str, request: pytest.FixtureRequest) -> None:
    frame, schema = request.getfixturevalue(name)
    n = len(frame) // 3
    train, synthetic, holdout = (frame[i * n : (i + 1) * n].reset_index(drop=True) for i in range(3))
    report = evaluate(train, synthetic, holdout, schema=schema, sdmetrics=False)
    assert not report.findings
    assert not [use for use in report.to_dict()["uses"] if use["level"] == "poor"]
    panels = report.drilldown["projection"]
    assert panels["difference"] <= 2 * panels["floor"] + 2
    assert "does not state whether the table is differentially private" in report.to_html()
    assert "Possible memorisation" not in report.to_html()


def test_both_panels_suppress_small_cells_alike(cancer: tuple[pd.DataFrame, Schema]) -> None:
    frame, schema = cancer
    train = frame[:210].reset_index(drop=True)
    panels = evaluate(train, train, frame[210:], schema=schema, sdmetrics=False, quick=True).drilldown["projection"]
    assert panels["real"] == panels["synthetic"]
    assert panels["difference"] == 0
    assert sum(map(sum, panels["real"])) > 500  # permille: most rows are in cells that are shown


def test_copies_lower_the_detection_auc(cancer: tuple[pd.DataFrame, Schema]) -> None:
    frame, schema = cancer
    train = frame[:300].reset_index(drop=True)
    report = evaluate(train, train.copy(), frame[300:], schema=schema, sdmetrics=False, quick=True)
    assert report.scores["detection_auc"].value < 0.4
    assert report.verdict.scores["detection_auc"] != "good"
    assert any("training rows may be copied" in finding["text"] for finding in report.findings)
    assert "Possible memorisation" in report.to_html()
    assert report.verdict.text.startswith("Rows may be copied: many are too close to the training rows. ")
    uses = report.to_dict()["uses"]
    assert {use["level"] for use in uses} == {"fair"}
    assert all(use["against"][0]["name"] in ("copies", "dcr_share") for use in uses)
    assert "Otherwise it is suitable with caution for" in report.to_html()


def test_a_detection_auc_below_one_half_is_no_success_of_the_classifier() -> None:
    auc = Score(name="detection_auc", value=0.39, interval=(0.33, 0.45), better="target", target=0.5, floor=0.5)
    share = Score(name="dcr_share", value=50.8, interval=(44.0, 57.0), better="target", target=50.0, floor=50.0)
    verdict = assess({"detection_auc": auc, "dcr_share": share})
    assert verdict.areas == {"detection": "fair", "memorisation": "good"}
    assert verdict.text == "Its detection AUC is below 0.5, which can be a sign of copied rows."
    above = dataclasses.replace(auc, value=0.61, interval=(0.55, 0.67))
    assert "partly distinguish" in assess({"detection_auc": above, "dcr_share": share}).text


def test_the_verdict_names_the_worst_utility_score() -> None:
    # A wide interval of the gap hides a loss that both absolute scores show.
    gap = Score(name="utility_gap", value=0.134, interval=(0.032, 0.225), better="lower", target=0.0, floor=0.028)
    utility = Score(name="utility", value=0.658, interval=(0.580, 0.736), better="higher", floor=0.792)
    assert "as well as from real rows" in assess({"utility_gap": gap}).text
    verdict = assess({"utility_gap": gap, "utility": utility})
    assert verdict.areas["utility"] == "poor"
    assert verdict.text == "Models learn less from it than from real rows."


def test_slight_closeness_is_no_warning_of_copies(cancer: tuple[pd.DataFrame, Schema]) -> None:
    share = Score(name="dcr_share", value=57.2, interval=(52.3, 62.2), better="target", target=50.0, floor=50.0)
    shape = Score(name="shape_error", value=1.4, interval=(0.4, 2.3), better="lower", target=0.0, floor=2.7)
    frame, schema = cancer
    quick = evaluate(frame[:60], frame[60:120], schema=schema, sdmetrics=False, quick=True)
    report = dataclasses.replace(quick, scores={"shape_error": shape, "dcr_share": share}, findings=[])
    page = report.to_html()
    assert report.verdict.areas["memorisation"] == "fair"
    assert "Slightly closer to training rows" in page
    assert "before any use" not in page
    assert "Good scores below may be due to copies" not in page


def test_a_model_that_only_guesses_is_not_nearly_as_good_as_one_of_real_rows() -> None:
    def utility(value: float, real: float, low: float) -> Verdict:
        gap = real - value
        auc = Score(
            name="utility", value=value, interval=(value - 0.06, value + 0.06), floor=real, unit="AUC", better="higher"
        )
        lost = Score(name="utility_gap", value=gap, interval=(low, gap + 0.06), better="lower", floor=0.003, unit="AUC")
        return assess({"utility": auc, "utility_gap": lost})

    guessing = utility(0.486, 0.588, low=0.045)
    assert "no better than guessing" in guessing.text
    assert guessing.scores["utility_gap"] == "poor"
    assert "nearly as well" in utility(0.52, 0.588, low=0.045).text
    assert "guessing" not in utility(0.486, 0.53, low=-0.01).text  # real rows hardly predict it either


def test_a_few_missing_values_have_no_measurable_dependence() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=210), "b": rng.choice(["x", "y"], 210)})
    frame.loc[[3, 80, 81, 150], "a"] = np.nan
    columns = {"a": {"kind": "numeric", "nullable": True}, "b": {"kind": "categorical"}}
    schema = Schema.from_dict({"columns": columns})
    thirds = [frame[i::3].reset_index(drop=True) for i in range(3)]
    report = evaluate(*thirds, schema=schema, sdmetrics=False)
    assert "missing_pattern_error" in report.scores
    assert "missing_relation_error" not in report.scores


@pytest.mark.parametrize("seed", [0, 1])
def test_thirds_of_few_rows_show_no_leak(cancer: tuple[pd.DataFrame, Schema], seed: int) -> None:
    """With 190 rows the information that columns share with the target differs by a fifth between two samples."""
    frame, schema = cancer
    order = np.random.default_rng(seed).permutation(len(frame))
    real, other = encode_tables([frame.iloc[order[:190]], frame.iloc[order[190:380]]], schema)
    assert target_information_gains(real, other, "target", 0.15) == []
    leaked = frame.iloc[order[190:380]].assign(**{"mean smoothness": lambda t: (t["target"] == "benign") * 0.1})
    real, other = encode_tables([frame.iloc[order[:190]], leaked], schema)
    assert [name for name, _, _ in target_information_gains(real, other, "target", 0.15)] == ["mean smoothness"]
