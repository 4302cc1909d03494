"""The codec: round trips keep values and dtypes, and rare values are not released."""

from __future__ import annotations

import uuid

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabsynth.codec import Codec
from tabsynth.codec.categorical_encoder import ValueCoder
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.codec.quantile_bins import measure_quantiles, shared_decimals
from tabsynth.codec.token_slots import MAX_SLOT_TOKENS
from tabsynth.data import Table
from tabsynth.errors import DataError
from tabsynth.schema import Schema

from .round_trips import categorical, numeric, round_trip, schema_of


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pd.Series([1, 2, 3] * 20, dtype="int64"), numeric()),
        (pd.Series([1, None, 3] * 20, dtype="Int64"), numeric(nullable=True)),
        (pd.Series([0.5, 0.899999619, None] * 20), numeric(nullable=True)),
        (pd.Series([0.5, 1.5] * 30, dtype="float32"), numeric()),
        (pd.Series(["a", None, "b"] * 20), categorical()),
        (pd.Series(["a", None, "b"] * 20, dtype="category"), categorical()),
        (pd.Series(["a", None, "b"] * 20, dtype="string"), categorical()),
        (pd.Series([1, 2] * 30).astype("category"), categorical()),
        (pd.Series([True, False] * 30), {"kind": "boolean"}),
        (pd.Series([True, None] * 30, dtype="boolean"), {"kind": "boolean", "nullable": True}),
        (pd.Series([True, None] * 30, dtype=object), {"kind": "boolean", "nullable": True}),
        (
            pd.Series(pd.to_datetime(["2020-01-01", None] * 30)),
            {"kind": "datetime", "nullable": True, "resolution": "D"},
        ),
        (
            pd.Series(pd.to_datetime(["2020-01-01 10:00"] * 60, utc=True)),
            {"kind": "datetime", "resolution": "h"},
        ),
        (pd.Series(["01/02/2020", "25/12/2021"] * 30), {"kind": "datetime", "format": "%d/%m/%Y", "resolution": "D"}),
    ],
    ids=lambda item: str(getattr(item, "dtype", "")),
)
def test_frequent_values_come_back_exactly(values: pd.Series, kind: dict[str, object]) -> None:
    frame = pd.DataFrame({"x": values})
    back = round_trip(frame, schema_of(x=kind))
    pd.testing.assert_series_equal(back["x"], frame["x"], check_categorical=False)
    assert back["x"].dtype.name == frame["x"].dtype.name


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(-1e9, 1e9, allow_nan=False), min_size=5, max_size=300),
    st.integers(1, 7),
)
def test_numbers_stay_inside_the_kth_order_statistics(values: list[float], k: int) -> None:
    data = np.array(values)
    coder = measure_quantiles(data, tokens=16, decimals=shared_decimals(data), min_group=k)
    if len(values) < k:
        assert coder is None
        return
    assert coder is not None
    drawn = coder.decode(np.repeat(np.arange(coder.n_ordered_tokens, dtype=np.int32), 50), np.random.default_rng(0))
    ordered = np.sort(data)
    low, high = ordered[min(k, len(data)) - 1], ordered[max(len(data) - k, 0)]
    if low <= high:
        error = 1e-15 * np.abs(data).max()  # below the precision of the largest number
        assert drawn.min() >= low - error
        assert drawn.max() <= high + error
    assert (np.diff(coder.edges) >= 0).all()
    assert (coder.encode(data) < coder.n_ordered_tokens).all()


@pytest.mark.filterwarnings("ignore:column 'who'")
def test_no_number_of_fewer_persons_than_the_floor_leaves() -> None:
    """One person with many rows is still one person."""
    rng = np.random.default_rng(0)
    persons = [f"p{i}" for i in range(200)] + ["rich"] * 50
    income = np.append(rng.integers(1000, 3000, 200), np.full(50, 999_999))
    frame = pd.DataFrame({"who": persons, "income": income})
    schema = schema_of(who={"kind": "categorical", "role": "person"}, income=numeric())
    codec = Codec.measure(Table.of(frame, schema))
    coder = codec.coders["income"]
    assert isinstance(coder, QuantileCoder)
    assert coder.high.max() < 3000
    who = codec.coders["who"]
    assert isinstance(who, ValueCoder)
    assert who.values == ()


