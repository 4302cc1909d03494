"""Files and arguments that cannot be used: one line, the exit code, and no file changed."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tabsynth.cli import BAD_INPUT, BAD_MODEL

from .commands import SCHEMA, check_refused, patients


def _parquet(path: Path) -> None:
    patients().to_parquet(path)
    path.write_bytes(path.read_bytes()[:-200])


BAD_TABLES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": ("t.csv", lambda path: None, "t.csv"),
    "empty": ("t.csv", lambda path: path.write_text(""), "empty|no columns|no rows"),
    "only a header": ("t.csv", lambda path: path.write_text("age,bmi\n"), "no rows"),
    "one row": ("t.csv", lambda path: path.write_text("age,bmi\n40,20.5\n"), "one row"),
    "duplicate names": ("t.csv", lambda path: path.write_text("age,age\n1,2\n3,4\n"), "duplicate column names: 'age'"),
    "infinities": (
        "t.parquet",
        lambda path: patients().assign(bmi=np.inf).to_parquet(path),
        "'bmi': 120 infinite values, the first at row 0; replace them",
    ),
    "truncated Parquet": ("t.parquet", _parquet, "t.parquet"),
    "not a table": ("t.csv", lambda path: path.write_bytes(bytes(range(256)) * 40), "t.csv"),
    "unknown format": ("t.docx", lambda path: path.write_text("age\n1\n"), "docx"),
}


class TestBadInput:
    @pytest.mark.parametrize("case", BAD_TABLES)
    def test_tables(self, case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        name, make, message = BAD_TABLES[case]
        make(tmp_path / name)
        line = ["fit", str(tmp_path / name), "--epochs", "1", "--output", str(tmp_path / "m.tabsynth")]
        check_refused(line, tmp_path, message, capsys)

    @pytest.mark.parametrize(
        ("column", "facts", "message"),
        [
            ("age", {"kind": "numeric", "high": 50}, "'age'.* above the schema's high 50"),
            ("sex", {"kind": "numeric"}, "'sex'.* are not numbers, such as '[fm]'"),
            ("sex", {"kind": "categorical", "values": ["f"]}, "'sex'.* not in the schema, such as 'm'"),
            ("bmi", {"kind": "numeric"}, "'bmi'.* missing"),
            ("height", {"kind": "numeric"}, "'height' of the schema is not in the table"),
            ("age", {"kind": "number"}, "'age': kind 'number' is not one of"),
        ],
    )
    def test_schema_that_does_not_fit(
        self,
        fitted: Path,
        tmp_path: Path,
        column: str,
        facts: dict[str, object],
        message: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        schema = tmp_path / "schema.json"
        schema.write_text(json.dumps({"columns": {**SCHEMA["columns"], column: facts}}))
        line = ["fit", str(fitted / "train.csv"), "--schema", str(schema), "--output", str(tmp_path / "m.tabsynth")]
        check_refused(line, tmp_path, message, capsys)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--output", "no/m.tabsynth"], "the folder .*no' does not exist"),
            (["--output", "."], "it is a folder"),
            (["--model", "magic"], "there is no synthesizer 'magic' .did you mean 'marginal'..; choose one of masked"),
            (["--model", "gaussian_copula", "--epochs", "3"], "has no option 'epochs'"),
            (["--option", "speed=3"], "has no option 'speed'"),
            (["--option", "speed"], "write NAME=VALUE"),
            (["--device", "abacus"], "device 'abacus' cannot be used here.*; try 'auto'"),
            (["--checkpoint", "no/c"], "the folder .*no' does not exist"),
            (["--checkpoint", "c", "--no-checkpoint"], "exclude each other"),
            (["--schema", "none.json"], "cannot read the schema"),
        ],
    )
    def test_fit_options(
        self,
        fitted: Path,
        tmp_path: Path,
        options: list[str],
        message: str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        check_refused(["fit", str(fitted / "train.csv"), "--output", "m.tabsynth", *options], tmp_path, message, capsys)

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
    def test_unwritable_folder(self, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        tmp_path.chmod(0o500)
        try:
            line = ["fit", str(fitted / "train.csv"), "--output", str(tmp_path / "m.tabsynth")]
            check_refused(line, tmp_path, "cannot write", capsys)
        finally:
            tmp_path.chmod(0o700)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--target", "result"], "'result'"),
            (["--output", "r.pdf"], "must end in .html, .json or .md"),
            (["--require", "shape_error=good"], "'good' is not a number"),
            (["--holdout", "none.csv"], "none.csv"),
        ],
    )
    def test_evaluate_options(
        self,
        fitted: Path,
        tmp_path: Path,
        options: list[str],
        message: str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        line = ["evaluate", str(fitted / "train.csv"), str(fitted / "synthetic.csv"), *options]
        check_refused(line, tmp_path, message, capsys)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ("height=3", "unknown column 'height'; there are 'age', 'bmi'"),
            ("age", "write COLUMN=VALUE"),
            ("age=old", "'old' is not a number"),
            ("sex=x", "the column has the values 'f', 'm'"),
            ("age=500:600", "no value in the range"),
        ],
    )
    def test_conditions(
        self, fitted: Path, tmp_path: Path, given: str, message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = ["sample", str(fitted / "m.tabsynth"), "-n", "5", "--given", given, "--output", str(tmp_path / "s.csv")]
        check_refused(line, tmp_path, message, capsys)


def _later(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    members["manifest.json"] = json.dumps({**manifest, "version": 99}).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


BAD_MODELS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "damaged or not a tabsynth model file"),
    "flipped byte": (_flipped, "damaged|was changed"),
    "later version": (_later, "later than 1: upgrade tabsynth"),
    "something else": (lambda path: path.write_text("age,bmi\n"), "damaged or not a tabsynth model file"),
}


class TestBadModel:
    def test_a_missing_file_is_bad_input(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        line = ["sample", str(tmp_path / "m.tabsynth"), "--output", str(tmp_path / "s.csv")]
        check_refused(line, tmp_path, "there is no such file", capsys, BAD_INPUT)

    @pytest.mark.parametrize("case", BAD_MODELS)
    def test_exits_with_4(self, case: str, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        spoil, message = BAD_MODELS[case]
        model = tmp_path / "m.tabsynth"
        model.write_bytes((fitted / "m.tabsynth").read_bytes())
        spoil(model)
        line = ["sample", str(model), "-n", "5", "--output", str(tmp_path / "s.csv")]
        check_refused(line, tmp_path, message, capsys, BAD_MODEL)
