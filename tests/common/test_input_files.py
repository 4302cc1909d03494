"""Input files are parsed strictly: ambiguous, endless or deeply nested content is refused."""

from __future__ import annotations

import contextlib
import os
import random
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.common.input_files import check_depth, check_regular_file, read_json
from tabsynth.common.model_file import ModelFile, load, save
from tabsynth.common.text import escape_controls
from tabsynth.common.yaml_files import read_yaml
from tabsynth.data import read, write
from tabsynth.errors import ConditionError, DataError, InputError, SchemaError, SourceError, TabsynthError, quote
from tabsynth.evaluation.gates import read_gates
from tabsynth.rules import generate
from tabsynth.schema import Schema
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

JSON = {
    '{"a": 1, "a": 2}': "'a' is given twice",
    '{"a": NaN}': "not finite",
    '{"a": 1e999}': "not finite",
    f'{{"a": 1{"0" * 400}}}': "too large",
    "[" * 100_000: "nested deeper",
    "[" * 500 + "]" * 500: "nested deeper",
    "{": "not JSON",
}
YAML = {
    "a: 1\na: 2\n": "'a' is given twice",
    "a: .inf\n": "not finite",
    "a: .nan\n": "not finite",
    f"a: 1{'0' * 400}\n": "too large",
    "[" * 10_000: "not YAML",
    "a: &x [*x]\n": "nested deeper",
    "a: !!timestamp x\n": "not YAML",
    "a: !!python/object:os.system x\n": "not YAML",
    "a: !!int x\n": "not YAML",
    "a: !!binary é\n": "not YAML",
    "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{after}: &{after} [{','.join(['*' + name] * 9)}]\n" for name, after in pairwise("abcdefghi")
    ): "holds more than",
}  # fmt: skip


@pytest.mark.parametrize("text", JSON, ids=lambda text: text[:12])
def test_json_is_strict(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(SourceError, match=JSON[text]):
        read_json(tmp_path / "a.json", "schema")


@pytest.mark.parametrize("text", YAML, ids=lambda text: text[:12])
def test_yaml_is_strict(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text, "utf-8")
    with pytest.raises(SourceError, match=YAML[text]):
        read_yaml(tmp_path / "a.yaml", "pipeline")


def test_rules_and_gates_are_strict(tmp_path: Path) -> None:
    from tabsynth.evaluation.gates import read_gates

    path = tmp_path / "a.yaml"
    path.write_text("gates:\n  trend_error: {max: 2}\n  trend_error: {max: 90}\n")
    with pytest.raises(SourceError, match="given twice"):
        read_gates(path)
    path.write_text("gates:\n  trend_error: {max: .inf}\n")
    with pytest.raises(SourceError, match="not finite"):
        read_gates(path)
    path.write_text("x: {missing: 0.1}\nx: {missing: 0.2}\n")
    with pytest.raises(SourceError, match="given twice"):
        generate(Schema.from_dict({"columns": {"x": {"kind": "numeric", "low": 0, "high": 1}}}), 5, rules=path, seed=0)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.xlsx", "a.json", "a.yaml", "a.tabsynth"])
def test_a_pipe_is_refused_and_never_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    readers: dict[str, Callable[[Path], object]] = {
        ".json": Schema.from_json, ".yaml": lambda path: read_yaml(path, "plan"), ".tabsynth": load,
    }  # fmt: skip
    with pytest.raises(TabsynthError, match="pipe or a device"):
        readers.get(Path(name).suffix, read)(tmp_path / name)


def test_paths_that_no_file_has(tmp_path: Path) -> None:
    for path in (tmp_path / ("x" * 300), "a\0b", tmp_path, tmp_path / "absent"):
        with pytest.raises(SourceError, match="cannot read"):
            check_regular_file(path)
    with pytest.raises(SourceError, match="cannot read"):
        read(tmp_path / f"{'x' * 300}.csv")


def _model(path: Path, manifest: str | None = None, compression: int = zipfile.ZIP_STORED) -> Path:
    save(path, ModelFile("masked", {"a": 1}, {"w": np.zeros(3)}))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if manifest is not None:
        members["manifest.json"] = manifest.encode()
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize(
    ("version", "hashes", "message"),
    [
        ("1", "{}", "hashes of all members"), ("1", "5", "hashes of all members"), ("true", "{}", "version True"),
        ("0", "{}", "version 0"), ("1", '{"config.json": "x"}', "hashes of all members"), ("1.0", "{}", "version 1.0"),
    ],
)  # fmt: skip
def test_a_manifest_must_have_every_hash(tmp_path: Path, version: str, hashes: str, message: str) -> None:
    manifest = f'{{"format": "tabsynth-model", "version": {version}, "kind": "masked", "sha256": {hashes}}}'
    with pytest.raises(TabsynthError, match=message):
        load(_model(tmp_path / "m.tabsynth", manifest))


def test_compressed_members_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TabsynthError, match="compressed or encrypted"):
        load(_model(tmp_path / "m.tabsynth", compression=zipfile.ZIP_DEFLATED))
    assert load(_model(tmp_path / "m.tabsynth")).config == {"a": 1}


