"""The codec: what goes in comes back, in the same dtypes, and nothing rare leaves."""

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


def round_trip(frame: pd.DataFrame, schema: Schema, min_group: int = 5, seed: int = 0) -> pd.DataFrame:
    codec = Codec.measure(Table.of(frame, schema), min_group=min_group)
    state = Codec.from_state(*codec.state())  # what a model file keeps must suffice
    return state.decode(codec.encode(frame), np.random.default_rng(seed))


def schema_of(**kinds: dict[str, object]) -> Schema:
    return Schema.from_dict({"columns": {name: {"origin": "inferred", **facts} for name, facts in kinds.items()}})


def numeric(nullable: bool = False, **facts: object) -> dict[str, object]:
    return {"kind": "numeric", "nullable": nullable, **facts}


def categorical(**facts: object) -> dict[str, object]:
    return {"kind": "categorical", "nullable": True, **facts}


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
        assert drawn.min() >= low
        assert drawn.max() <= high
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


def test_rare_categories_are_pooled_and_only_public_ones_come_back() -> None:
    values = ["common"] * 95 + ["rare"] * 3 + ["odd"] * 2
    inferred = round_trip(pd.DataFrame({"x": values}), schema_of(x={"kind": "categorical"}))
    assert set(inferred["x"]) == {"common"}
    declared = Schema.from_dict({"columns": {"x": {"kind": "categorical", "values": ["common", "rare", "odd"]}}})
    assert set(round_trip(pd.DataFrame({"x": values}), declared)["x"]) == {"common", "rare", "odd"}
    assert set(round_trip(pd.DataFrame({"x": values}), schema_of(x={"kind": "categorical"}), min_group=1)["x"]) == {
        "common",
        "rare",
        "odd",
    }


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


@pytest.mark.parametrize(("rare", "shown"), [(["b"] * 3, {}), (["b"] * 3 + ["c"] * 2, {"x": 0.05})])
def test_a_card_says_what_was_pooled_and_not_learned(rare: list[str], shown: dict[str, float]) -> None:
    frame = pd.DataFrame({"x": ["a"] * (100 - len(rare)) + rare, "note": [f"n{i}" for i in range(100)]})
    card = Codec.measure(Table.of(frame, schema_of(x={"kind": "categorical"}, note={"kind": "text"}))).card()
    assert card == {"min_group": 5, "pooled_share": shown, "not_learned": ["note"], "rows": 100}


