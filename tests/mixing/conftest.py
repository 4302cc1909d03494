"""A quick measure of the domain shift, which every mixed table reports and only the tests of it read closely."""

from __future__ import annotations

import pytest

from tabsynth.mixing.combination import raking

MEASURED = "mixing/combination/test_raking.py"


@pytest.fixture(autouse=True)
def few_trees(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit five trees instead of a hundred, except where the shift itself is tested."""
    if not request.node.nodeid.partition("::")[0].endswith(MEASURED):
        monkeypatch.setattr(raking, "N_TREES", 5)
