"""The diagram of a report on linked tables."""

from __future__ import annotations

from typing import Any

import pytest

from tabsynth.evaluation.relational.database_specs import METRICS
from tabsynth.evaluation.relational.diagram import CHARACTER, LABELS, MARK, draw_diagram
from tabsynth.evaluation.score import Score


@pytest.mark.parametrize("metric", [name for name, spec in METRICS.items() if spec.group == "sequence"])
def test_lines_are_neither_cut_nor_longer_than_their_box(metric: str) -> None:
    values = {"shape_error": (12.34, "%"), "detection_auc": (0.987, "AUC"), metric: (12.34, "%")}
    scores = {
        f"a.{name}": Score(name=f"a.{name}", value=value, interval=None, better="lower", unit=unit)
        for name, (value, unit) in values.items()
    }
    table: dict[str, Any] = {"name": "a", "rows": [1_234_567, 1_234_567], "reference": False}
    report = {"tables": [table], "links": [], "levels": dict.fromkeys(scores, "poor")}

    diagram = draw_diagram(report, scores)

    for kind in ("wide", "narrow"):
        (box,) = diagram[kind]["boxes"]
        shown = " ".join(line["text"] for line in box["lines"])
        assert "…" not in shown
        assert "AUC 0.987" in shown
        assert f"history: {LABELS[metric]} 12.3" in shown
        for line in box["lines"]:
            assert line["x"] + CHARACTER * (len(line["text"]) + MARK * bool(line["level"])) <= box["x"] + box["width"]
            assert line["y"] < box["y"] + box["height"]


def test_the_colour_of_a_box_is_that_of_the_worst_score_of_its_table_and_history() -> None:
    scores = {
        name: Score(name=name, value=12.0, interval=None, better="lower", unit="%")
        for name in ("a.shape_error", "a.equal_times_error")
    }
    table: dict[str, Any] = {"name": "a", "rows": [10, 10], "reference": False}
    levels = {"a.shape_error": "good", "a.equal_times_error": "poor"}
    diagram = draw_diagram({"tables": [table], "links": [], "levels": levels}, scores)
    assert [diagram[kind]["boxes"][0]["level"] for kind in ("wide", "narrow")] == ["poor", "poor"]
