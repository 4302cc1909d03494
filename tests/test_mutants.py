"""Damaged files of every kind are refused by our own errors; ``benchmarks/mutants.py`` reads more of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("mutants", Path(__file__).parent.parent / "benchmarks" / "mutants.py")
assert SPEC is not None
assert SPEC.loader is not None
MUTANTS = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MUTANTS)


@pytest.mark.slow
def test_damaged_files_raise_no_foreign_exception() -> None:
    found = MUTANTS.run_mutants(40, 50_000)
    foreign = {
        kind: {text: n for text, n in outcomes.items() if text not in ("read", "refused")}
        for kind, outcomes in found.items()
    }
    assert foreign == {kind: {} for kind in found}
    assert {kind for kind, outcomes in found.items() if outcomes["refused"] < 5} == set()
    assert found["bundle"]["read"] == found["signature"]["read"] == 0  # every byte counts
