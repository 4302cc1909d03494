"""Tables that are written in chunks have the bytes of those that are written at once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tabsynth.data.read_write import read, write, write_chunks
from tabsynth.schema import Schema

FRAME = pd.DataFrame(
    {
        "formula": ["=cmd()", "@x", "plain", None] * 3,
        "amount": [1234.5, 2.25, -3.0, None] * 3,
        "day": pd.to_datetime(["2020-01-01", "2021-02-03", None, "2022-03-04"] * 3),
        "code": ["-1", "+2", "03", "4"] * 3,
        "flag": [True, False, True, True] * 3,
    }
)
SCHEMA = Schema.infer(FRAME).replace("amount", format="#.##0,00").replace("day", format="%d.%m.%Y")


@pytest.mark.parametrize("schema", [None, SCHEMA], ids=["inferred", "declared"])
@pytest.mark.parametrize("keep", [False, True])
def test_chunks_are_spelled_as_the_whole(tmp_path: Path, schema: Schema | None, keep: bool) -> None:
    frame = FRAME if schema is not None else FRAME.drop(columns="day")  # a chunk has a date format of its own
    write(frame, tmp_path / "whole.csv", schema, keep_formulas=keep)
    with write_chunks(tmp_path / "chunks.csv", schema, keep_formulas=keep) as append:
        append(frame.iloc[:5])
        append(frame.iloc[5:])
    assert (tmp_path / "chunks.csv").read_text() == (tmp_path / "whole.csv").read_text()
    assert ("'=cmd()" in (tmp_path / "chunks.csv").read_text()) is not keep
    if not keep:
        assert read(tmp_path / "chunks.csv").frame["formula"].dropna().unique().tolist() == ["=cmd()", "@x", "plain"]
