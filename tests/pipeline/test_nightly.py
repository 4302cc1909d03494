"""Scheduled pipelines: skipped steps, resumption after a kill, and refusals that leave earlier results unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tabsynth.cli import BUSY, DONE, UNMET, main
from tabsynth.errors import BusyError, InputError, TabsynthError
from tabsynth.pipeline import plan, run
from tabsynth.pipeline.config import EXAMPLE, job_from_dict
from tabsynth.pipeline.schema_file import schema_text
from tabsynth.pipeline.status import locked
from tabsynth.release import create_keys, verify

from .runs import SCHEMA, STEPS, changed, killed_at, results, status, table, write


@pytest.fixture
def nightly(tmp_path: Path) -> Path:
    """A pipeline file with a release, beside its table."""
    create_keys(tmp_path / "key.pem", tmp_path / "key.pub")
    table(400).to_csv(tmp_path / "in.csv", index=False)
    job: dict[str, Any] = {"version": 1, "input": "in.csv", "output": "out", "schema": SCHEMA, "holdout": 0.4}
    job |= {"target": "ill", "model": {"kind": "marginal", "components": 4}, "audit": True}
    waiver = {"gate": "audit", "who": "A. Analyst", "why": "a small table", "until": "2030-01-01"}
    release = {"name": "people", "key": "key.pem", "output": "people.zip", "date": "2026-11-29", "waivers": [waiver]}
    write(tmp_path / "p.yaml", {**job, "release": {**release, "gates": {"gates": {"shape_error": {"max": 30}}}}})
    return tmp_path / "p.yaml"


@pytest.mark.slow
def test_ten_nights(nightly: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table grows; two runs are killed, one has the same input, one misses its gates."""
    output = nightly.parent / "out"

    def night(rows: int | None, expected: int, states: str) -> dict[str, bytes]:
        """One run; ``states`` has the first letter of done or skipped for each step."""
        if rows is not None:
            table(rows).to_csv(nightly.parent / "in.csv", index=False)
        capsys.readouterr()
        assert main(["run", str(nightly)]) == expected
        shown = json.loads(capsys.readouterr().out)
        assert "".join(shown["steps"][step][0] for step in STEPS if step in shown["steps"]) == states
        if expected == DONE:
            assert verify(output / "people.zip", nightly.parent / "key.pub").ok
            assert status(nightly)["state"] == "done"
        return results(output)

    first = night(400, DONE, "dddddd")
    assert set(first) == {
        "audit.html", "audit.json", "model.tabsynth", "people.zip", "real-holdout.parquet", "real-train.parquet",
        "report.html", "report.json", "synthetic.parquet",
    }  # fmt: skip
    second = night(450, DONE, "dddddd")
    assert second["people.zip"] != first["people.zip"]
    assert night(None, DONE, "ssssss") == second  # the third night: nothing new
    table(500).to_csv(nightly.parent / "in.csv", index=False)
    killed_at(nightly, "evaluate")  # the fourth
    assert results(output) == second
    fifth = night(None, DONE, "sssddd")  # read, fit and sample were finished
    assert fifth["people.zip"] != second["people.zip"]
    table(550).to_csv(nightly.parent / "in.csv", index=False)
    killed_at(nightly, "read")  # the sixth
    assert results(output) == fifth
    seventh = night(None, DONE, "dddddd")
    changed(nightly, evaluate={"require": {"shape_error": -1}})
    assert night(600, UNMET, "ddddd") == seventh  # the eighth: gates fail, the old release is untouched
    assert (output / "failed/synthetic.parquet").is_file()
    assert status(nightly)["unmet"][0].startswith("shape_error is ")
    changed(nightly, evaluate={"require": {"shape_error": 50}})
    ninth = night(None, DONE, "sssssd")  # the limit alone changed: what failed is taken over
    assert ninth["people.zip"] != seventh["people.zip"]
    assert not (output / "failed").exists()
    tenth = night(650, DONE, "dddddd")
    assert set(tenth) == set(first)