def _nested(kind: type) -> Any:
    data: Any = kind()
    for _ in range(5000):
        data = {"a": data} if kind is dict else [data]
    return data


@pytest.mark.parametrize("kind", [dict, list])
def test_deep_data_of_a_caller_is_refused(tmp_path: Path, kind: type) -> None:
    deep = _nested(kind)
    model = MarginalSynthesizer(components=2).fit(pd.DataFrame({"c": ["a", "b"] * 15}), seed=0)
    calls: list[tuple[type[TabsynthError], Callable[[], object]]] = [
        (SchemaError, lambda: Schema.from_dict({"columns": {"x": deep}})),
        (SchemaError, lambda: Schema.from_dict({"columns": {"x": {"kind": "numeric", "sdv": deep}}})),
        (SchemaError, lambda: Schema.from_dict({"columns": {"x": {"kind": "numeric"}}, "constraints": [deep]})),
        (SchemaError, lambda: DatabaseSchema.from_dict({"tables": {"t": deep}})),
        (SchemaError, lambda: Schema.of([deep])),
        (InputError, lambda: read_gates({"gates": {"trend_error": deep}})),
        (ConditionError, lambda: model.sample(3, given={"c": deep})),
        *((DataError, lambda n=n: write(pd.DataFrame({"x": [deep]}), tmp_path / f"w.{n}")) for n in ("csv", "jsonl")),
    ]
    for error, call in calls:
        with pytest.raises(error, match="nested deeper than 100 levels"):
            call()


def test_data_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop += [loop, loop]
    with pytest.raises(InputError, match="nested deeper"):
        check_depth(loop, "data")
    check_depth({"a": [[{"b": (1, {2})}]]}, "data")


FRAME = pd.DataFrame(
    {
        "a": [1, 2, None] * 10,
        "b": ["x", "ü", None] * 10,
        "c": pd.to_datetime(["2020-01-01", "2020-02-01", None] * 10),
        "d": pd.Series([True, None, False] * 10, dtype="boolean"),
    },
    index=pd.Index(range(30), name="key"),
)
SEEDS: dict[str, Callable[[Path], object]] = {
    "table.csv": lambda path: FRAME.to_csv(path),
    "table.parquet": lambda path: FRAME.to_parquet(path),
    "table.xlsx": lambda path: FRAME.to_excel(path),
    "model.tabsynth": _model,
    "schema.json": lambda path: Schema.infer(FRAME).to_json(path),
    "rules.yaml": lambda path: path.write_text("a: {low: 0, high: 5}\nb: {values: [x, y], shares: [1, 2]}\n"),
}


def _mutants(data: bytes, rng: random.Random, n: int) -> list[bytes]:
    """Damaged copies: flipped, removed, repeated and replaced pieces."""
    out = []
    for _ in range(n):
        copy = bytearray(data)
        for _ in range(rng.choice((1, 1, 3, 10))):
            at = rng.randrange(len(copy))
            size = rng.choice((1, 2, 8, 64))
            piece = copy[at : at + size]
            new = [
                rng.randbytes(len(piece)),
                b"",
                bytes(piece) * 3,
                rng.choice((b"\0", b"-1", b'"', b"}", b"\xff\xff")),
            ]
            copy[at : at + size] = rng.choice(new)
            copy = copy or bytearray(b"x")
        out.append(bytes(copy))
    return out


def _open(path: Path) -> object:
    if path.suffix == ".tabsynth":
        return load(path)
    if path.suffix == ".json":
        return Schema.from_json(path)
    if path.suffix == ".yaml":
        return read_yaml(path, "rules")
    return read(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SEEDS)
def test_damaged_files_raise_errors_of_tabsynth_only(tmp_path: Path, name: str) -> None:
    SEEDS[name](tmp_path / name)
    data = (tmp_path / name).read_bytes()
    for mutant in _mutants(data, random.Random(0), int(os.environ.get("TABSYNTH_MUTANTS", "80"))):
        (tmp_path / name).write_bytes(mutant)
        with contextlib.suppress(TabsynthError):
            _open(tmp_path / name)


def test_long_values_are_shortened() -> None:
    assert len(quote(["x" * 10_000, "y"])) < 200
    assert "characters" in quote(["x" * 10_000])
    assert len(str(SourceError("x" * 50_000 + " remove it"))) < 5000
    assert str(SourceError("x" * 50_000 + " remove it")).endswith("remove it")


def test_characters_that_control_a_terminal_are_escaped() -> None:
    text = "a\x1b[31mb\x07\u202ec\x9b\r\nd\te\udc80"
    assert escape_controls(text) == "a\\x1b[31mb\\x07\\u202ec\\x9b\\x0d\nd\te\\udc80".replace("\\x0d", "\\r")
