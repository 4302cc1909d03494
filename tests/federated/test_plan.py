"""The plan of a federated fit: refused plans, its file form and its hash."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tabsynth.errors import InputError, PrivacyError
from tabsynth.federated import FederatedPlan
from tabsynth.federated.transport import decode_message, encode_message

from .three_columns import PLAN, SCHEMA


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"sites": ("a", "b")}, "at least 3 different sites"),
        ({"sites": ("a", "b", "b")}, "at least 3 different sites"),
        ({"curious_sites": 2}, "curious_sites must be from 0 to 1"),
        ({"sites_per_person": 2}, "needs a person as the unit"),
        ({"schema": SCHEMA.replace("age", high=None)}, "no high"),
    ],
)
def test_plans_that_protect_nobody_are_refused(facts: dict[str, Any], says: str) -> None:
    with pytest.raises((PrivacyError, InputError), match=says):
        dataclasses.replace(PLAN, **facts)


def test_a_plan_survives_a_file_and_its_hash_changes_with_every_fact() -> None:
    again = FederatedPlan.from_dict(decode_message(encode_message(PLAN.to_dict())))
    assert again.hash() == PLAN.hash()
    others = [{"epsilon": 2.0}, {"curious_sites": 0}, {"seed": 1}, {"schema": SCHEMA.replace("age", high=98)}]
    assert len({PLAN.hash(), *(dataclasses.replace(PLAN, **facts).hash() for facts in others)}) == 5
