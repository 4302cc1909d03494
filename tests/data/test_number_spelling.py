"""Numbers of CSV files keep their spelling: fixed decimals, no leading zero, whole numbers without a point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.schema.columns import Numeric

NUMBERS = np.random.default_rng(0).random(60) * 40 - 10
SPELLINGS = {
    "no leading zero": ([f"{x / 41:.3f}".replace("0.", ".", 1) for x in NUMBERS], "#.000"),
    "two decimals": ([f"{x:.2f}" for x in NUMBERS], "0.00"),
    "zero decimals of wholes": ([f"{round(x)}.00" for x in NUMBERS], "0.00"),
    "negative zero": ([f"{x:.2f}" for x in NUMBERS] + ["-0.00", "0.00"], "0.00"),
    "wholes without a point": ([f"{round(x * 2) / 2:g}" for x in NUMBERS], "0.#"),
    "scientific": ([f"{x:.2e}" for x in NUMBERS], "0.00e+00"),
    "as Python spells them": ([repr(float(round(x, 2))) for x in NUMBERS], None),
    "several spellings": (["0.50", "0.5", ".5", "1.25"] * 15, None),
}


def write_rows(path: Path, cells: list[str]) -> Path:
    path.write_text("x,k\n" + "".join(f"{cell},{i % 3}\n" for i, cell in enumerate([*cells, ""])))
    return path


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_csv_file_is_written_as_it_was_read(name: str, tmp_path: Path) -> None:
    cells, form = SPELLINGS[name]
    real = write_rows(tmp_path / "real.csv", cells)
    table = ts.read(real)
    column = table.schema["x"]
    assert isinstance(column, Numeric)
    assert (column.csv_format, str(table.frame["x"].dtype)) == (form, "float64")
    ts.write(table, tmp_path / "again.csv")
    assert name == "several spellings" or (tmp_path / "again.csv").read_bytes() == real.read_bytes()


@pytest.mark.parametrize("name", ["no leading zero", "two decimals", "wholes without a point", "scientific"])
def test_synthetic_numbers_are_numbers_and_written_with_the_spelling_of_the_file(name: str, tmp_path: Path) -> None:
    cells, form = SPELLINGS[name]
    table = ts.read(write_rows(tmp_path / "real.csv", cells * 2))
    model = ts.MarginalSynthesizer(components=2).fit(table, seed=0)
    synthetic = model.sample(50, given={"x": (0.1, None)}, seed=1)
    assert synthetic["x"].dtype == np.float64
    assert synthetic["x"].min() >= 0.1
    ts.write(synthetic, tmp_path / "new.csv", model.schema_)
    again = ts.read(tmp_path / "new.csv", schema=model.schema_)
    np.testing.assert_array_equal(again.frame["x"], synthetic["x"])
    spelled = [line.split(",")[0] for line in (tmp_path / "new.csv").read_text().splitlines()[1:]]
    same = ts.read(write_rows(tmp_path / "same.csv", spelled)).schema["x"]
    assert isinstance(same, Numeric)
    assert same.csv_format == form


def test_a_format_never_rounds_numbers(tmp_path: Path) -> None:
    table = ts.read(write_rows(tmp_path / "real.csv", SPELLINGS["two decimals"][0]))
    finer = pd.DataFrame({"x": [0.125, 1.5], "k": [0, 1]})
    ts.write(finer, tmp_path / "finer.csv", table.schema)
    assert (tmp_path / "finer.csv").read_text() == "x,k\n0.125,0\n1.5,1\n"
