"""The intervals' promise on few repeats: the benchmark ``intervals.py`` runs hundreds."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "benchmarks" / "intervals.py"


@pytest.fixture(scope="module")
def intervals() -> ModuleType:
    spec = importlib.util.spec_from_file_location("intervals", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_intervals_hold_and_are_no_wider_than_they_must(intervals: ModuleType) -> None:
    """At a true coverage of 95 %, fewer than 29 of 35 happens by chance once in 500 for one score (binomial)."""
    found = intervals.coverage(35, 3)
    assert len(found) >= 12
    for name, each in found.items():
        assert each["coverage"] >= 100 * 29 / 35, (name, each)
        assert each["width_over_sd"] < 1.7, (name, each)


@pytest.mark.slow
def test_fresh_real_rows_pass_the_default_gates(intervals: ModuleType) -> None:
    assert intervals.gates_missed(3, 5) == []
