"""Gates of a release: passed, missed and waived."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tabsynth as ts
from tabsynth.cli import UNMET, main
from tabsynth.errors import InputError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import Privacy
from tabsynth.release import GateError, Release, build, verify

from .bundle_content import contents
from .conftest import ABOUT, WAIVED, Evidence, evidence_of


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
        line = self.refused(evidence, keys, tmp_path, data=private.rows, **{**private.arguments, "ledger": other})
        assert line == ("ledger: the model was fitted without the ledger of a data set",)

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

    def test_a_waiver_names_a_score_as_a_gates_file_does(self, evidence: Evidence, keys: Path, tmp_path: Path) -> None:
        given = {**evidence.arguments, "about": ABOUT, "key": keys / "private.pem"}
        given["gates"] = {"gates": {"shape_error": {"max": 0.0}}}
        with pytest.raises(GateError) as refusal:
            build(tmp_path / "r", evidence.rows, waivers=WAIVED, **given)
        (line,) = refusal.value.unmet
        assert line.startswith("evaluation.shape_error: ")
        assert line.count("shape_error") == 1
        for number, name in enumerate(("shape_error", "fidelity.shape_error", "evaluation.shape_error")):
            waivers = [*WAIVED, {**WAIVED[0], "gate": name}]
            build(tmp_path / f"{number}", evidence.rows, waivers=waivers, **given)


def test_the_command_names_the_waiver_of_a_missed_gate(
    evidence: Evidence, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence.model.save(tmp_path / "m.tabsynth")
    evidence.evaluation.save(tmp_path / "report.json")
    evidence.audit.save(tmp_path / "audit.json")
    ts.write(evidence.rows, tmp_path / "rows.parquet")
    command = ["release", str(tmp_path / "rows.parquet"), "--model", str(tmp_path / "m.tabsynth"), "--name", "patients"]
    command += ["--evaluation", str(tmp_path / "report.json"), "--audit", str(tmp_path / "audit.json")]
    command += ["--license", "CC0-1.0", "--key", str(keys / "private.pem"), "--output", str(tmp_path / "r.zip")]
    assert main(command) == UNMET
    assert "{gate: audit, who: ..., why: ..., until: DATE}" in capsys.readouterr().err
