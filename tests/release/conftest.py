"""A synthetic table with its evidence, and keys; releases are cheap, so every test builds its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.evaluation.evaluate import evaluate
from tabsynth.evaluation.report import Report
from tabsynth.privacy.audit.audit import audit
from tabsynth.privacy.audit.report import AuditReport
from tabsynth.privacy.budget import Privacy
from tabsynth.release import Release, build, create_keys
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

ABOUT: dict[str, Any] = {
    "name": "patients",
    "title": "Patients <b>& co</b>",
    "description": "Synthetic patients.",
    "license": "CC0-1.0",
    "publisher": "Data office",
    "date": "2026-11-29",
}
WAIVED = [{"gate": "audit", "who": "A. Analyst", "why": "a small table", "until": "2030-01-01"}]

SCHEMA = Schema.from_dict(
    {
        "columns": {
            "age": {"kind": "numeric", "low": 0, "high": 120, "decimals": 0, "description": "in years"},
            "sex": {"kind": "categorical", "values": ["f", "m"]},
            "<script>alert(1)</script>": {"kind": "categorical", "values": ["=cmd()", "b", "-c"]},
            "seen": {"kind": "datetime", "low": "2024-01-01", "high": "2024-12-31", "resolution": "D"},
            "ill": {"kind": "boolean"},
        }
    }
)


def patients(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, rows)
    return pd.DataFrame(
        {
            "age": age,
            "sex": rng.choice(["f", "m"], rows),
            "<script>alert(1)</script>": rng.choice(["=cmd()", "b", "-c"], rows),
            "seen": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, rows), unit="D"),
            "ill": rng.random(rows) < age / 120,
        }
    )


@dataclass(frozen=True)
class Evidence:
    """A model, its rows, and what was measured of them."""

    model: MarginalSynthesizer
    rows: pd.DataFrame
    evaluation: Report
    audit: AuditReport
    is_private: bool

    @property
    def arguments(self) -> dict[str, Any]:
        found = {"model": self.model, "evaluation": self.evaluation, "audit": self.audit}
        # The noise of a private fit is random in each run, and may miss the default gates on so small a table.
        return {**found, "gates": {"gates": {"shape_error": {"max": 90}}}} if self.is_private else found


def evidence_of(privacy: Privacy | None) -> Evidence:
    train, holdout = patients(400, 1), patients(400, 2)
    fitted: dict[str, Any] = {"seed": 0} if privacy is None else {"privacy": privacy}
    model = MarginalSynthesizer(components=4).fit(train, schema=SCHEMA, progress=False, **fitted)
    rows = model.sample(400, seed=1)
    report = evaluate(train, rows, holdout, target="ill", schema=SCHEMA, seed=0, quick=True)
    return Evidence(model, rows, report, audit(train, rows, holdout, schema=SCHEMA, seed=0), privacy is not None)


@pytest.fixture(scope="session")
def evidence() -> Evidence:
    return evidence_of(None)


@pytest.fixture(scope="session")
def private() -> Evidence:
    return evidence_of(Privacy(epsilon=2.0, delta=1e-6))


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    create_keys(folder / "private.pem", folder / "public.pem")
    create_keys(folder / "other.pem", folder / "other.pub")
    return folder


@pytest.fixture
def released(evidence: Evidence, keys: Path) -> Callable[[Path], Release]:
    def into(path: Path) -> Release:
        key = keys / "private.pem"
        return build(path, evidence.rows, about=ABOUT, key=key, waivers=WAIVED, **evidence.arguments)

    return into
