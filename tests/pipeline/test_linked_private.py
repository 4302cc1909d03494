"""Private pipelines of linked tables: the budget is charged once, and the release states it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.data.database.folders import read_folder, write_folder
from tabsynth.errors import InputError, PrivacyError
from tabsynth.pipeline import run
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.release import create_keys, verify
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

KEY = {"kind": "identifier"}
DAY = {"kind": "datetime", "low": "2015-01-01", "high": "2024-12-31", "resolution": "D"}
SCHEMA: dict[str, Any] = {
    "tables": {
        "patients": {"columns": {"patient_id": KEY, "sex": {"kind": "categorical", "values": ["f", "m"]}}},
        "visits": {
            "columns": {
                "visit_id": KEY,
                "patient_id": KEY,
                "day": DAY,
                "ward": {"kind": "categorical", "values": ["eye", "heart"]},
            }
        },
    },
    "primary_keys": {"patients": "patient_id", "visits": "visit_id"},
    "foreign_keys": [{"table": "visits", "column": "patient_id", "parent": "patients"}],
    "order": {"visits": "day"},
}


def clinic(count: int) -> dict[str, pd.DataFrame]:
    """A clinic in which one ward is misspelled."""
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"patient_id": range(1, count + 1), "sex": rng.choice(["f", "m"], count)})
    owner = np.repeat(np.arange(count), 1 + rng.poisson(1, count))
    visits = pd.DataFrame({"visit_id": range(1, len(owner) + 1), "patient_id": people.patient_id.to_numpy()[owner]})
    visits["day"] = pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 3000, len(owner)), unit="D")
    visits["ward"] = rng.choice(["eye", "heart"], len(owner))
    return {"patients": people, "visits": visits}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys")
    create_keys(path / "key.pem", path / "key.pub")
    return path


def job(folder: Path, **more: Any) -> dict[str, Any]:
    return {"version": 1, "input": str(folder / "real"), "output": str(folder / "out"), "schema": SCHEMA, **more}


def release(keys: Path, **more: Any) -> dict[str, Any]:
    gates = {"gates": {"visits.patient_id.dangling_keys": {"max": 0}}}
    return {"name": "clinic", "key": str(keys / "key.pem"), "output": "clinic.zip", "gates": gates, **more}


def test_a_private_pipeline_of_linked_tables_charges_once_and_is_released(tmp_path: Path, keys: Path) -> None:
    tables = clinic(80)
    tables["visits"].loc[3, "ward"] = "haert"  # not in the schema: a private fit clamps it
    write_folder(tables, tmp_path / "real", format="csv")
    budget = {"epsilon": 2.0, "delta": 1e-6, "unit": "patient_id", "rows_per_person": 4}
    ledger = tmp_path / "clinic.ledger"
    model = {"max_children": {"visits": 5}, "privacy": {**budget, "ledger": str(ledger)}}
    described = job(tmp_path, holdout=0.3, model=model, audit=True, sample={"rows": 40})
    done = run({**described, "release": release(keys, ledger=str(ledger))})
    assert done.unmet == ()
    assert done.release is not None
    checked = verify(done.release, keys / "key.pub")
    assert checked.ok
    assert "epsilon" in str(checked)
    charged = PrivacyLedger.open(ledger)
    assert 0 < charged.epsilon() <= 2.0
    assert len(RelationalSynthesizer.load(done.model).sample(seed=0)["patients"]) > 0
    made = read_folder(tmp_path / "out/synthetic")[0]
    assert set(made["visits"].ward) <= {"eye", "heart"}
    assert len(made["patients"]) == 40
    again = run({**described, "release": release(keys, ledger=str(ledger))})
    assert set(again.steps.values()) == {"skipped"}
    assert PrivacyLedger.open(ledger).epsilon() == charged.epsilon()
    # Another fit would exceed the budget of the data set, and nothing is replaced.
    kept = done.release.read_bytes()
    with pytest.raises(PrivacyError, match="budget"):
        run({**described, "model": {**model, "max_children": {"visits": 6}}, "release": release(keys)})
    assert done.release.read_bytes() == kept
    assert PrivacyLedger.open(ledger).epsilon() == charged.epsilon()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"audit": True}, "audit needs the step sample, and a holdout"),
        ({"release": {"name": "clinic", "key": "key.pem"}}, "release needs the steps evaluate and audit"),
        ({"model": {"privacy": {"epsilon": 1.0}}, "schema": None}, "needs a declared schema"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_written(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    write_folder(clinic(40), tmp_path / "real", format="csv")
    with pytest.raises(InputError, match=message):
        run(job(tmp_path, **change))
    assert [path.name for path in tmp_path.iterdir()] == ["real"]
