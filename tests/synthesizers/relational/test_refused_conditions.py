"""Conditions on linked tables that cannot be met name their cause."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import ConditionError
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer


@pytest.fixture(scope="module")
def model() -> RelationalSynthesizer:
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"person_id": np.arange(1, 61), "sex": rng.choice(["f", "m"], 60)})
    people["born"] = pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 900, 60), unit="D")
    visits = pd.DataFrame({"person_id": rng.integers(1, 61, 150), "ward": rng.choice(["e", "h"], 150)})
    return RelationalSynthesizer(epochs=1).fit({"people": people, "visits": visits}, seed=0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"people": {"person_id": 3}}, "'person_id' of 'people' cannot be given: keys are made up"),
        ({"people": pd.DataFrame({"sex": ["f"]})}, "by table.*not 'people': DataFrame"),
        (pd.DataFrame({"sex": ["f"]}), "by table.*not DataFrame"),
        ({"people": {"born": pd.Timestamp("1951-01-01 12:00")}}, "12:00:00.*unit of time is 'D'"),
    ],
    ids=["key", "frame", "frame for all", "noon"],
)
def test_what_cannot_be_given_is_named(model: RelationalSynthesizer, given: Any, says: str) -> None:
    with pytest.raises(ConditionError, match=says):
        model.sample(20, given=given, seed=0)
