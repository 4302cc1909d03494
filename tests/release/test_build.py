"""Releases: equal bytes for equal inputs, no internal content, and nothing written with missed gates."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import tabsynth as ts
from tabsynth.errors import DataError, InputError, SourceError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import Privacy
from tabsynth.release import GateError, Release, build, verify
from tabsynth.release.documents.allowed_keys import ALLOWED, check_keys, key_paths

from .conftest import ABOUT, SCHEMA, WAIVED, Evidence, evidence_of

FILES = {
    "audit.json", "contract.yaml", "croissant.json", "data-card.md", "data/patients.csv", "data/patients.parquet",
    "datapackage.json", "evaluation.json", "gates.json", "model-card.md", "privacy.json", "report.html", "sbom.json",
    "table-schema.json",
}  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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


KEYS = {
    "audit.json": "format version verdict note text significant significant/[] power power/fpr power/power "
    "power/least_tpr",
    "evaluation.json": "format version figures note verdict verdict/text verdict/areas verdict/areas/[] "
    "verdict/areas/[]/area verdict/areas/[]/level uses uses/[] uses/[]/use uses/[]/level "
    "scores scores/[] scores/[]/name scores/[]/title scores/[]/level scores/[]/value "
    "scores/[]/interval scores/[]/interval/[] scores/[]/floor scores/[]/unit scores/[]/better "
    "scores/[]/target",
    "gates.json": "format version date gates gates/[] gates/[]/gate gates/[]/passed gates/[]/waiver "
    "gates/[]/waiver/who gates/[]/waiver/why gates/[]/waiver/until",
    "privacy.json": "format version guarantee definition unit neighbours epsilon delta statement meaning "
    "accountant recognised_at_most recognised_at_false_alarms guessed_at_most mechanisms "
    "mechanisms/[] mechanisms/[]/purpose mechanisms/[]/mechanism mechanisms/[]/columns "
    "mechanisms/[]/columns/[] mechanisms/[]/delta mechanisms/[]/sensitivity "
    "mechanisms/[]/event mechanisms/[]/event/type mechanisms/[]/event/noise_multiplier "
    "mechanisms/[]/event/noise_parameter mechanisms/[]/event/sensitivity "
    "mechanisms/[]/event/rho mechanisms/[]/event/xi mechanisms/[]/event/sampling_probability "
    "mechanisms/[]/event/count mechanisms/[]/event/mean mechanisms/[]/event/shape "
    "mechanisms/[]/event/event mechanisms/[]/event/events mechanisms/[]/event/events/[] "
    "not_covered not_covered/[] dataset dataset/epsilon dataset/delta dataset/charges",
    "sbom.json": "bomFormat specVersion version metadata metadata/timestamp metadata/component "
    "metadata/component/type metadata/component/name metadata/component/version components "
    "components/[] components/[]/type components/[]/name components/[]/version "
    "components/[]/purl",
    "contract.yaml": "schema_type version columns columns/* checks index dtype coerce strict name ordered "
    "unique report_duplicates unique_column_names add_missing_columns title description "
    "columns/*/title columns/*/description columns/*/dtype columns/*/nullable "
    "columns/*/checks columns/*/unique columns/*/coerce columns/*/required columns/*/regex "
    "columns/*/checks/greater_than_or_equal_to columns/*/checks/less_than_or_equal_to "
    "columns/*/checks/isin columns/*/checks/isin/[]",
    "table-schema.json": "fields fields/[] missingValues missingValues/[] fields/[]/name fields/[]/type "
    "fields/[]/description fields/[]/format fields/[]/trueValues fields/[]/trueValues/[] "
    "fields/[]/falseValues fields/[]/falseValues/[] fields/[]/constraints "
    "fields/[]/constraints/required fields/[]/constraints/unique "
    "fields/[]/constraints/minimum fields/[]/constraints/maximum fields/[]/constraints/enum "
    "fields/[]/constraints/enum/[]",
    "datapackage.json": "contributors contributors/[] contributors/[]/role contributors/[]/title created "
    "description homepage licenses licenses/[] licenses/[]/name licenses/[]/path name profile "
    "resources resources/[] resources/[]/bytes resources/[]/dialect "
    "resources/[]/dialect/delimiter resources/[]/dialect/doubleQuote "
    "resources/[]/dialect/lineTerminator resources/[]/encoding resources/[]/format "
    "resources/[]/hash resources/[]/mediatype resources/[]/name resources/[]/path "
    "resources/[]/profile resources/[]/rows resources/[]/schema resources/[]/schema/fields "
    "resources/[]/schema/fields/[] resources/[]/schema/fields/[]/constraints "
    "resources/[]/schema/fields/[]/constraints/enum "
    "resources/[]/schema/fields/[]/constraints/enum/[] "
    "resources/[]/schema/fields/[]/constraints/maximum "
    "resources/[]/schema/fields/[]/constraints/minimum "
    "resources/[]/schema/fields/[]/constraints/required "
    "resources/[]/schema/fields/[]/constraints/unique "
    "resources/[]/schema/fields/[]/description resources/[]/schema/fields/[]/falseValues "
    "resources/[]/schema/fields/[]/falseValues/[] resources/[]/schema/fields/[]/format "
    "resources/[]/schema/fields/[]/name resources/[]/schema/fields/[]/trueValues "
    "resources/[]/schema/fields/[]/trueValues/[] resources/[]/schema/fields/[]/type "
    "resources/[]/schema/missingValues resources/[]/schema/missingValues/[] title version",
    "croissant.json": "@context @context/*/@container @context/*/@id @context/*/@type @context/@language "
    "@context/@vocab @context/arrayShape @context/citeAs @context/column @context/conformsTo "
    "@context/containedIn @context/cr @context/data @context/dataType @context/dct "
    "@context/description @context/equivalentProperty @context/examples @context/extract "
    "@context/field @context/fileObject @context/fileProperty @context/fileSet "
    "@context/format @context/includes @context/isArray @context/isLiveDataset "
    "@context/jsonPath @context/key @context/md5 @context/name @context/parentField "
    "@context/path @context/rai @context/recordSet @context/references @context/regex "
    "@context/repeated @context/replace @context/samplingRate @context/sc @context/separator "
    "@context/source @context/subField @context/transform @type alternateName citeAs "
    "conformsTo creator creator/@type creator/name datePublished description distribution "
    "distribution/[] distribution/[]/@id distribution/[]/@type distribution/[]/contentSize "
    "distribution/[]/contentUrl distribution/[]/encodingFormat distribution/[]/name "
    "distribution/[]/sha256 isLiveDataset license name rai:dataCollection rai:dataLimitations "
    "rai:hasSyntheticData rai:personalSensitiveInformation recordSet recordSet/[] "
    "recordSet/[]/@id recordSet/[]/@type recordSet/[]/description recordSet/[]/field "
    "recordSet/[]/field/[] recordSet/[]/field/[]/@id recordSet/[]/field/[]/@type "
    "recordSet/[]/field/[]/dataType recordSet/[]/field/[]/description "
    "recordSet/[]/field/[]/name recordSet/[]/field/[]/source "
    "recordSet/[]/field/[]/source/extract recordSet/[]/field/[]/source/extract/column "
    "recordSet/[]/field/[]/source/fileObject recordSet/[]/field/[]/source/fileObject/@id "
    "recordSet/[]/name url version",
}
"""Every key that a document may have, written out: a new one is a decision about what leaves the house."""


def test_every_key_that_may_enter_is_listed_here() -> None:
    assert {name: set(keys.split()) for name, keys in KEYS.items()} == ALLOWED


@pytest.mark.parametrize("private_fit", [False, True])
def test_documents_hold_listed_keys_only(
    private_fit: bool, evidence: Evidence, private: Evidence, keys: Path, tmp_path: Path
) -> None:
    held = private if private_fit else evidence
    waivers = [] if private_fit else WAIVED
    build(tmp_path / "r", held.rows, about=ABOUT, key=keys / "private.pem", waivers=waivers, **held.arguments)
    for name in ALLOWED:
        text = (tmp_path / "r" / name).read_text()
        document = yaml.safe_load(text) if name.endswith(".yaml") else json.loads(text)
        check_keys(name, document)
        first = next(iter(document))
        with pytest.raises(InputError, match="the key 'seed' may not enter a release"):
            check_keys(name, {**document, "seed": 0})
        if isinstance(document[first], dict):
            with pytest.raises(InputError, match="may not enter"):
                check_keys(name, {**document, first: {"a": {"b": {"c": {"d": {}}}}}})
    assert ("event", "type") in set(key_paths({"event": {"type": "x", "event": {"type": "y"}}}))


def test_a_private_release_holds_levels_and_no_figure(private: Evidence, keys: Path, tmp_path: Path) -> None:
    build(tmp_path / "r", private.rows, about=ABOUT, key=keys / "private.pem", **private.arguments)
    document = json.loads((tmp_path / "r/evaluation.json").read_text())
    assert document["figures"] == "levels"
    assert all(set(score) == {"name", "title", "level"} for score in document["scores"])
    assert set(json.loads((tmp_path / "r/audit.json").read_text())) == {"format", "version", "verdict", "note"}
    every = b"".join(data for name, data in contents(tmp_path / "r").items() if not name.startswith("data/"))
    for score in private.evaluation.scores.values():
        assert repr(score.value).encode() not in every or score.value in (0.0, 1.0, 50.0, 100.0)
    statement = json.loads((tmp_path / "r/privacy.json").read_text())
    assert statement["guarantee"] is True
    assert statement["unit"] == "row"
    assert statement["epsilon"] <= 2.0
    assert f"recognises at most {statement['recognised_at_most']:.1%}" in statement["meaning"]
    assert "1% of others are mistaken" in statement["meaning"]
    assert statement["mechanisms"]
    found = verify(tmp_path / "r", keys / "public.pem")
    assert found.ok
    assert any("composed again from its" in check.text for check in found.checks)


class TestGates:
    def refused(self, held: Evidence, keys: Path, tmp_path: Path, **changes: Any) -> tuple[str, ...]:
        """What is refused; an earlier release stays as it is."""
        earlier: dict[str, Any] = {"about": {**ABOUT, "version": "0.9"}, "key": keys / "private.pem"}
        build(tmp_path / "r", held.rows, **earlier, waivers=WAIVED, **held.arguments)
        before = contents(tmp_path / "r")
        arguments = {"about": ABOUT, "key": keys / "private.pem", "waivers": WAIVED, **held.arguments, **changes}
        with pytest.raises(GateError, match="the release is refused, nothing was written") as caught:
            build(tmp_path / "r", **{"data": held.rows, **arguments})
        assert contents(tmp_path / "r") == before
        assert [path.name for path in tmp_path.iterdir() if path.name != "r"] == []
        return caught.value.unmet

    def test_without_evidence(self, evidence: Evidence, keys: Path, tmp_path: Path) -> None:
        (line,) = self.refused(evidence, keys, tmp_path, evaluation=None)
        assert line.startswith("evaluation: there is no evaluation")

    def test_an_inconclusive_audit_is_no_evidence_without_a_guarantee(
        self, evidence: Evidence, keys: Path, tmp_path: Path
    ) -> None:
        (line,) = self.refused(evidence, keys, tmp_path, waivers=[])
        assert line.startswith("audit: INCONCLUSIVE")

    def test_evidence_of_other_rows(self, evidence: Evidence, keys: Path, tmp_path: Path) -> None:
        (line,) = self.refused(evidence, keys, tmp_path, data=evidence.model.sample(400, seed=2))
        assert line == "evidence: the evaluation is of another table than the one that is released"

    def test_a_missed_limit(self, evidence: Evidence, keys: Path, tmp_path: Path) -> None:
        (line,) = self.refused(evidence, keys, tmp_path, gates={"gates": {"shape_error": {"max": -1}}})
        assert line.startswith("evaluation.shape_error: ")

    def test_a_waiver_that_ran_out(self, evidence: Evidence, keys: Path, tmp_path: Path) -> None:
        late = [{**WAIVED[0], "until": "2026-11-28"}]
        (line,) = self.refused(evidence, keys, tmp_path, waivers=late)
        assert line.endswith("the waiver by A. Analyst ran out")

    def test_an_insecure_seed(self, evidence: Evidence, keys: Path, tmp_path: Path) -> None:
        unsafe = evidence_of(Privacy(epsilon=2.0, delta=1e-6, insecure_seed=1))
        line = self.refused(evidence, keys, tmp_path, data=unsafe.rows, **unsafe.arguments)[0]
        assert "NOT DP" in line

    def test_a_ledger_of_other_data(self, private: Evidence, evidence: Evidence, keys: Path, tmp_path: Path) -> None:
        other = PrivacyLedger(5.0, 1e-6)
        line = self.refused(
            evidence, keys, tmp_path, data=private.rows, **{**private.arguments, "ledger": other, "waivers": []}
        )
        assert line == ("ledger: the model was fitted without a data set's ledger",)

    def test_a_waiver_is_recorded_and_signed(
        self, released: Callable[[Path], Release], keys: Path, tmp_path: Path
    ) -> None:
        released(tmp_path / "r")
        gates = json.loads((tmp_path / "r/gates.json").read_text())["gates"]
        (audit,) = (gate for gate in gates if gate["gate"] == "audit")
        assert audit == {
            "gate": "audit",
            "passed": False,
            "waiver": {k: v for k, v in WAIVED[0].items() if k != "gate"},
        }
        shown = str(verify(tmp_path / "r", keys / "public.pem"))
        assert "audit was missed, and waived by A. Analyst until 2030-01-01: a small table" in shown

    def test_a_waiver_for_no_gate(self, evidence: Evidence, keys: Path, tmp_path: Path) -> None:
        wrong = [{**WAIVED[0], "gate": "quality"}]
        with pytest.raises(InputError, match="the waiver for 'quality' waives no gate; there are 'evaluation'"):
            build(
                tmp_path / "r",
                evidence.rows,
                about=ABOUT,
                key=keys / "private.pem",
                waivers=wrong,
                **evidence.arguments,
            )


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
    stale = tmp_path / ".r.release-999999-abc"
    stale.mkdir()
    released(tmp_path / "r")
    assert contents(tmp_path / "r") == before
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