def test_missing_of_too_few_persons_is_not_emitted() -> None:
    frame = pd.DataFrame({"x": [1.0] * 50 + [2.0] * 46 + [None] * 4})
    codec = Codec.measure(Table.of(frame, schema_of(x=numeric(nullable=True))))
    coder = codec.coders["x"]
    assert not coder.allowed_tokens[coder.missing]


def test_atoms_survive_between_continuous_values() -> None:
    rng = np.random.default_rng(1)
    data = np.where(rng.random(20_000) < 0.7, 0.0, np.round(rng.lognormal(5, 2, 20_000), 2))
    data[:2000] = 99.99
    frame = pd.DataFrame({"x": data})
    back = round_trip(frame, schema_of(x=numeric()))["x"].to_numpy()
    assert abs((back == 0).mean() - (data == 0).mean()) < 1e-9
    assert abs((back == 99.99).mean() - (data == 99.99).mean()) < 1e-3
    grid = np.sort(data)
    ks = np.abs(np.searchsorted(grid, grid, "right") - np.searchsorted(np.sort(back), grid, "right")).max() / len(data)
    assert ks < 0.002
    assert (np.round(back, 2) == back).all()


def test_decimals_and_multiples_are_kept() -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"a": rng.integers(0, 10_000, 5000) * 25, "b": np.round(rng.normal(0, 1, 5000), 9)})
    back = round_trip(frame, schema_of(a=numeric(), b=numeric()))
    assert (back["a"] % 25 == 0).all()
    assert shared_decimals(back["b"].to_numpy()) == 9


def test_wide_columns_take_two_slots_and_come_back() -> None:
    values = [f"code{i:05d}" for i in range(MAX_SLOT_TOKENS * 2)] * 5
    frame = pd.DataFrame({"x": values})
    codec = Codec.measure(Table.of(frame, schema_of(x={"kind": "categorical"})))
    assert [slot.digit for slot in codec.slots] == [0, 1]
    assert max(codec.sizes) < MAX_SLOT_TOKENS
    assert (codec.decode(codec.encode(frame), np.random.default_rng(0))["x"] == frame["x"]).all()


def test_absent_columns_are_marked() -> None:
    frame = pd.DataFrame({"x": [1, 2] * 20, "y": ["a", "b"] * 20})
    codec = Codec.measure(Table.of(frame, schema_of(x=numeric(), y={"kind": "categorical"})))
    tokens = codec.encode(frame[["y"]])
    assert (tokens[:, codec.positions("x")] == -1).all()
    assert (tokens[:, codec.positions("y")] >= 0).all()


def test_identifiers_are_fresh_and_text_is_never_copied() -> None:
    frame = pd.DataFrame(
        {"id": [f"AB-{i:05d}" for i in range(300)], "note": [f"patient {i} said so" for i in range(300)]}
    )
    back = round_trip(frame, schema_of(id={"kind": "identifier"}, note={"kind": "text"}))
    assert back["id"].is_unique
    assert back["id"].str.fullmatch(r"AB-\d{5}").all()
    assert not set(back["note"]) & set(frame["note"])


@pytest.mark.parametrize("floor", [0, -1, 2.5, None])
def test_a_floor_that_is_no_count_is_refused(floor: object) -> None:
    table = Table.of(pd.DataFrame({"x": [1, 2]}), schema_of(x=numeric()))
    with pytest.raises(DataError, match="min_group"):
        Codec.measure(table, min_group=floor)  # type: ignore[arg-type]


def test_both_truth_values_are_public() -> None:
    frame = pd.DataFrame({"x": [True] * 3 + [False] * 3})
    assert set(round_trip(frame, schema_of(x={"kind": "boolean"}))["x"]) == {True, False}


def test_a_table_of_fewer_rows_than_the_floor_is_refused() -> None:
    table = Table.of(pd.DataFrame({"x": [1.5, 2.5, 3.5], "y": ["a", "b", "c"]}))
    with pytest.raises(DataError, match=r"3 rows.*min_group=5.*lower min_group"):
        Codec.measure(table)
    assert Codec.measure(table, min_group=1).rows == 3


