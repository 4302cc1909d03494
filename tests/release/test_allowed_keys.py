"""The documents of a release contain only listed keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tabsynth.errors import InputError
from tabsynth.release import build, verify
from tabsynth.release.documents.allowed_keys import ALLOWED, check_keys, key_paths

from .bundle_content import contents
from .conftest import ABOUT, WAIVED, Evidence

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
    "table-schema.json": "foreignKeys foreignKeys/[] foreignKeys/[]/fields foreignKeys/[]/fields/[] "
    "foreignKeys/[]/reference "
    "foreignKeys/[]/reference/resource foreignKeys/[]/reference/fields foreignKeys/[]/reference/fields/[] "
    "primaryKey primaryKey/[] "
    "fields fields/[] missingValues missingValues/[] fields/[]/name fields/[]/type "
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
    "resources/[]/schema/foreignKeys "
    "resources/[]/schema/foreignKeys/[] "
    "resources/[]/schema/foreignKeys/[]/fields "
    "resources/[]/schema/foreignKeys/[]/fields/[] "
    "resources/[]/schema/foreignKeys/[]/reference "
    "resources/[]/schema/foreignKeys/[]/reference/resource "
    "resources/[]/schema/foreignKeys/[]/reference/fields "
    "resources/[]/schema/foreignKeys/[]/reference/fields/[] "
    "resources/[]/schema/primaryKey "
    "resources/[]/schema/primaryKey/[] "
    "resources/[]/schema/missingValues resources/[]/schema/missingValues/[] title version",
    "croissant.json": "recordSet/[]/key recordSet/[]/key/[] recordSet/[]/key/[]/@id "
    "recordSet/[]/field/[]/references recordSet/[]/field/[]/references/field "
    "recordSet/[]/field/[]/references/field/@id "
    "@context @context/*/@container @context/*/@id @context/*/@type @context/@language "
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
    build(tmp_path / "r", held.rows, about=ABOUT, key=keys / "private.pem", waivers=WAIVED, **held.arguments)
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
    build(tmp_path / "r", private.rows, about=ABOUT, key=keys / "private.pem", waivers=WAIVED, **private.arguments)
    document = json.loads((tmp_path / "r/evaluation.json").read_text())
    assert document["figures"] == "levels"
    assert all(set(score) == {"name", "title", "level"} for score in document["scores"])
    assert set(json.loads((tmp_path / "r/audit.json").read_text())) == {"format", "version", "verdict", "note"}
    # Versions of packages may look like figures, such as 2.4.
    without = ("data/", "sbom.json")
    every = b"".join(data for name, data in contents(tmp_path / "r").items() if not name.startswith(without))
    for score in private.evaluation.scores.values():
        # Few digits, such as 0.25, may be part of another figure.
        assert repr(score.value).encode() not in every or len(repr(score.value)) < 6
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
