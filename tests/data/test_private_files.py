"""Files of a private fit: any content after the header gives a table of the declared columns."""

from __future__ import annotations

import contextlib
import datetime
import gzip
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tabsynth
from tabsynth.data.private_files import MAX_LINE_CHARACTERS, read_private
from tabsynth.errors import DataError, SchemaError, SourceError
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

from ..privacy.shadow import PRIVACY, blind, members
from ..privacy.tables import SCHEMA, table

HEADER = b"age,name,note\n"
LINES = [b"31,ann,x", b"32,bob,y", b"33,cid,z"]


def read(body: bytes, folder: Path, header: bytes = HEADER) -> pd.DataFrame:
    (folder / "t.csv").write_bytes(header + body)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_private(folder / "t.csv", ["name", "age", "note"])


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    body=st.one_of(
        st.binary(max_size=60),
        st.lists(st.sampled_from([*b"\"',;\r\n\t \x00\xff7a"]), max_size=30).map(bytes),
    ),
    at=st.integers(0, 3),
)
def test_a_line_of_any_bytes_changes_no_other_line(body: bytes, at: int, tmp_path: Path) -> None:
    whole = read(b"\n".join([*LINES[:at], body, *LINES[at:]]), tmp_path)
    assert list(whole.columns) == ["age", "name", "note"]
    assert {str(dtype) for dtype in whole.dtypes} == {"object"}
    others = read(b"\n".join(LINES), tmp_path).to_numpy().tolist()
    rows = whole.to_numpy().tolist()
    assert rows[:at] == others[:at]
    assert rows[len(rows) - 3 + at :] == others[at:]
    assert len(rows) - 3 <= body.count(b"\n") + 1


@pytest.mark.parametrize(
    ("line", "row"),
    [
        (b"41,dan,w,", ["41", "dan", "w"]),
        (b"41,dan,w,too many", None),
        (b"41,dan", None),
        (b'41,"dan, or don",w', ["41", "dan, or don", "w"]),
        (b'41,dan,"open', ["41", "dan", "open"]),
        (b"41,d\xff,w", ["41", "d\ufffd", "w"]),
        (b"41,,w\r", ["41", None, "w"]),
        (b"41,dan," + b"w" * MAX_LINE_CHARACTERS, None),
        (b'41,dan,"' + b"w" * MAX_LINE_CHARACTERS + b'"', None),
        (b"", None),
    ],
)
def test_what_becomes_of_a_line(line: bytes, row: list[Any] | None, tmp_path: Path) -> None:
    got = read(b"\n".join([line, *LINES]), tmp_path).to_numpy().tolist()
    assert got == ([] if row is None else [row]) + read(b"\n".join(LINES), tmp_path).to_numpy().tolist()


@pytest.mark.parametrize("sign", [b",", b";", b"\t", b"|"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_the_header_says_what_parts_fields_and_lines(sign: bytes, end: bytes, tmp_path: Path) -> None:
    header, body = HEADER.strip().replace(b",", sign) + end, end.join(LINES).replace(b",", sign)
    wanted = read(b"\n".join(LINES), tmp_path)
    pd.testing.assert_frame_equal(read(body, tmp_path, b"\xef\xbb\xbf" + header), wanted)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(header + body))
    pd.testing.assert_frame_equal(read_private(tmp_path / "t.csv.gz", ["name", "age", "note"]), wanted)


def test_no_message_quotes_what_a_file_holds(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="does not name the schema's 3 columns") as said:
        read(b"secret,2,3\n", tmp_path, header=b"31,secret,x\n")
    assert "secret" not in str(said.value)
    (tmp_path / "t.csv.gz").write_bytes(b"secret")
    (tmp_path / "t.parquet").write_bytes(b"secret")
    for name, kind in (
        ("t.csv.gz", DataError),
        ("t.parquet", DataError),
        ("t.xlsx", DataError),
        ("none.csv", SourceError),
    ):
        with pytest.raises(kind) as error:
            read_private(tmp_path / name, ["age"])
        assert "secret" not in str(error.value)
    with pytest.raises(SourceError, match="no such file"):
        read_private(tmp_path / "none.parquet", ["age"])


def test_a_cell_of_parquet_decides_on_no_type(tmp_path: Path) -> None:
    columns = {
        "whole": pa.array([2**60 + 1, None], pa.int64()),
        "text": pa.array([b"a\xff", b"b"], pa.binary()).view(pa.string()),
        "day": pa.array([2**31 - 1, 0], pa.int32()).cast(pa.date32()),
        "code": pa.array(["x", None]).dictionary_encode(),
        "truth": pa.array([True, None]),
    }
    pq.write_table(pa.table({**columns, "__index_level_0__": pa.array([5, 6])}), tmp_path / "t.parquet")
    got = read_private(tmp_path / "t.parquet", columns)
    assert list(got.columns) == list(columns)
    assert got["whole"].iloc[0] == 2**60 + 1
    assert got["text"].tolist() == ["a\ufffd", "b"]
    assert got["day"].iloc[1] == pd.Timestamp("1970-01-01")
    assert got["code"].tolist() == ["x", None]
    assert str(got["truth"].dtype) == "boolean"


def left_behind(path: Path, folder: Path) -> tuple[dict[str, bytes], str]:
    """The model's file of a fit to a path, and all that the fit said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        model = MarginalSynthesizer(components=2).fit(path, schema=SCHEMA, privacy=PRIVACY, progress=False)
    return members(model, folder), said.getvalue()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], str]:
    """What the fit to a file without another line leaves and says."""
    folder = tmp_path_factory.mktemp("alone")
    table().to_csv(folder / "t.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        blind(patch)
        return left_behind(folder / "t.csv", folder)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(line=st.one_of(st.binary(max_size=40), st.sampled_from([b'"', b",,,,,,,,", b"K," * 20, b"\xff\xfe" * 9])))
def test_neighbouring_files_leave_the_same_model(
    line: bytes, alone: tuple[dict[str, bytes], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blind(monkeypatch)
    path = tmp_path / "t.csv"
    table().to_csv(path, index=False)
    head, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(head + b"\n" + line + b"\n" + rest)
    assert left_behind(path, tmp_path) == alone
    assert alone[1] == ""


def test_csv_and_parquet_are_read_as_a_frame_is(tmp_path: Path) -> None:
    frame = table().assign(
        seen=table()["seen"].dt.date.map(datetime.date.isoformat), pay=lambda t: t["pay"].mask(t["age"] > 80)
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.sort_values("age").to_parquet(tmp_path / "t.parquet")
    private = tabsynth.Privacy(50.0, 1e-5, insecure_seed=1)
    models = [
        MarginalSynthesizer(components=2).fit(data, schema=SCHEMA, privacy=private, progress=False)
        for data in (frame, tmp_path / "t.csv", tmp_path / "t.parquet")
    ]
    drawn = [model.sample(50, seed=0) for model in models]
    pd.testing.assert_frame_equal(drawn[0], drawn[1])
    pd.testing.assert_frame_equal(drawn[0], drawn[2])
    assert np.isfinite(drawn[0]["age"]).all()
