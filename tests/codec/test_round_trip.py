"""Every dtype of pandas and pyarrow survives a round trip through the codec, or is refused by name."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.errors import DataError
from tabsynth.schema import Schema

ROWS = 60
SIX = np.arange(ROWS) % 6
MOMENTS = [datetime.datetime(2020, 1, 1 + k, 12) for k in SIX]
STAMPS = pd.Series(MOMENTS)
TEXT = [f"a{k}" for k in SIX]


def arrow(values: list[object], kind: pa.DataType) -> pd.Series:
    return pd.Series(pd.array(values, dtype=pd.ArrowDtype(kind)))


COLUMNS = {
    **{name: pd.Series(SIX, dtype=name) for name in ("int8", "uint8", "int64", "UInt8", "Int64", "Sparse[int64]")},
    **{
        name: pd.Series(SIX / 4, dtype=name) for name in ("float16", "float32", "Float32", "Float64", "Sparse[float64]")
    },
    **{name: pd.Series(SIX % 2 == 0, dtype=name) for name in ("bool", "boolean", "object")},
    "string[python]": pd.Series(TEXT, dtype="string[python]"),
    "string[pyarrow]": pd.Series(TEXT, dtype="string[pyarrow]"),
    "string with nan": pd.Series(TEXT, dtype=pd.StringDtype(na_value=np.nan)),
    **{f"arrow {kind}": arrow(TEXT, kind) for kind in (pa.string(), pa.large_string())},
    **{f"arrow {kind}": arrow([int(k) for k in SIX], kind) for kind in (pa.int64(), pa.uint16(), pa.float32())},
    "arrow halffloat": arrow([np.float16(k / 4) for k in SIX], pa.float16()),
    "arrow bool": arrow([bool(k % 2) for k in SIX], pa.bool_()),
    "arrow date": arrow([moment.date() for moment in MOMENTS], pa.date32()),
    "arrow decimal": arrow([Decimal(int(k)) / 4 for k in SIX], pa.decimal128(10, 2)),
    **{f"arrow {k}": arrow([*MOMENTS], k) for k in (pa.timestamp("us"), pa.timestamp("ns", "Asia/Tokyo"))},
    **{f"datetime64[{unit}]": STAMPS.astype(f"datetime64[{unit}]") for unit in ("s", "ms", "us", "ns")},
    "zone": STAMPS.dt.tz_localize("Europe/Berlin"),
    "offset": STAMPS.astype("datetime64[s]").dt.tz_localize("+02:00"),
    **{
        f"category of {name}": pd.Series(values).astype("category")
        for name, values in {
            "integers": SIX,
            "floats": SIX / 4,
            "booleans": SIX % 2 == 0,
            "stamps": STAMPS,
            "zones": STAMPS.dt.tz_localize("Asia/Tokyo"),
            "dates": [moment.date() for moment in MOMENTS],
            "decimals": [Decimal(int(k)) / 4 for k in SIX],
            "periods": pd.period_range("2020", periods=6, freq="D").repeat(10),
            "intervals": pd.cut(SIX, [-1, 2, 6]),
            "durations": pd.to_timedelta(SIX, "D"),
        }.items()
    },
    "decimals": pd.Series([Decimal(int(k)) / 4 for k in SIX], dtype=object),
    "decimals of two places": pd.Series([Decimal(f"{k}.50") for k in SIX], dtype=object),
    "Python integers": pd.Series([int(k) for k in SIX], dtype=object),
    "Python floats": pd.Series([int(k) / 4 for k in SIX], dtype=object),
    "Python dates": pd.Series([moment.date() for moment in MOMENTS], dtype=object),
    "Python datetimes": pd.Series(MOMENTS, dtype=object),
    "timestamps with a zone": STAMPS.dt.tz_localize("Asia/Tokyo").astype(object),
    "amounts": pd.Series([f"${k},137.50" for k in SIX]),
    "decimal comma": pd.Series([f"{k},37" for k in SIX]),
    "percent": pd.Series([f"0.{k}5%" for k in SIX]),
    "no zero": pd.Series([f".{595 + k}" for k in range(ROWS)]),
    "numbers as text": pd.Series([str(7 * (k // 2)) for k in range(ROWS)]),
    "unpadded dates": pd.Series([f"{k + 1}/22/2020" for k in SIX]),
    "unpadded times": pd.Series([f"{k + 1}:49" for k in SIX]),
    "milliseconds": pd.Series([f"2020-01-01 10:00:0{k}.595" for k in SIX]),
}


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_comes_back_in_its_dtype_and_spelling(name: str, gaps: bool) -> None:
    values = COLUMNS[name].copy()
    if gaps and values.dtype.kind in "iub" and isinstance(values.dtype, (np.dtype, pd.SparseDtype)):
        return  # such a column has no gaps
    if gaps:
        values = values.mask(pd.Series(np.arange(ROWS) % 4 == 0))
    table = Table.of(pd.DataFrame({"x": values}))
    config, arrays = Codec.measure(table, min_group=1, tokens=100).state()
    codec = Codec.from_state(json.loads(json.dumps(config)), arrays)
    back = codec.decode(codec.encode(table.frame), np.random.default_rng(0))["x"]
    assert back.dtype == values.dtype
    assert back.isna().equals(values.isna())
    for new, old in zip(back.dropna(), values.dropna(), strict=True):
        assert str(new) == str(old)
        assert type(new) is type(old) or values.dtype != object


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(pd.period_range("2020", periods=6)),
        pd.Series(pd.to_timedelta(SIX, "D")),
        pd.Series(pd.cut(SIX, [-1, 2, 6]).categories.take([0, 1])),
        pd.Series(SIX * 1j),
        pd.Series([datetime.time(1, int(k)) for k in SIX]),
        pd.Series([b"a"] * 6),
        arrow([[1]] * 6, pa.list_(pa.int64())),
        arrow([datetime.time(1)] * 6, pa.time64("us")),
        arrow([b"a"] * 6, pa.binary()),
        arrow(["a"] * 6, pa.dictionary(pa.int32(), pa.string())),
    ],
    ids=lambda values: str(values.dtype),
)
def test_other_dtypes_are_refused_by_name(values: pd.Series) -> None:
    with pytest.raises(DataError, match="column 'x'"):
        Table.of(pd.DataFrame({"x": values}))


def test_codes_of_integers_keep_the_form_of_their_declared_pattern() -> None:
    frame = pd.DataFrame({"x": np.arange(100_000, 100_300)})
    schema = Schema.from_dict({"columns": {"x": {"kind": "identifier", "pattern": r"\d{6}"}}})
    codec = Codec.measure(Table.of(frame, schema))
    keys = codec.decode(codec.encode(frame), np.random.default_rng(0))["x"]
    assert keys.astype(str).str.fullmatch(r"\d{6}").all()


@pytest.mark.parametrize("places", [0, 2])
@pytest.mark.parametrize("kind", [None, pa.decimal128(30, 0), pa.decimal128(30, 2)], ids=str)
def test_decimals_that_floats_would_round_are_keys(places: int, kind: pa.DataType | None) -> None:
    numbers = [Decimal((10**20 + 7 * k) * 100 + (k if places else 0)).scaleb(-2) for k in range(ROWS)]
    if kind is not None and kind.scale < places:
        pytest.skip("the type has no decimals")
    values = pd.Series(numbers, dtype=object) if kind is None else arrow([*numbers], kind)
    frame = pd.DataFrame({"x": values, "amount": values})
    schema = Schema.infer(frame)
    assert schema["x"].kind == "identifier"
    assert "key (identifier) or a code" in schema["x"].question
    codec = Codec.measure(Table.of(frame, schema))
    back = codec.decode(codec.encode(frame), np.random.default_rng(0))["x"]
    assert back.dtype == values.dtype
    assert all(isinstance(value, Decimal) for value in back)
    assert not set(back) & set(values)
    with pytest.raises(DataError, match=r"beyond 2\*\*53"):
        Table.of(frame, Schema.from_dict({"columns": {name: {"kind": "numeric"} for name in frame}}))
