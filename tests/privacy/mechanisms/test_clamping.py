"""Row-wise preprocessing: no error, warning or type depends on other rows."""

from __future__ import annotations

import datetime
import decimal
import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.mechanisms.clamping import private_column, private_table
from tabsynth.privacy.mechanisms.contribution_bounding import bound_contributions
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.privacy.mechanisms.noisy_counts import noisy_counts
from tabsynth.privacy.public_schema import private_schema, public_dtypes
from tabsynth.schema import Schema

from ..tables import CHANGES, SCHEMA, table

COLUMNS = {
    "number": {"kind": "numeric", "low": -3, "high": 50, "decimals": 1, "nullable": True},
    "whole": {"kind": "numeric", "low": 0, "high": 9, "decimals": 0},
    "word": {"kind": "categorical", "values": ["a", "b"], "nullable": True},
    "pooled": {"kind": "categorical", "values": ["a", "other"], "nullable": True},
    "code": {"kind": "categorical", "values": [1, 2, 3.5]},
    "truth": {"kind": "boolean"},
    "day": {"kind": "datetime", "low": "2000-01-01", "high": "2030-01-01"},
    "spelled": {"kind": "datetime", "low": "2000-01-01", "high": "2030-01-01", "format": "%d/%m/%Y", "nullable": True},
    "note": {"kind": "text"},
}
MIXED = Schema.from_dict({"columns": COLUMNS})

CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.decimals(),
    st.sampled_from(
        ["", "a", "b", "1", "1.0", "+2.0", "True", "FALSE", "nan", "inf", "05/06/2010", "2010-06-05", "1_0"]
    ),
    st.text(max_size=5),
    st.dates(),
    st.datetimes(timezones=st.sampled_from([None, datetime.UTC])),
    st.sampled_from([pd.NA, pd.NaT, np.datetime64("30000-01-01"), np.float32(2.5), [1], {"a": 1}, b"a", 1j, object()]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=12), st.sampled_from(list(COLUMNS)))
def test_a_cell_becomes_the_same_in_any_company(cells: list[Any], name: str) -> None:
    column = MIXED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        together = private_column(pd.Series(cells, dtype=object), column)
        alone = [private_column(pd.Series([cell], dtype=object), column).iloc[0] for cell in cells]
    for cell, own, whole in zip(cells, alone, together, strict=True):
        assert (pd.isna(own) and pd.isna(whole)) or own == whole, cell
    if not column.nullable:
        assert not together.isna().any()


@pytest.mark.parametrize(
    ("name", "cell", "wanted"),
    [
        ("number", 7.25, 7.2),
        ("number", "12.5", 12.5),
        ("number", math.inf, 50.0),
        ("number", 1e308, 50.0),
        ("number", -(10**400), math.nan),
        ("number", None, math.nan),
        ("number", "twelve", math.nan),
        ("whole", None, 9.0),
        ("whole", decimal.Decimal("4"), 4.0),
        ("word", "c", None),
        ("pooled", "c", "other"),
        ("pooled", None, None),
        ("code", "2", 2),
        ("code", 1.0, 1),
        ("code", "3.5", 3.5),
        ("code", True, 3.5),
        ("truth", "false", False),
        ("truth", "0", False),
        ("truth", None, True),
        ("day", "2020-02-03", pd.Timestamp("2020-02-03")),
        ("day", datetime.date(1000, 1, 1), pd.Timestamp("2000-01-01")),
        ("day", None, pd.Timestamp("2030-01-01")),
        ("spelled", "03/02/2020", pd.Timestamp("2020-02-03")),
        ("spelled", "2020-02-03", pd.NaT),
        ("note", None, "present"),
    ],
)
def test_what_becomes_of_a_cell(name: str, cell: Any, wanted: Any) -> None:
    got = private_column(pd.Series([cell], dtype=object), MIXED[name]).iloc[0]
    assert (pd.isna(got) and pd.isna(wanted)) or ((got == wanted and type(got) is not str) or got == wanted)


