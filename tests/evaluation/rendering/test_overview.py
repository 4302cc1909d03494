"""The chart of the main scores: real rows are at the left end, and each limit of a score ends a zone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.evaluation.compare import compare
from tabsynth.evaluation.metric_specs import SPECS
from tabsynth.evaluation.rendering.overview import ZONE, overview, overview_of_levels, overview_of_tables
from tabsynth.evaluation.score import Better, Score


def position(name: str, value: float, floor: float, better: Better = "lower") -> float:
    score = Score(name=name, value=value, interval=(value, value), better=better, floor=floor, target=0.5)
    (row,) = overview({name: score.to_dict()}, {name: "good"})
    return float(row["at"])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", ["shape_error", "detection_auc", "coverage"])
def test_limits_are_the_ends_of_the_zones(name: str, sign: int) -> None:
    good, fair = SPECS[name].limits or (0, 0)
    better: Better = "higher" if name == "coverage" else "target" if name == "detection_auc" else "lower"
    worse = -sign if better == "higher" else sign
    at = [position(name, 0.5 + worse * excess, 0.5, better) for excess in (0, good, fair, 1e9)]
    if sign < 0 and name != "detection_auc":  # better than real rows
        assert at == [0, 0, 0, 0]
    else:  # an AUC below 0.5 is as far from real rows as one above
        assert at == pytest.approx([0, ZONE, 2 * ZONE, 3 * ZONE], abs=0.1)


def test_an_interval_around_the_floor_reaches_the_left_end() -> None:
    score = Score(name="detection_auc", value=0.51, interval=(0.47, 0.55), better="target", target=0.5, floor=0.5)
    (row,) = overview({"detection_auc": score.to_dict()}, {"detection_auc": "good"})
    assert row["whisker"]["left"] == 0 < row["at"] < row["whisker"]["width"]


def test_levels_alone_are_in_the_middle_of_a_zone() -> None:
    rows = overview_of_levels([("a", "good"), ("b", "fair"), ("c", "poor")])
    assert [row["at"] for row in rows] == pytest.approx([ZONE / 2, 1.5 * ZONE, 2.5 * ZONE], abs=0.1)


def test_a_page_begins_with_the_chart_and_the_suitability() -> None:
    rng = np.random.default_rng(0)
    tables = [pd.DataFrame({"x": rng.normal(size=80), "g": rng.choice(["u", "v"], 80)}) for _ in range(3)]
    comparison = compare(tables[0], {"one": tables[1], "two": tables[2]}, quick=True)
    head = comparison.to_html().partition("<nav")[0]
    assert head.count('class="lane ') == 2 * len(overview_of_tables(comparison.to_dict()["reports"])) > 4
    report = comparison.reports["one"]
    head = report.to_html().partition("<nav")[0]
    assert report.verdict.text in head
    assert 'class="overview"' in head
    assert head.count("Distribution of x") == head.count("Shares of g") == 1
    assert all(use["use"] in head for use in report.to_dict()["uses"])