def fitted_column(values: pd.Series, **facts: object) -> tuple[pd.Series, Codec]:
    """A column through a codec that warns, and the codec."""
    frame = pd.DataFrame({"x": values})
    schema = schema_of(x={"kind": "categorical", **facts})
    with pytest.warns(UserWarning, match="shared by fewer than 5 rows.*lower min_group"):
        codec = Codec.measure(Table.of(frame, schema))
    return codec.decode(codec.encode(frame), np.random.default_rng(0))["x"], codec


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([f"W{i // 4}" for i in range(400)]),
        pd.Series(["D0"] * 20 + [f"D{i}" for i in range(1, 381)]),
        pd.Series([f"{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(400)]),
        pd.Series([10_000 + i // 3 for i in range(400)]),
        pd.Series([100 + i // 3 for i in range(60)], dtype="uint8"),
        pd.Series([f"W{i // 4}" for i in range(400)], dtype="category"),
        pd.Series([f"W{i // 4}" for i in range(400)], dtype="string"),
        pd.Series([7.0, *[float(1000 + i) for i in range(399)]]),
    ],
    ids=["codes", "one frequent", "words", "integers", "small integers", "category", "string", "floats"],
)
def test_pooled_values_are_neither_missing_nor_real_nor_piled_on_frequent_ones(values: pd.Series) -> None:
    back, codec = fitted_column(values)
    assert back.notna().all()
    assert back.dtype.name == values.dtype.name
    counts = values.value_counts()
    frequent = set(counts[counts >= 5].index)
    assert not (set(back) - frequent) & set(values)
    for value in frequent:
        assert (back == value).sum() == counts[value]
    advice = codec.card()["pooled_advice"]
    assert len(advice) == 1
    assert "column 'x'" in advice[0]
    again = Codec.from_state(*codec.state())
    assert again.decode(again.encode(pd.DataFrame({"x": values})), np.random.default_rng(0))["x"].equals(back)


def test_a_declared_replacement_takes_the_place_of_pooled_values() -> None:
    values = pd.Series(["common"] * 90 + [f"rare {i}" for i in range(10)])
    back, _ = fitted_column(values, replacement="Other")
    assert back.value_counts().to_dict() == {"common": 90, "Other": 10}


def test_both_truth_values_are_public() -> None:
    frame = pd.DataFrame({"x": [True] * 3 + [False] * 3})
    assert set(round_trip(frame, schema_of(x={"kind": "boolean"}))["x"]) == {True, False}


def test_a_table_of_fewer_rows_than_the_floor_is_refused() -> None:
    table = Table.of(pd.DataFrame({"x": [1.5, 2.5, 3.5], "y": ["a", "b", "c"]}))
    with pytest.raises(DataError, match=r"3 rows.*min_group=5.*lower min_group"):
        Codec.measure(table)
    assert Codec.measure(table, min_group=1).rows == 3


def test_values_that_nothing_can_replace_are_refused() -> None:
    frame = pd.DataFrame({"x": [i + 0.5 for i in range(30)]})
    with pytest.raises(DataError, match=r"column 'x'.*declare it numeric"):
        Codec.measure(Table.of(frame, schema_of(x={"kind": "categorical"})))


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


def multiples(values: np.ndarray, unit: float) -> float:
    """The share of numbers that are multiples of a unit."""
    inverse = np.rint(1 / unit) if unit < 1 else 1 / unit
    return float((np.rint(values * inverse) / inverse == values).mean())


def rounded_columns(rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    amount = rng.lognormal(6, 1.5, rows)
    income = rng.lognormal(8, 1, rows)
    long = np.round(rng.normal(0, 1, rows), 2)
    long[7] = 0.92248062015503
    hundreds = np.where(income > 1000, np.round(income, -2), np.round(income))
    return {
        "few cents": np.where(rng.random(rows) < 0.019, np.round(amount, 2), np.round(amount)),
        "hardly any cents": np.where(rng.random(rows) < 0.002, np.round(amount, 2), np.round(amount)),
        "hundreds above a thousand": np.where(rng.random(rows) < 0.036, np.round(income), hundreds),
        "one of many decimals": long,
        "quarters among cents": np.where(rng.random(rows) < 0.3, np.round(amount * 4) / 4, np.round(amount, 2)),
        "fifties among ones": np.where(rng.random(rows) < 0.3, np.round(amount / 50) * 50, np.round(amount)),
        "cents": np.round(rng.uniform(0, 10_000, rows), 2),
    }


@pytest.mark.parametrize("rows", [1000, 20_000])
@pytest.mark.parametrize("name", rounded_columns(10))
def test_numbers_are_rounded_as_often_as_real_ones(name: str, rows: int) -> None:
    values = rounded_columns(rows)[name]
    back = round_trip(pd.DataFrame({"x": values}), schema_of(x=numeric()))["x"].to_numpy()
    for unit in (100, 10, 1, 0.25, 0.1, 0.01, 0.001):
        assert multiples(back, unit) == pytest.approx(multiples(values, unit), abs=0.035), unit
    finest = 0.01 if "cents" in name or "decimals" in name else 1
    assert multiples(back, finest) >= multiples(values, finest)
    grid = np.sort(values)
    ks = np.abs(np.searchsorted(grid, grid, "right") - np.searchsorted(np.sort(back), grid, "right")).max() / rows
    assert ks < 2 * 5 / rows + 0.004


def test_times_are_rounded_as_often_as_real_ones() -> None:
    rng = np.random.default_rng(0)
    seconds = pd.to_timedelta(rng.integers(0, 3 * 10**7, 3000), unit="s")
    exact = pd.Series(pd.Timestamp("2020-01-01") + seconds)
    kind = rng.choice(3, 3000, p=[0.1, 0.6, 0.3])
    values = exact.where(kind == 0, exact.dt.floor("15min")).where(kind < 2, exact.dt.floor("D"))
    back = round_trip(pd.DataFrame({"t": values}), schema_of(t={"kind": "datetime", "resolution": "s"}))["t"]
    for unit in ("D", "h", "15min", "min"):
        real, new = ((times == times.dt.floor(unit)).mean() for times in (values, back))
        assert new == pytest.approx(real, abs=0.03), unit


def test_a_unit_of_too_few_persons_is_not_kept() -> None:
    rng = np.random.default_rng(0)
    values = np.round(rng.lognormal(6, 1.5, 1000))
    values[:40] = np.round(rng.uniform(100, 200, 40), 6)
    frame = pd.DataFrame({"who": [*["p"] * 40, *(f"q{i}" for i in range(960))], "x": values})
    schema = schema_of(who={"kind": "identifier", "role": "person"}, x=numeric())
    assert multiples(round_trip(frame, schema)["x"].to_numpy(), 1) == 1


@pytest.mark.parametrize("rows", [6000, 60_000])
def test_sparse_integer_codes_keep_to_known_values(rows: int) -> None:
    rng = np.random.default_rng(0)
    codes = np.sort(rng.choice(9000, 261, replace=False)) + 170
    share = rng.dirichlet(np.full(261, 0.7))
    values = rng.choice(codes, rows, p=share)
    frame = pd.DataFrame({"industry": values})
    table = Table.of(frame)
    assert "code" in table.schema["industry"].question
    back = round_trip(frame, table.schema)["industry"]
    assert set(back) <= set(codes)
    counts = pd.Series(values).value_counts()
    assert set(back) == set(counts[counts >= 5].index)
