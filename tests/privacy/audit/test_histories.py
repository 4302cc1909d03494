"""Audits of linked tables: whole histories that are copied are found, others are not accused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.data.database.root_rows import take_roots
from tabsynth.errors import DataError, InputError
from tabsynth.privacy.audit import audit
from tabsynth.privacy.audit.histories import join_histories
from tabsynth.privacy.budget import Privacy

from ..linked import SCHEMA, Tables, people


def with_copies(real: Tables, fresh: Tables, number: int) -> Tables:
    """Fresh tables in which the first histories are those of real persons, under other keys."""
    chosen = np.arange(len(real["patients"])) < number
    copied, rest = take_roots(real, SCHEMA, chosen), take_roots(fresh, SCHEMA, ~chosen)
    keys = {"pid", "vid"}
    renamed = {name: frame.assign(**{c: "c" + frame[c] for c in keys & set(frame)}) for name, frame in copied.items()}
    return {name: pd.concat([rest[name], renamed[name]], ignore_index=True) for name in rest}


def test_a_history_is_one_row_and_sums_up_all_below_it() -> None:
    tables = people(30)
    (frame, shuffled), schema = join_histories(
        [tables, {name: own.sample(frac=1, random_state=1) for name, own in tables.items()}], SCHEMA
    )
    assert len(frame) == 30
    assert list(frame) == list(schema)
    assert not {"pid", "vid"} & set(frame)
    assert frame["visits.count"].sum() == len(tables["visits"])
    assert frame["tests.count"].sum() == len(tables["tests"])
    mine = tables["visits"][tables["visits"].pid == tables["visits"].pid[0]]
    row = tables["patients"].pid.tolist().index(mine.pid.iloc[0])
    assert frame["visits.ward.share eye"][row] == pytest.approx((mine.ward == "eye").mean())
    assert frame["visits.ward.first"][row] == mine.sort_values("day").ward.iloc[0]
    # The order of rows in the files says nothing, except for siblings of one time.
    whole = ["visits.count", "visits.day.mean", "visits.day.least", "tests.count", "tests.kind.different"]
    order = [f"p{i}" for i in range(30)]
    place = tables["patients"].sample(frac=1, random_state=1).pid.tolist()
    again = shuffled.set_index(pd.Index(place)).loc[order].reset_index(drop=True)
    pd.testing.assert_frame_equal(frame[whole], again[whole])


def test_copied_histories_are_found_and_exchanged_tables_refused() -> None:
    real, others, fresh = (people(300, seed) for seed in (1, 2, 3))
    leaky = with_copies(real, fresh, 15)
    report = audit(real, leaky, others, schema=SCHEMA, privacy=Privacy(epsilon=0.1, unit="pid", rows_per_person=4))
    assert report.scores["copies_exact"].value >= 4
    assert "copies_exact" in report.significant
    assert "root table" in report.notes[0]
    assert report.claim is not None
    assert report.claim["unit"] == "pid"
    assert audit(real, leaky, others, schema=SCHEMA).verdict == "VIOLATION"
    with pytest.raises(DataError, match="exchanged"):
        audit(others, leaky, real, schema=SCHEMA)
    with pytest.raises(DataError, match="overlaps"):
        audit(real, fresh, real, schema=SCHEMA)


@pytest.mark.parametrize("split", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_fresh_histories_are_not_accused(split: int) -> None:
    # Each verdict is wrong with a probability of at most .05; the draws are fixed.
    for part in range(1 if not split else 5):
        first = 1000 * split + 10 * part + 100
        real, others, fresh = (people(200, first + seed) for seed in range(3))
        assert audit(real, fresh, others, schema=SCHEMA, seed=split).verdict != "VIOLATION"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"schema": None}, InputError, "DatabaseSchema"),
        ({"synthetic": people(9)["patients"]}, InputError, "synthetic must be a mapping"),
        ({"holdout": {"patients": people(9)["patients"]}}, InputError, "holdout has no table"),
        ({"synthetic": {name: frame[:0] for name, frame in people(9).items()}}, DataError, "no rows"),
        ({"train": people(9)["patients"]}, DataError, "train is one table"),
        ({"fit": lambda frame, seed: frame}, DataError, "one table"),
    ],
)
def test_what_cannot_be_audited_is_refused(change: dict[str, Any], error: type[Exception], message: str) -> None:
    facts: dict[str, Any] = {"train": people(9, 1), "synthetic": people(9, 2), "holdout": people(9, 3)}
    facts |= {"schema": SCHEMA, **change}
    with pytest.raises(error, match=message):
        audit(facts.pop("train"), facts.pop("synthetic"), facts.pop("holdout"), **facts)
