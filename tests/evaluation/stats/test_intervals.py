"""Coverage of the intervals on few repeats; the benchmark ``intervals.py`` runs hundreds."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.mark.slow
def test_intervals_hold_and_are_no_wider_than_they_must(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a true coverage of 95 %, fewer than 8 of 12 happens by chance once in 5,000 for one score (binomial)."""
    monkeypatch.syspath_prepend(str(FOLDER))
    intervals = importlib.import_module("intervals")
    found = intervals.coverage(intervals.population("made"), 12, 3, models=False)
    assert len(found) >= 20
    for name, each in found.items():
        assert each["coverage"] >= 66.6, (name, each)
        # one is of the largest of all columns, the other of few coefficients, and of few repeats: wide on purpose
        if name not in ("detection_column_auc", "conclusions"):
            assert each["width_over_sd"] < 1.7, (name, each)


@pytest.mark.slow
def test_fresh_real_rows_pass_the_default_gates_and_show_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault is found by chance in at most one report of ten."""
    monkeypatch.syspath_prepend(str(FOLDER))
    nulls = importlib.import_module("null_reports")
    assert nulls.reports([nulls.population("made")], (600,), 3, 5)["said"] == []
