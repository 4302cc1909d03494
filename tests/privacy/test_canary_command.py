"""``tabsynth canaries``: the bound, exit codes, and arguments that are refused before any fit."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tabsynth.cli import main
from tabsynth.errors import SchemaError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import Privacy
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.schema import Schema
from tabsynth.synthesizers.canary_exposure import likelihood_ratio_pipeline, worst_case_tables
from tabsynth.synthesizers.marginal.count_source import NoisyCounts

from .faults import no_sigma

COLUMNS = {
    "k": {"kind": "categorical", "values": ["a", "b", "c"]},
    "flag": {"kind": "boolean"},
    "age": {"kind": "numeric", "low": 0, "high": 100, "decimals": 0},
}


@pytest.fixture
def schema(tmp_path: Path) -> str:
    Schema.from_dict({"columns": COLUMNS}).to_json(tmp_path / "schema.json")
    return str(tmp_path / "schema.json")


@pytest.mark.slow
def test_a_claim_that_is_kept(schema: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = str(tmp_path / "canaries.json")
    assert main(["canaries", "--schema", schema, "--epsilon", "8", "--runs", "40", "-o", report]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data == json.loads(Path(report).read_text("utf-8"))
    assert data["verdict"] in ("CONSISTENT, powered", "INCONCLUSIVE")
    assert data["claim"]["epsilon"] == 8.0
    assert 0 < data["mu"]["low"] < data["mu"]["estimate"]
    assert data["mu"]["claim"] == pytest.approx(1.53, abs=0.01)


def test_a_claim_that_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    no_sigma(monkeypatch)
    path = tmp_path / "few.json"
    Schema.from_dict({"columns": {name: COLUMNS[name] for name in ("k", "flag")}}).to_json(path)
    assert main(["canaries", "--schema", str(path), "--epsilon", "8", "--runs", "80"]) == 3
    said = capsys.readouterr()
    assert json.loads(said.out)["verdict"] == "VIOLATION"
    assert "not met: The claim does not hold" in said.err


@pytest.mark.slow
def test_a_person_of_several_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = {"who": {"kind": "identifier", "role": "person"}, "k": COLUMNS["k"], "flag": COLUMNS["flag"]}
    path = tmp_path / "persons.json"
    Schema.from_dict({"columns": columns}).to_json(path)
    asked = ["canaries", "--schema", str(path), "--epsilon", "8", "--runs", "128"]
    assert main(asked) == 2
    assert "identifies persons" in capsys.readouterr().err
    asked += ["--unit", "who", "--rows-per-person", "4"]
    assert main(asked) == 0
    data = json.loads(capsys.readouterr().out)
    assert 1 < data["detectable"] < 5
    assert f"from {data['detectable']:g} times the claim on would have been detected" in data["text"]
    monkeypatch.setattr(NoisyCounts, "__init__", one_row_a_person)
    assert main(asked) == 3


@pytest.mark.slow
def test_a_fit_of_many_columns_is_scored_with_what_it_chose() -> None:
    schema = Schema.from_dict({"columns": {f"c{i}": {"kind": "boolean"} for i in range(31)}})
    known = worst_case_tables(schema)
    fit = likelihood_ratio_pipeline(schema, Privacy(1e4, 1e-6, insecure_seed=1), known)
    without, inside = (fit(frame, 0) for frame in (known[0], pd.concat(known, ignore_index=True)))
    assert without < 0 < inside


def one_row_a_person(self: NoisyCounts, rho: float, ledger: PrivacyLedger, noise: Noise, rows: int = 1) -> None:
    """A fault: persons are charged as one row."""
    for name, value in (("rho", rho), ("ledger", ledger), ("noise", noise), ("max_rows_per_unit", 1)):
        object.__setattr__(self, name, value)


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (["--epsilon", "1", "-o", "report.html"], "must end in .json"),
        (["--epsilon", "0"], "epsilon must be"),
        (["--epsilon", "1", "--runs", "3"], "runs must be"),
        (["--epsilon", "1", "--model", "nothing"], "no synthesizer 'nothing'"),
        (["--epsilon", "1", "--model", "ctgan", "--runs", "20"], "CTGANSynthesizer"),
    ],
)
def test_bad_usage(schema: str, extra: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["canaries", "--schema", schema, *extra]) == 2
    assert says in capsys.readouterr().err


def test_the_crafted_table_is_made_of_public_facts() -> None:
    table, canary = worst_case_tables(Schema.from_dict({"columns": COLUMNS}), alone=True)
    assert canary.iloc[0].to_dict() == {"k": "c", "flag": True, "age": 100.0}
    for name in COLUMNS:
        assert not table[name].isin(canary[name]).any()
    for column, message in (({"kind": "categorical"}, "declare its values"), ({"kind": "numeric"}, "low and high")):
        with pytest.raises(SchemaError, match=message):
            worst_case_tables(Schema.from_dict({"columns": {"x": column}}))
    dates = {"d": {"kind": "datetime", "low": "2020-01-01", "high": "2021-01-01"}, "t": {"kind": "text"}}
    assert worst_case_tables(Schema.from_dict({"columns": dates}))[1]["d"][0] == pd.Timestamp("2021-01-01")
