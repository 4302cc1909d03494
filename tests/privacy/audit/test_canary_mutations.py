"""Faults that change what a private fit gives: canaries must call each of them a violation, and nothing else.

Some of the faults in ``faults`` are no matter for canaries, and ``test_mutations`` finds them by other means: stopping
by a score (as planted it only takes fewer steps), the sampling rate from the private row count (the charge in the
ledger reveals the count, and files are compared byte by byte), a GAN's fake loss dropped (which is no leak, but learns
nothing), and a GAN that starts on real rows (its fit is too slow for hundreds of runs). A raw number of rows, in
contrast, is one that canaries do see.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest

from .. import faults, test_mutations
from ..pipelines import USUAL, Audited, counted, descended, described, discovered, entered

Patch = pytest.MonkeyPatch

MIXED = partial(descended, others=-1.0, canary=1.0, steps=1, rate=1.0, epsilon=8.0, count=3)
PUSHED = partial(descended, others=-1.0, canary=50.0, steps=1, rate=1.0, epsilon=8.0, count=3)
SAMPLED = partial(descended, others=1.0, canary=1.0, steps=10, rate=0.02, epsilon=1.0, count=74)
SEEN: dict[str, tuple[Callable[[Patch], None], Callable[[], Audited]]] = {
    "sigma halved": (faults.half_sigma, partial(counted, 80)),
    "sigma zero": (faults.no_sigma, partial(counted, 80)),
    "noise reused": (faults.reused_noise, partial(counted, 120)),
    "noise seed fixed": (faults.fixed_seed, partial(counted, 80)),
    "sensitivity off by the root of two": (faults.wrong_sensitivity, partial(entered, 120)),
    "selection uncharged": (faults.uncharged_selection, partial(entered, 100)),
    "fixed threshold": (faults.fixed_threshold, discovered),
    "clipping skipped": (faults.no_clipping, partial(PUSHED, runs=100)),
    "clipping after averaging": (faults.clipping_of_the_mean, partial(PUSHED, runs=300)),
    "gradient accumulated twice": (faults.gradients_twice, partial(MIXED, runs=300)),
    "shuffle for Poisson": (faults.shuffled_batches, partial(SAMPLED, runs=240)),
    "steps under-counted": (faults.steps_miscounted, partial(MIXED, steps=2, epsilon=20.0, runs=400)),
    "raw n used": (faults.raw_rows, partial(described, USUAL)),
    "categories from data": (faults.categories_of_the_data, partial(described, USUAL | {"sex": "other"})),
    "null column on demand": (faults.null_column_on_demand, partial(described, USUAL | {"age": math.nan})),
    "constant dropped": (faults.constants_dropped, partial(described, USUAL | {"same": "y"})),
    "bins from raw data": (faults.bins_of_the_data, partial(described, USUAL | {"age": 10**9})),
    "sampler with raw frequencies": (faults.raw_frequencies, partial(described, USUAL)),
    "types from data": (faults.columns_typed_by_the_data, partial(described, USUAL | {"age": math.nan})),
    "a warning from data": (faults.a_warning_of_the_data, partial(described, USUAL | {"sex": None})),
}
UNSEEN = {"validation stopping", "q from the private row count", "fake loss dropped", "warm start on real rows"}
# The canaries' tables are too short for products of signs to be measured.
UNSEEN |= {"products of signs without noise", "signs beyond one"}
# Their numbers are counted one by one, and no measure could change that pairs are not counted.
UNSEEN |= {"dependence without noise", "cells divided by the data"}
# Neither have they two columns of numbers that could be equal.
UNSEEN |= {"search paid by the raw row count"}

pytestmark = [pytest.mark.filterwarnings("ignore:Full backward hook")]


@pytest.mark.slow
@pytest.mark.parametrize("fault", list(SEEN))
def test_the_fault_is_a_violation(fault: str, monkeypatch: Patch) -> None:
    plant, make = SEEN[fault]
    plant(monkeypatch)
    assert make().report().verdict == "VIOLATION"


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["sigma halved", "fixed threshold", "clipping skipped", "shuffle for Poisson"])
def test_without_it_there_is_none(fault: str) -> None:
    assert SEEN[fault][1]().report().verdict != "VIOLATION"


@pytest.mark.slow
def test_what_a_model_says_of_itself_is_no_violation() -> None:
    for canary in (USUAL, USUAL | {"sex": "other", "same": "y", "age": 10**9}, USUAL | {"age": math.nan, "sex": None}):
        assert described(canary).report().verdict != "VIOLATION"


def test_every_fault_is_seen_or_said_to_be_none_for_canaries() -> None:
    assert set(SEEN) | UNSEEN == set(test_mutations.FAULTS)
