"""Persons are identified by exact keys: none are merged or split for any column type."""

from __future__ import annotations

import decimal
import uuid
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import Privacy
from tabsynth.privacy.domains import measure
from tabsynth.privacy.mechanisms.contribution_bounding import (
    NO_KEY,
    bound_contributions,
    check_person_column,
    person_keys,
)
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

SCHEMA = Schema.from_dict({"columns": {"who": {"kind": "identifier"}, "x": {"kind": "categorical", "values": [1, 2]}}})


@pytest.mark.parametrize(
    "made",
    [
        lambda i: uuid.UUID(int=i),
        lambda i: bytes([i]),
        lambda i: f"person {i}",
        lambda i: 2**53 + i,
        lambda i: str(2**70 + i),
        lambda i: f"{i}e5",
        lambda i: f"a\0{i}",
        lambda i: 10**5000 + i if i > 100 else i,
    ],
)
def test_different_keys_are_different_persons(made: Any) -> None:
    persons = pd.Series([made(i) for i in range(50)], dtype=object)
    assert len(set(person_keys(persons))) == 50
    assert bound_contributions(persons, 1, Noise.insecure(0)).all()


def test_one_person_is_one_however_a_reader_took_the_key() -> None:
    cells = [7, "7", "007", 7.0, np.int32(7), np.float32(7), decimal.Decimal("7.0"), " 7", "+7", "7."]
    assert set(person_keys(pd.Series(cells, dtype=object))) == {"7"}
    assert set(person_keys(pd.Series(["-0", 0, "000", "+0.0"], dtype=object))) == {"0"}


def test_what_is_no_key_is_left_out_and_a_missing_one_is_one_person() -> None:
    cells = [("a", 1), ["a"], 0.5, 2.0**60, True, 1j, pd.Timestamp("2020-01-01"), object(), 10**5000]
    persons = pd.Series([*cells, None, np.nan, pd.NA, "a"], dtype=object)
    assert list(person_keys(persons)) == [NO_KEY] * len(cells) + [None] * 3 + ["a"]
    assert bound_contributions(persons, 2, Noise.insecure(0)).tolist()[: len(cells)] == [False] * len(cells)
    assert bound_contributions(persons, 2, Noise.insecure(0)).sum() == 3


KEYS = st.one_of(
    st.integers(0, 3), st.integers(0, 3).map(str), st.sampled_from([None, "a", b"a", ("a",), 0.5, uuid.UUID(int=1)])
)


@settings(max_examples=100, deadline=None)
@given(st.lists(KEYS, max_size=12), st.lists(st.just("z"), max_size=5), st.integers(1, 3))
def test_a_person_less_changes_no_other_row(others: list[Any], own: list[str], cap: int) -> None:
    """The very rows of the others are kept or not: only their own noise decides."""
    both = pd.Series([*others, *own], dtype=object)
    kept = bound_contributions(both, cap, Noise.insecure(3))
    alone = bound_contributions(both[both != "z"], cap, Noise.insecure(3))
    assert kept[len(others) :].sum() == min(len(own), cap)
    assert kept[: len(others)].sum() == alone.sum()


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ([1.0, np.nan], True),
        ([True, False], True),
        (pd.to_datetime(["2020-01-01", "2020-01-02"]), True),
        (pd.Categorical([1.5, 2.5]), True),
        ([1, 2], False),
        (pd.array([1, None], dtype="Int64"), False),
        (pd.array(["a", None], dtype="string"), False),
        (pd.Categorical(["a", None]), False),
        (["a", 2], False),
    ],
)
def test_a_type_without_exact_keys_is_refused_before_any_charge(values: Any, refused: bool) -> None:
    frame = pd.DataFrame({"who": values, "x": [1, 2]})
    if not refused:
        check_person_column(frame["who"])
        return
    ledger = PrivacyLedger(9.0, 1e-6, unit="who")
    privacy = Privacy(1.0, 1e-6, unit="who", rows_per_person=1, ledger=ledger)
    for act in (
        lambda: MarginalSynthesizer().fit(frame, schema=SCHEMA, privacy=privacy, progress=False),
        lambda: measure(frame, SCHEMA.replace("x", values=None), privacy),
    ):
        with pytest.raises(PrivacyError, match="column 'who' identifies persons, but in its type"):
            act()
    assert len(ledger) == 0