@pytest.mark.parametrize("kind", ["Int64", "float32", "string", "category", "bool", "boolean", "datetime64[s]"])
def test_a_columns_type_makes_no_difference(kind: str) -> None:
    cells = {"bool": [True, False], "boolean": [True, False], "datetime64[s]": ["2020-01-01", "1500-01-01"]}.get(
        kind, ["1", "2"]
    )
    values = pd.Series(cells).astype(kind)
    for column in MIXED.values():
        got = private_column(values, column)
        plain = private_column(values.astype(object), column)
        pd.testing.assert_series_equal(got, plain)


def test_the_tables_types_come_from_the_schema_alone() -> None:
    base = private_table(table(), SCHEMA).dtypes
    for change in CHANGES.values():
        assert (private_table(change(table()), SCHEMA).dtypes == base).all()
    assert public_dtypes(SCHEMA)["age"] == "int64"
    assert public_dtypes(SCHEMA)["code"] == "Int64"
    assert public_dtypes(SCHEMA)["smoker"] == "boolean"


def persons(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"who": ["p"] * rows + ["q", None, None], "x": [1] * (rows + 3)})


def test_a_person_keeps_at_most_its_cap_of_rows_chosen_evenly() -> None:
    frame, kept = persons(10), np.zeros(13)
    for seed in range(2000):
        mask = bound_contributions(frame["who"], 3, Noise.insecure(seed))
        assert mask[:10].sum() == 3
        assert mask[10:].sum() == 3  # q, and the two rows of nobody as those of one
        kept += mask
    assert (np.abs(kept[:10] / 2000 - 0.3) < 4.5 * math.sqrt(0.21 / 2000)).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(0, 20), st.integers(0, 99))
def test_one_person_moves_counts_by_the_cap_at_most(cap: int, rows: int, seed: int) -> None:
    schema = Schema.from_dict(
        {"columns": {"who": {"kind": "identifier"}, "x": {"kind": "categorical", "values": [1, 2, 3]}}}
    )
    rng = np.random.default_rng(seed)
    others = pd.DataFrame({"who": rng.choice(list("abcd"), 30), "x": rng.integers(1, 4, 30)})
    person = pd.DataFrame({"who": ["z"] * rows, "x": rng.integers(1, 4, rows)})
    noise = Noise.insecure(seed)
    # The rows kept of the others are those that their own noise says: the same in both tables.
    kept = others[bound_contributions(others["who"], cap, noise)]
    counts = []
    for part in (kept, pd.concat([kept, person])):
        made = private_table(part[bound_contributions(part["who"], cap, noise)], schema)
        counts.append(made["x"].value_counts().reindex([1, 2, 3]).fillna(0).to_numpy(float))
    assert np.linalg.norm(counts[1] - counts[0]) <= cap


def test_the_cap_is_what_is_charged() -> None:
    ledger = PrivacyLedger(10.0, 1e-6, unit="who")
    noisy_counts(
        lambda: np.zeros(3, int),
        sigma=20.0,
        sensitivity=5,
        ledger=ledger,
        purpose="p",
        columns=["x"],
        noise=Noise.secure(),
    )
    assert ledger.entries[0].event["noise_multiplier"] == pytest.approx(20 / 5, rel=1e-3)


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ({"kind": "numeric", "low": 0}, r"column 'x' has no high: declare public bounds, or measure it"),
        ({"kind": "numeric", "low": 0, "high": 1, "origin": "inferred"}, r"column 'x' was inferred from the data"),
        ({"kind": "categorical"}, "column 'x' has no values: declare them, or measure"),
        ({"kind": "datetime"}, "column 'x' has no low and no high"),
        ({"kind": "numeric", "low": 0, "high": 1, "role": "weight"}, "column 'x' holds weights"),
        ({"kind": "identifier", "role": "person"}, r"column 'x' identifies persons.*Privacy\(unit='x'"),
    ],
)
def test_a_schema_that_is_not_public_is_refused_by_name(column: dict[str, Any], says: str) -> None:
    with pytest.raises(PrivacyError, match=says):
        private_schema(Schema.from_dict({"columns": {"x": column}}))


def test_the_unit_must_be_an_identifier() -> None:
    with pytest.raises(PrivacyError, match="not a column of the schema"):
        private_schema(SCHEMA, "patient")
    with pytest.raises(PrivacyError, match="declare it identifier"):
        private_schema(SCHEMA, "sex")
    private_schema(SCHEMA, "key")
    private_schema(SCHEMA.replace("age", low=1, origin="measured"))
