"""Releases: equal bytes for equal inputs, no internal content, and nothing written with missed gates."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import tabsynth as ts
from tabsynth.errors import DataError, InputError, SourceError
from tabsynth.release import Release, build

from .bundle_content import contents
from .conftest import ABOUT, SCHEMA, WAIVED, Evidence

FILES = {
    "audit.json", "contract.yaml", "croissant.json", "data-card.md", "data/patients.csv", "data/patients.parquet",
    "datapackage.json", "evaluation.json", "gates.json", "model-card.md", "privacy.json", "report.html", "sbom.json",
    "table-schema.json",
}  # fmt: skip


def test_equal_inputs_give_equal_bytes(evidence: Evidence, keys: Path, tmp_path: Path) -> None:
    key = keys / "private.pem"
    evidence.model.save(tmp_path / "m.tabsynth")
    evidence.evaluation.save(tmp_path / "report.json")
    evidence.audit.save(tmp_path / "audit.json")
    ts.write(evidence.rows, tmp_path / "rows.parquet")
    build(tmp_path / "a", evidence.rows, about=ABOUT, key=key, waivers=WAIVED, **evidence.arguments)
    files: dict[str, Any] = {"model": tmp_path / "m.tabsynth", "evaluation": tmp_path / "report.json"}
    files |= {"audit": tmp_path / "audit.json", "about": ABOUT, "key": key, "waivers": WAIVED}
    build(tmp_path / "b", tmp_path / "rows.parquet", **files)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert set(contents(tmp_path / "a")) == FILES | {"manifest.json", "manifest.sig"}
    for name in ("c.zip", "d.zip"):
        build(tmp_path / name, tmp_path / "rows.parquet", **files)
    assert (tmp_path / "c.zip").read_bytes() == (tmp_path / "d.zip").read_bytes()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"a", "b", "c.zip", "d.zip", "m.tabsynth", "report.json", "audit.json", "rows.parquet"}


def test_the_data_are_the_rows(released: Callable[[Path], Release], evidence: Evidence, tmp_path: Path) -> None:
    released(tmp_path / "release")
    parquet = ts.read(tmp_path / "release/data/patients.parquet", schema=SCHEMA).frame
    pd.testing.assert_frame_equal(parquet, evidence.rows, check_dtype=False)
    csv = ts.read(tmp_path / "release/data/patients.csv", schema=SCHEMA).frame
    pd.testing.assert_frame_equal(csv, evidence.rows, check_dtype=False)


def test_contract_has_declared_facts(released: Callable[[Path], Release], tmp_path: Path) -> None:
    released(tmp_path / "release")
    columns = yaml.safe_load((tmp_path / "release/contract.yaml").read_text())["columns"]
    assert list(columns) == list(SCHEMA)
    assert columns["age"]["checks"] == {"greater_than_or_equal_to": 0, "less_than_or_equal_to": 120}
    assert columns["sex"]["checks"] == {"isin": ["f", "m"]}
    fields = json.loads((tmp_path / "release/table-schema.json").read_text())["fields"]
    assert [field["type"] for field in fields] == ["integer", "string", "string", "date", "boolean"]


def test_inferred_facts_of_the_real_rows_do_not_enter(evidence: Evidence, keys: Path, tmp_path: Path) -> None:
    real = SCHEMA.replace("sex", values=("f", "m", "a rare value"))
    columns = {**real.columns, "sex": replace(real["sex"], origin="inferred", why="3 rows", question="is it?")}
    columns["age"] = replace(real["age"], origin="inferred", low=3.25, high=117.25)
    schema = ts.Schema(columns)
    arguments = {**evidence.arguments, "model": None, "schema": schema}
    build(tmp_path / "r", evidence.rows, about=ABOUT, key=keys / "private.pem", waivers=WAIVED, **arguments)
    every = b"".join(data for name, data in contents(tmp_path / "r").items() if not name.startswith("data/"))
    for secret in (b"a rare value", b"3 rows", b"is it?", b"117.25"):
        assert secret not in every


def test_provenance_of_a_mixed_table_does_not_enter(evidence: Evidence, keys: Path, tmp_path: Path) -> None:
    rows = evidence.rows.copy()
    rows.attrs["tabsynth.mixed"] = {"plan_hash": "c0ffee", "sources": {"secret clinic": 7}}
    build(tmp_path / "r", rows, about=ABOUT, key=keys / "private.pem", waivers=WAIVED, **evidence.arguments)
    assert not any(b"c0ffee" in data or b"secret clinic" in data for data in contents(tmp_path / "r").values())


class TestRefusals:
    def test_rows_that_break_the_contract(self, evidence: Evidence, keys: Path, tmp_path: Path) -> None:
        rows = evidence.rows.assign(age=999)
        with pytest.raises(DataError, match="'age'"):
            build(tmp_path / "r", rows, about=ABOUT, key=keys / "private.pem", **evidence.arguments)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"name": "../up"}, "name '../up' must be of lower-case letters"),
            ({"nmae": "x"}, "unknown key 'nmae' of a release"),
            ({"date": "yesterday"}, "date must be one such as 2026-12-31"),
        ],
    )
    def test_descriptions(
        self, change: dict[str, Any], message: str, evidence: Evidence, keys: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(InputError, match=message):
            build(
                tmp_path / "r", evidence.rows, about={**ABOUT, **change}, key=keys / "private.pem", **evidence.arguments
            )

    def test_a_folder_that_is_no_release_is_not_replaced(self, evidence: Evidence, keys: Path, tmp_path: Path) -> None:
        (tmp_path / "home").mkdir()
        (tmp_path / "home/thesis.txt").write_text("mine")
        with pytest.raises(SourceError, match="exists and is not a release"):
            build(tmp_path / "home", evidence.rows, about=ABOUT, key=keys / "private.pem", **evidence.arguments)
        assert (tmp_path / "home/thesis.txt").read_text() == "mine"

    def test_a_key_that_others_can_read(self, evidence: Evidence, keys: Path, tmp_path: Path) -> None:
        (tmp_path / "key.pem").write_bytes((keys / "private.pem").read_bytes())
        (tmp_path / "key.pem").chmod(0o644)
        with pytest.raises(SourceError, match="other users may read the private key"):
            build(tmp_path / "r", evidence.rows, about=ABOUT, key=tmp_path / "key.pem", **evidence.arguments)


def test_an_interrupted_replacement_is_recovered(
    released: Callable[[Path], Release], evidence: Evidence, keys: Path, tmp_path: Path
) -> None:
    """Killed between two renames, a release is back when the next one is built or refused."""
    released(tmp_path / "r")
    before = contents(tmp_path / "r")
    (tmp_path / "r").rename(tmp_path / ".r.previous")
    stale = tmp_path / ".r.release-abcdefgh.tmp"
    stale.mkdir()
    os.utime(stale, (0, 0))
    released(tmp_path / "r")
    assert contents(tmp_path / "r") == before
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
