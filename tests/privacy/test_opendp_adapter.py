"""AIM and MST of OpenDP satisfy the contracts of every private fit."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.common.arrays import Tokens
from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import Privacy
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal import fit, opendp_adapter, synthesizer
from tabsynth.synthesizers.marginal.graphical_model import GraphicalModel
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

from .conftest import Guarded
from .shadow import blind, fitted, members
from .tables import CHANGES, SCHEMA, table

METHODS = ["aim", "mst"]

pytestmark = pytest.mark.skipif(importlib.util.find_spec("mbi") is None, reason="the extra opendp is not installed")


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenDP's noise cannot be fixed: the tokens are read as always, and what is made of them is the same for all."""

    def measured(method: str, sizes: Any, tokens: Tokens, rho: float, max_rows_per_unit: int) -> GraphicalModel:
        assert tokens.shape[1] == len(sizes)
        assert all(tokens[:, i].min() >= 0 and tokens[:, i].max() < size for i, size in enumerate(sizes))
        return GraphicalModel(
            tuple(sizes), tuple((i,) for i in range(len(sizes))), tuple(np.ones(size) for size in sizes)
        )

    blind(monkeypatch)
    monkeypatch.setattr(opendp_adapter, "run_opendp", measured)
    for module in (synthesizer, fit):
        monkeypatch.setattr(module, "check_source", lambda source: source)


@pytest.mark.parametrize("method", METHODS)
def test_neighbours_leave_the_same_file(method: str, silent: None, tmp_path: Path) -> None:
    model, said = fitted(lambda: MarginalSynthesizer(method=method), table())
    base = members(model, tmp_path)
    differing = []
    for name, change in list(CHANGES.items())[METHODS.index(method) :: 2]:  # they read alike: half of the pairs each
        other, also_said = fitted(lambda: MarginalSynthesizer(method=method), change(table()))
        if also_said != said or members(other, tmp_path) != base:
            differing.append(name)
    assert differing == []


def test_the_test_finds_a_leak(silent: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = opendp_adapter.run_opendp

    def run_with_row_count(
        method: str, sizes: Any, tokens: Tokens, rho: float, max_rows_per_unit: int
    ) -> GraphicalModel:
        found = own(method, sizes, tokens, rho, max_rows_per_unit)
        return GraphicalModel(found.sizes, found.columns, (found.tables[0] * len(tokens), *found.tables[1:]))

    monkeypatch.setattr(opendp_adapter, "run_opendp", run_with_row_count)
    one, other = (fitted(quick, frame)[0] for frame in (table(), CHANGES["duplicate row"](table())))
    assert members(one, tmp_path) != members(other, tmp_path)


def quick() -> MarginalSynthesizer:
    return MarginalSynthesizer(method="mst")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_read_that_was_not_charged_and_the_dependence_is_found(method: str, guarded: pd.DataFrame) -> None:
    age = {"kind": "numeric", "low": 0, "high": 99, "decimals": 0}
    sex = {"kind": "categorical", "values": ["f", "m"]}
    schema = Schema.from_dict({"columns": {"age": age, "sex": sex, "ill": {"kind": "boolean", "role": "target"}}})
    rng = np.random.default_rng(0)
    ages = rng.integers(0, 100, 4000)
    ill = rng.random(4000) < np.where(ages > 60, 0.8, 0.1)
    frame = Guarded(pd.DataFrame({"age": ages, "sex": rng.choice(["f", "m"], 4000), "ill": ill}))
    model = MarginalSynthesizer(method=method).fit(frame, schema=schema, privacy=Privacy(1.0, 1e-6), progress=False)
    assert 0.99 < model.ledger_.epsilon() <= 1.0
    assert {entry.rng for entry in model.ledger_.entries[:-1]} == {"os.urandom"}
    assert model.ledger_.entries[-1].rng == "OpenDP, a cryptographic source"
    assert all(len(entry.output or "") == 64 for entry in model.ledger_.entries)
    assert any("OpenDP" in entry.purpose for entry in model.ledger_.entries)
    drawn = model.sample(4000, seed=0)
    rates = drawn.groupby(drawn["age"] > 60)["ill"].mean()
    assert rates[True] > 0.6
    assert rates[False] < 0.3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mst_of_nine_columns_stays_within_its_budget() -> None:
    """OpenDP rounds the sum of eight selections up, and refuses what exceeds their budget by one unit of rounding."""
    tokens = np.random.default_rng(0).integers(0, 2, (200, 9)).astype(np.int32)
    found = opendp_adapter.run_opendp("mst", [2] * 9, tokens, 0.0184442400932312, 1)
    assert found.sizes == (2,) * 9


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"seed": 1}, "takes no seed"),
        ({"privacy": Privacy(1.0, 1e-6, insecure_seed=1)}, "insecure_seed"),
        ({"schema": None}, "needs a declared schema"),
        ({"schema": SCHEMA.replace("age", high=None)}, "column 'age' has no high"),
        ({"schema": SCHEMA.replace("age", origin="inferred")}, "column 'age' was inferred"),
        ({"privacy": Privacy(9.5, 1e-6)}, "Nothing was read or charged"),
    ],
)
def test_what_cannot_be_private_is_refused_unread_and_costs_nothing(
    method: str, facts: dict[str, Any], says: str, guarded: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "set.ledger"
    PrivacyLedger(9.0, 1e-6, path=path)
    before = path.read_bytes()
    asked = facts.get("privacy", Privacy(1.0, 1e-6))
    private = Privacy(asked.epsilon, asked.delta, ledger=path, insecure_seed=asked.insecure_seed)
    with pytest.raises(PrivacyError, match=says):
        MarginalSynthesizer(method=method).fit(
            guarded, progress=False, **{"schema": SCHEMA} | facts | {"privacy": private}
        )
    assert path.read_bytes() == before


@pytest.mark.parametrize("method", METHODS)
def test_one_column(method: str) -> None:
    tokens = np.repeat([0, 2], [900, 100])[:, None].astype(np.int32)
    found = opendp_adapter.run_opendp(method, [3], tokens, 1.0, 1)
    assert found.columns == ((0,),)
    shares = found.tables[0] / found.tables[0].sum()
    assert np.abs(shares - [0.9, 0.0, 0.1]).max() < 0.05