@pytest.mark.slow
def test_a_killed_run_publishes_what_an_uninterrupted_one_does(nightly: Path, tmp_path: Path) -> None:
    killed_at(nightly, "sample")
    assert results(tmp_path / "out") == {}
    resumed = run(nightly)
    assert resumed.steps["fit"] == "skipped"
    changed(nightly, output="other")
    run(nightly)
    names = ("model.tabsynth", "synthetic.parquet", "real-train.parquet")
    assert [results(tmp_path / "out")[name] for name in names] == [results(tmp_path / "other")[name] for name in names]


class TestSteps:
    @pytest.fixture
    def small(self, nightly: Path) -> Path:
        """Without evaluation, audit and release."""
        changed(nightly, evaluate=False, audit=False, release=False)
        return nightly

    def test_dry_run_writes_nothing(self, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["run", str(small), "--dry-run"]) == DONE
        steps = json.loads(capsys.readouterr().out)["steps"]
        assert steps == [
            {"step": "read", "run": True, "reason": "no earlier result"},
            {"step": "fit", "run": True, "reason": "read runs"},
            {"step": "sample", "run": True, "reason": "fit runs"},
        ]
        assert not (small.parent / "out").exists()

    def test_a_step_runs_again_for_what_it_depends_on_alone(self, small: Path) -> None:
        run(small)
        assert [str(item) for item in plan(small)] == [f"{step}: skip (unchanged)" for step in STEPS[:3]]
        changed(small, sample={"rows": 50})
        assert [item.reason for item in plan(small)] == ["", "", "changed: settings"]
        assert run(small).rows["synthetic"] == 50
        (small.parent / "out/model.tabsynth").write_bytes(b"edited")
        assert [item.reason for item in plan(small)] == ["", "an output is missing or was changed", "fit runs"]
        # The fit gives the same bytes again, so that the sample is still its sample.
        assert run(small).steps == {"read": "skipped", "fit": "done", "sample": "skipped"}
        changed(small, seed=1)
        assert next(item.reason for item in plan(small)) == "changed: settings"

    def test_other_versions_run_everything_again(self, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run(small)
        monkeypatch.setattr("tabsynth.common.installed_versions.__version__", "99.0")
        assert [item.reason for item in plan(small)] == ["changed: versions", "read runs", "fit runs"]

    def test_damaged_records_count_as_none(self, small: Path) -> None:
        run(small)
        for text in ("", "{", "[]", '{"format": "x"}'):
            (small.parent / "out/.pipeline/steps/fit.json").write_text(text)
            assert [item.reason for item in plan(small)] == ["", "no earlier result", "fit runs"]

    def test_one_run_at_a_time(self, small: Path) -> None:
        with locked(small.parent / "out"):
            with pytest.raises(BusyError, match="another run is writing"):
                run(small)
            assert main(["run", str(small)]) == BUSY
        assert run(small).steps["sample"] == "done"

    def test_internal_files_are_for_their_owner(self, nightly: Path) -> None:
        changed(nightly, release=False)
        run(nightly)
        output = nightly.parent / "out"
        for name in ("model.tabsynth", "real-train.parquet", "report.html", "report.json", "audit.json"):
            assert (output / name).stat().st_mode & 0o777 == 0o600, name
        assert (output / ".pipeline").stat().st_mode & 0o777 == 0o700

    @pytest.mark.parametrize("change", [{"smaple": {}}, {"model": {"kind": "markov"}}, {"schema": "none.json"}])
    def test_an_invalid_pipeline_is_in_the_status_of_an_earlier_run(self, small: Path, change: dict[str, Any]) -> None:
        run(small)
        assert status(small)["state"] == "done"
        changed(small, **change)
        with pytest.raises(TabsynthError) as refused:
            run(small)
        assert status(small)["state"] == "failed"
        assert str(refused.value) in status(small)["error"]

    def test_a_failing_step_is_in_the_status(self, small: Path) -> None:
        (small.parent / "in.csv").write_text("age,sex,ill\n")
        with pytest.raises(InputError, match="no rows"):
            run(small)
        assert not (small.parent / "out").exists()


def test_a_private_pipeline_spends_its_budget_once(nightly: Path) -> None:
    from tabsynth.privacy.accounting.ledger import PrivacyLedger

    privacy = {"epsilon": 2.0, "delta": 1e-6, "ledger": "people.ledger"}
    # The data set's budget is larger than one fit's.
    PrivacyLedger(5.0, 1e-6, path=nightly.parent / "people.ledger")
    changed(nightly, model={"privacy": privacy}, release={"waivers": [], "ledger": "people.ledger"})
    result = run(nightly)
    assert result.unmet == ()
    assert result.release is not None
    spent = PrivacyLedger.open(nightly.parent / "people.ledger").epsilon()
    assert 0 < spent <= 2.0
    assert set(run(nightly).steps.values()) == {"skipped"}
    assert PrivacyLedger.open(nightly.parent / "people.ledger").epsilon() == spent
    assert any("composed again" in check.text for check in verify(result.release, nightly.parent / "key.pub").checks)


class TestSchemaFile:
    def test_it_accepts_what_the_parser_accepts(self, nightly: Path) -> None:
        schema = json.loads(schema_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        validator = jsonschema.Draft202012Validator(schema)
        validator.validate(yaml.safe_load(EXAMPLE))
        validator.validate(yaml.safe_load(nightly.read_text()))
        for change in ({"smaple": {}}, {"seed": -1}, {"holdout": 2}, {"release": {"key": "k"}}, {"mix": {"plan": "p"}}):
            assert not validator.is_valid({**yaml.safe_load(EXAMPLE), **change}), change

    def test_it_has_every_key_of_the_parser(self, tmp_path: Path) -> None:
        """An unknown key's message lists those that the parser knows."""
        schema = json.loads(schema_text())["properties"]
        base: dict[str, Any] = {"version": 1, "input": "x.csv", "output": "out", "holdout": 0.2, "audit": True}
        steps = {"release": {"name": "x", "key": "k"}, "mix": {"plan": "p"}, "model.privacy": {"epsilon": 1.0}}
        for step in ("split", "sample", "evaluate", "audit", "release", "mix", "read", "model.privacy"):
            outer, _, inner = step.partition(".")
            part = schema[outer]["properties"][inner] if inner else schema[outer]
            part = part.get("anyOf", [part])[-1]
            known: set[str] = set()
            data = {**steps.get(step, {}), "no-such-key": 1}
            with pytest.raises(InputError, match="unknown key 'no-such-key'") as caught:
                job_from_dict({**base, outer: {inner: data} if inner else data}, folder=tmp_path)
            known = set(str(caught.value).partition("allowed are ")[2].replace("'", "").split(", "))
            assert known == set(part["properties"]), step
        for step in ("split", "sample", "read"):  # of linked tables
            with pytest.raises(InputError) as caught:
                job_from_dict({**base, "input": "sqlite:///x.db", step: {"no-such-key": 1}}, folder=tmp_path)
            known = set(str(caught.value).partition("allowed are ")[2].replace("'", "").split(", "))
            part = schema[step].get("anyOf", [schema[step]])[-1]
            assert known == set(part["properties"]), step
        with pytest.raises(InputError) as caught:
            job_from_dict({**base, "no-such-key": 1})
        assert set(str(caught.value).partition("allowed are ")[2].replace("'", "").split(", ")) == set(schema)

    def test_command_prints_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["run", "--print-schema"]) == DONE
        assert json.loads(capsys.readouterr().out)["title"] == "Pipeline of tabsynth run"
