"""A quick synthesizer of every kind, and the table that it learns."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from tabsynth.synthesizers import registry
from tabsynth.synthesizers.base import Synthesizer

from .quick_kinds import QUICK, toy_table


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return toy_table()


SLOW = {"tvae", "copula_gan"}
"""Of the packages of CTGAN and of the Gaussian copula, behind the same adapters."""
KINDS = [pytest.param(kind, marks=pytest.mark.slow) if kind in SLOW else kind for kind in QUICK]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name in ("ctgan", "tvae", "gaussian_copula", "copula_gan"):
        for package in ("ctgan", "sdv"):  # here, for importing sdv draws random numbers
            pytest.importorskip(package)
    return name


@pytest.fixture(scope="module")
def make(kind: str) -> Callable[[], Synthesizer]:
    return lambda: registry.create(kind, **QUICK[kind])
