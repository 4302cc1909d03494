"""Random tables of every dtype through the public verbs; ``benchmarks/fuzz.py`` runs more of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.errors import ConditionError, DataError, InputError, SchemaError
from tabsynth.rules import generate

SPEC = importlib.util.spec_from_file_location("fuzz", Path(__file__).parent.parent / "benchmarks" / "fuzz.py")
assert SPEC is not None
assert SPEC.loader is not None
FUZZ = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(FUZZ)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("first", range(20_000, 20_500, 100))
def test_no_foreign_exception_leaves_a_public_function(first: int, tmp_path: Path) -> None:
    ends = [(seed, FUZZ.run_case(seed, tmp_path)) for seed in range(first, first + 100)]
    assert sum("ok" in end.values() for _, end in ends) > 80
    foreign = [(seed, verb, what) for seed, end in ends for verb, what in end.items() if what not in ("ok", "refused")]
    assert foreign == []


FRAME = pd.DataFrame({"c": ["a", "b"] * 30, "n": np.arange(60) % 9, "t": pd.to_datetime(np.arange(60) % 5, unit="D")})
ODD = [np.arange(3), [np.arange(2)], {"a": 1}, pd.Series([1]), object(), 10**400, (10**400, None), [[1]], b"x", ()]


@pytest.fixture(scope="module")
def model() -> ts.MarginalSynthesizer:
    return ts.MarginalSynthesizer().fit(FRAME, seed=0)


@pytest.mark.parametrize("column", list(FRAME))
@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value)[:12])
def test_a_condition_that_is_no_value_is_refused(model: ts.MarginalSynthesizer, column: str, value: object) -> None:
    with pytest.raises(ConditionError, match=column):
        model.sample(3, given={column: value}, seed=0)


@pytest.mark.parametrize("schema", [5, ["c"], "no-such-file.json", {"columns": {}}], ids=repr)
def test_a_schema_that_is_none_is_refused(schema: object, tmp_path: Path) -> None:
    for use in (
        lambda: ts.MarginalSynthesizer().fit(FRAME, schema=schema),
        lambda: ts.evaluate(FRAME, FRAME, schema=schema, quick=True),
        lambda: ts.audit(FRAME, FRAME, schema=schema),
        lambda: ts.Table.of(FRAME, schema),
    ):
        with pytest.raises(InputError):
            use()
    if not isinstance(schema, dict):
        with pytest.raises(SchemaError):
            generate(schema, 3)
        with pytest.raises(SchemaError):
            ts.write(FRAME, tmp_path / "x.csv", schema)


def test_a_schema_may_be_a_dictionary_or_a_file(tmp_path: Path) -> None:
    declared = ts.Schema.infer(FRAME).replace("n", low=0, high=20)
    declared.to_json(tmp_path / "schema.json")
    for schema in (declared.to_dict(), tmp_path / "schema.json", str(tmp_path / "schema.json")):
        assert ts.Table.of(FRAME, schema).schema == declared


@pytest.mark.parametrize("verb", [ts.evaluate, ts.audit])
def test_progress_that_is_no_function_is_refused(verb: object) -> None:
    with pytest.raises(InputError, match="progress must be a function"):
        verb(FRAME, FRAME, progress=True)


@pytest.mark.parametrize(
    ("values", "suffix"),
    [
        (pd.Series(pd.cut(np.arange(9), 3)), ".parquet"),
        (pd.Series(np.arange(9) * 1j), ".parquet"),
    ],
    ids=["intervals", "complex"],
)
def test_what_a_file_cannot_hold_is_refused(values: pd.Series, suffix: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Parquet cannot represent"):
        ts.write(pd.DataFrame({"x": values}), tmp_path / f"x{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".xlsx"])
def test_sparse_columns_and_zoned_objects_are_written(suffix: str, tmp_path: Path) -> None:
    zoned = pd.Series([pd.Timestamp("2020-01-01", tz="UTC"), None, None], dtype=object)
    frame = pd.DataFrame({"s": pd.Series(pd.arrays.SparseArray([0, 0, 1])), "z": zoned})
    ts.write(frame, tmp_path / f"x{suffix}")
    assert ts.read(tmp_path / f"x{suffix}").frame["s"].tolist() == [0, 0, 1]