def test_identifiers_of_one_table_are_independent() -> None:
    rng = np.random.default_rng(0)
    uuids = [[str(uuid.UUID(bytes=rng.bytes(16))) for _ in range(200)] for _ in range(2)]
    back = round_trip(
        pd.DataFrame({"a": uuids[0], "b": uuids[1]}), schema_of(a={"kind": "identifier"}, b={"kind": "identifier"})
    )
    assert not set(back["a"]) & set(back["b"])


def test_a_repeated_identifier_keeps_its_rows_per_person() -> None:
    rng = np.random.default_rng(0)
    rows = np.append(rng.integers(1, 8, 95), [60] * 5)
    frame = pd.DataFrame({"id": np.repeat([f"P{i:04d}" for i in range(100)], rows)}).sample(frac=1, random_state=0)
    frame = frame.reset_index(drop=True)
    codec = Codec.measure(Table.of(frame, schema_of(id={"kind": "identifier"})))
    codec = Codec.from_state(*codec.state())
    tokens = codec.encode(pd.concat([frame] * 20, ignore_index=True))
    back = codec.decode(tokens, np.random.default_rng(0), keys=3)["id"]
    assert not set(back) & set(frame["id"])
    per = back.value_counts()
    assert per.mean() == pytest.approx(rows.mean(), rel=0.1)
    assert (per >= 50).mean() == pytest.approx(0.05, abs=0.02)
    parts = [
        codec.decode(tokens[at : at + 100], np.random.default_rng(at), keys=3, rows=np.arange(at, at + 100))["id"]
        for at in range(0, 1000, 100)
    ]
    assert pd.concat(parts, ignore_index=True).equals(back[:1000])


def test_one_persons_number_of_rows_is_not_kept() -> None:
    frame = pd.DataFrame({"id": [f"P{i:03d}" for i in range(100)] + ["P200"] * 777})
    codec = Codec.measure(Table.of(frame, schema_of(id={"kind": "identifier"})))
    assert 777 not in {rows for rows, _ in codec.patterns["id"].sizes}


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([2**53 + 1 + i for i in range(60)], dtype="int64"),
        pd.Series([2**53 + 1 + i if i % 7 else None for i in range(60)], dtype="Int64"),
        pd.Series([2**63 + i for i in range(60)], dtype="uint64"),
        pd.Series([2**64 - 1 - i for i in range(60)], dtype="uint64"),
        pd.Series([2**70 + i for i in range(60)], dtype=object),
        pd.Series([2**62 + i // 6 for i in range(60)], dtype="int64"),
    ],
    ids=["int64", "gaps", "uint64", "largest", "python", "repeated"],
)
def test_long_integers_are_keys_that_stay_exact(values: pd.Series) -> None:
    table = Table.of(pd.DataFrame({"number": values}))
    assert table.schema["number"].kind == "identifier"
    assert table.schema["number"].question
    back = round_trip(table.frame, table.schema)["number"]
    assert back.dtype == values.dtype
    assert back.isna().sum() == values.isna().sum()
    assert not set(back.dropna()) & set(values.dropna())
    assert {len(str(value)) for value in back.dropna()} <= {len(str(value)) for value in values.dropna()}
    coded = Schema.from_dict({"columns": {"number": {"kind": "categorical", "nullable": True}}})
    exact = round_trip(pd.DataFrame({"number": values}), coded, min_group=1)["number"]
    pd.testing.assert_series_equal(exact, values, check_names=False)
    with pytest.raises(DataError, match=r"column 'number'.*2\*\*53.*identifier or categorical"):
        Table.of(pd.DataFrame({"number": values}), schema_of(number=numeric(nullable=True)))


def test_no_token_of_the_rows_of_persons_contains_numbers_of_both_signs() -> None:
    rng = np.random.default_rng(0)
    paid, received = (np.round(rng.gamma(shape, scale, 3000), 1) + 0.1 for shape, scale in ((1.5, 1300), (0.9, 200)))
    amounts, persons = np.concatenate([-paid, received]), rng.integers(0, 400, 6000)
    coder = measure_quantiles(amounts, tokens=64, decimals=1, persons=persons)
    assert coder is not None
    low, high = coder.token_bounds()
    assert not ((low < 0) & (high > 0)).any()
    decoded = coder.decode(coder.encode(amounts), rng)
    assert (decoded * amounts >= 0).all()
