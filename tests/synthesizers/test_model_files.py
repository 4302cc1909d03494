"""Model files of earlier versions load and sample as before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabsynth as ts

FILES = Path(__file__).resolve().parents[1] / "fixtures" / "models"

KINDS = {
    "masked": "MaskedSynthesizer",
    "vae": "VAESynthesizer",
    "gan": "GANSynthesizer",
    "marginal": "MarginalSynthesizer",
    "ctgan": "CTGANSynthesizer",
    "tvae": "TVAESynthesizer",
    "gaussian_copula": "GaussianCopulaSynthesizer",
    "copula_gan": "CopulaGANSynthesizer",
}
OURS = ["masked", "vae", "gan", "marginal"]
COLUMNS = ["mrn", "group", "region", "age", "net", "tax", "total", "start", "stop", "smoker"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_version_0_1_loads_and_samples(kind: str) -> None:
    model = ts.load(FILES / f"{kind}.tabsynth")
    assert type(model).__name__ == KINDS[kind]
    assert (model.rows_, model.seed_) == (80, 1)
    rows = model.sample(60, seed=2, progress=False)
    assert list(rows) == COLUMNS
    assert len(rows) == 60
    assert rows["mrn"].str.fullmatch(r"P-\d{5}").all()
    assert rows["mrn"].is_unique
    assert set(rows["group"].dropna()) <= {"north", "south", "west"}
    assert rows["age"].between(18, 90).all()
    assert rows["start"].dt.year.between(2021, 2023).all()
    pd.testing.assert_frame_equal(rows, model.sample(60, seed=2, progress=False))


@pytest.mark.parametrize("kind", OURS)
def test_its_relations_between_columns_hold(kind: str) -> None:
    """The file holds them under the keys ``laws``, ``ties`` and ``functions``."""
    rows = ts.load(FILES / f"{kind}.tabsynth").sample(200, seed=3, progress=False)
    np.testing.assert_allclose(rows["net"] + rows["tax"], rows["total"], atol=0.006)
    if kind != "marginal":  # whose fit finds no functional dependencies
        assert (rows["region"] == rows["group"].map({"north": "N", "south": "S", "west": "W"})).mean() > 0.9
    minutes = (rows["stop"] - rows["start"]) / pd.Timedelta(minutes=1)
    assert minutes.isin([15, 30, 60]).mean() > 0.3


def test_a_private_file_keeps_its_ledger() -> None:
    model = ts.load(FILES / "marginal_private.tabsynth")
    assert 0 < float(model.ledger_.epsilon()) <= 2.0
    rows = model.sample(100, seed=1, progress=False)
    assert list(rows) == ["group", "age", "net", "smoker"]
    assert rows["age"].between(0, 120).all()
