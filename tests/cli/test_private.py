"""Private fits and measurements from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.cli import main
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.registry import load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"mrn": np.arange(400) // 2, "sex": rng.choice(["f", "m"], 400), "age": rng.integers(18, 90, 400)}
    )
    frame.loc[7, "age"] = 150  # beyond the declared bounds
    frame.to_csv(tmp_path / "patients.csv", index=False)
    schema = {
        "columns": {
            "mrn": {"kind": "identifier"},
            "sex": {"kind": "categorical", "values": ["f", "m"]},
            "age": {"kind": "numeric", "low": 18, "high": 100, "decimals": 0},
        }
    }
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    return tmp_path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_a_private_fit_charges_the_ledger_and_is_refused_beyond_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = ["fit", folder / "patients.csv", "--schema", folder / "schema.json", "--epsilon", 1, "--delta", 1e-6]
    fit += ["--unit", "mrn", "--rows-per-person", 2, "--ledger", folder / "patients.ledger"]
    assert run(*fit, "--output", folder / "m.tabsynth") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["kind"] == "marginal"
    # A fit of noisy columns alone spends less than it may.
    assert "-differential privacy of a person (column 'mrn')" in said["privacy"]
    model = load(folder / "m.tabsynth")
    assert model.sample(200, seed=0)["age"].between(18, 100).all()
    assert run("ledger", "verify", folder / "patients.ledger", "--models", folder / "m.tabsynth") == 0
    capsys.readouterr()
    assert run(*fit, "--output", folder / "again.tabsynth") == 2
    assert not (folder / "again.tabsynth").exists()


def test_measured_facts_are_charged_with_the_fit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = Schema.from_json(folder / "schema.json").replace("age", low=None, high=None)
    schema.to_json(folder / "open.json")
    ledger = folder / "patients.ledger"
    assert run("ledger", "create", ledger, "--epsilon", 1.5, "--delta", 1e-6) == 0
    assert run("ledger", "create", ledger, "--epsilon", 3) == 2  # it holds what was spent
    capsys.readouterr()
    budget = ["--ledger", ledger, "--delta", 4e-7]
    measure = ["measure", folder / "patients.csv", "--schema", folder / "open.json", "--epsilon", 0.5, *budget]
    assert run(*measure, "--output", folder / "measured.json") == 0
    assert json.loads(capsys.readouterr().out)["measured"] == ["age"]
    measured = Schema.from_json(folder / "measured.json")["age"]
    assert measured.low is not None
    assert measured.high is not None
    assert measured.high >= 64
    fit = ["fit", folder / "patients.csv", "--schema", folder / "measured.json"]
    assert run(*fit, "--epsilon", 0.8, *budget, "--output", folder / "m.tabsynth") == 0
    capsys.readouterr()
    assert run("ledger", "show", ledger) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["budget"]["epsilon"] == 1.5
    assert 0.3 < shown["budget"]["spent"] <= 1.5
    assert run(*fit, "--epsilon", 3, *budget, "--output", folder / "more.tabsynth") == 2


@pytest.mark.parametrize("options", [[], ["--separator", ","]])
def test_real_rows_need_not_satisfy_measured_facts(folder: Path, options: list[str]) -> None:
    """Rare values are pooled and bounds are clamped, so the schema of the fit does not hold in the real table."""
    frame = pd.read_csv(folder / "patients.csv").assign(unit=np.arange(400) % 3 + 1)  # a code of digits
    frame.to_csv(folder / "patients.csv", index=False)
    columns = json.loads((folder / "schema.json").read_text())["columns"]
    unit = {"kind": "categorical", "values": ["1", "2", "other"], "origin": "measured"}
    schema = Schema.from_dict({"columns": columns | {"unit": unit}})
    schema = schema.replace("sex", values=["f", "other"], origin="measured")
    schema = schema.replace("age", low=0, high=64, origin="measured")
    schema.to_json(folder / "measured.json")
    unit = frame["unit"].astype(str).replace("3", "other")
    frame.assign(sex="other", age=frame["age"].clip(0, 64), unit=unit).to_csv(folder / "synthetic.csv", index=False)
    files = [folder / "patients.csv", folder / "synthetic.csv", "--schema", folder / "measured.json"]
    assert run("evaluate", *files, "--quick", *options) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--delta", "1e-6"], "--delta is an option of a private fit"),
        (["--epsilon", "1", "--seed", "3"], "--seed is no option of a private fit"),
        (["--epsilon", "1"], "needs a declared schema"),
        (["--epsilon", "1", "--unit", "mrn"], "needs rows_per_person"),
        (["--epsilon", "-1"], "epsilon must be a finite number above 0"),
    ],
)
def test_what_a_private_fit_refuses(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert run("fit", folder / "patients.csv", *options, "--output", folder / "m.tabsynth") == 2
    assert message in capsys.readouterr().err


def test_a_private_read_has_no_options(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit = ["fit", folder / "patients.csv", "--schema", folder / "schema.json", "--epsilon", 1, "--separator", ","]
    assert run(*fit, "--output", folder / "m.tabsynth") == 2
    assert "leave out --separator" in capsys.readouterr().err
    assert not (folder / "m.tabsynth").exists()
