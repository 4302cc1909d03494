"""Precision of matrix products: one setting for each device, and models that work with any of them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import tabsynth as ts
from tabsynth.errors import InputError
from tabsynth.training import precision
from tabsynth.training.networks.autoregressive import AutoregressiveModel
from tabsynth.training.precision import VARIABLE, precision_name, product_autocast, product_dtype

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parent.parent.parent
MODELS = [ts.MaskedSynthesizer, ts.VAESynthesizer, pytest.param(ts.GANSynthesizer, marks=pytest.mark.slow)]
SCHEMA = ts.Schema.from_dict(
    {
        "columns": {
            "sex": {"kind": "categorical", "values": ["f", "m"]},
            "age": {"kind": "numeric", "low": 0, "high": 99, "decimals": 0},
        }
    }
)


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    sex = rng.choice(["f", "m"], 400)
    return pd.DataFrame({"sex": sex, "age": np.where(sex == "f", rng.integers(20, 50, 400), rng.integers(50, 80, 400))})


@pytest.fixture(params=["bfloat16", "float32"])
def forced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(VARIABLE, request.param)
    return str(request.param)


def test_only_one_module_calls_autocast_or_names_a_half_type() -> None:
    bare = re.compile(r"\bautocast\b|\bbfloat16\b|\bfloat16\b|\.half\(\)")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("tabsynth", "privacy", "evaluation")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.name != "precision.py"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if bare.search(line) and not line.strip().startswith(("#", "'", '"')) and "``bfloat16``" not in line
    ]
    assert not found, "ask tabsynth.training.precision instead"


def test_products_run_in_the_forced_type(forced: str) -> None:
    with product_autocast(CPU):
        assert precision.precision_name(CPU) == str((torch.ones(4, 4) @ torch.ones(4, 4)).dtype).removeprefix("torch.")
    assert precision_name(CPU) == forced


def test_a_processor_without_bfloat16_units_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(precision, "_has_bfloat16_units", lambda device: False)
    assert product_dtype(CPU) is torch.float32
    monkeypatch.setattr(precision, "_has_bfloat16_units", lambda device: True)
    assert product_dtype(CPU) is torch.bfloat16


def test_x86_without_avx512_bf16_counts_as_without_units(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = {"architecture": "x86_64", "avx512_f": True, "avx512_bf16": False, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: plain, raising=False)
    assert not precision._has_bfloat16_units.__wrapped__("cpu")


def test_an_unknown_precision_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "float8")
    with pytest.raises(InputError, match="TABSYNTH_PRECISION must be bfloat16 or float32, not 'float8'"):
        product_dtype(CPU)


@pytest.mark.parametrize("kind", MODELS)
def test_each_network_learns_and_records_its_precision(kind: type, forced: str, tmp_path: Path) -> None:
    frame = table()
    model, again = (kind(epochs=5).fit(frame, schema=SCHEMA, seed=0) for _ in range(2))
    assert model.card()["precision"] == forced
    drawn = model.sample(400, seed=1)
    gap = drawn.groupby("sex")["age"].mean()
    assert gap["m"] - gap["f"] > 15
    pd.testing.assert_frame_equal(again.sample(400, seed=1), drawn)
    model.save(tmp_path / "m.tabsynth")
    assert ts.load(tmp_path / "m.tabsynth").card()["precision"] == forced


def test_a_private_fit_runs_in_either_precision(forced: str) -> None:
    model = ts.MaskedSynthesizer(epochs=1).fit(table(), schema=SCHEMA, privacy=ts.Privacy(3.0, 1e-5, insecure_seed=0))
    assert model.card()["precision"] == forced
    assert len(model.sample(20, seed=1)) == 20


def test_both_precisions_give_nearly_equal_conditionals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "float32")
    model = ts.MaskedSynthesizer(epochs=5).fit(table(), schema=SCHEMA, seed=0)
    rows = torch.tensor([[0, 3], [1, 5]])
    full = AutoregressiveModel(model.net_).log_prob(rows, model.order_)
    monkeypatch.setenv(VARIABLE, "bfloat16")
    assert torch.allclose(full, AutoregressiveModel(model.net_).log_prob(rows, model.order_), atol=0.1)
