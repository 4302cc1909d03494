"""Orders with an exempt value, such as a total of at least the base price unless the total is 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabsynth
from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.relations.declared.suggestion import suggest_constraints
from tabsynth.relations.enforcement import Relations
from tabsynth.synthesizers.masked import MaskedSynthesizer

RULE = "base <= total unless total == 0"


def claims(n: int, seed: int) -> pd.DataFrame:
    """Claims of a base price and extras; some are cancelled."""
    rng = np.random.default_rng(seed)
    base = rng.choice([85.5, 136.8, 142.58, 146.18], n)
    total = np.round(base + np.where(rng.random(n) < 0.4, 0, rng.lognormal(3, 1.5, n)), 2)
    total = np.where(rng.random(n) < 0.02, 0, total)
    return pd.DataFrame({"kind": rng.choice(["a", "b"], n), "base": base, "total": total})


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return claims(1200, 0)


def rules_of(frame: pd.DataFrame) -> list[str]:
    table = Table.of(frame)
    return [rule.text for rule in Relations.discover(table, Codec.measure(table)).rules]


def test_the_order_holds_beside_exempt_rows(frame: pd.DataFrame, tmp_path: Path) -> None:
    model = MaskedSynthesizer(epochs=3).fit(frame, seed=0, progress=False)
    assert RULE in model.relations_.describe()
    model.save(tmp_path / "model.tabsynth")
    rows = tabsynth.load(tmp_path / "model.tabsynth").sample(2000, seed=1, progress=False)
    cancelled = rows["total"] == 0
    assert (rows["total"] >= rows["base"])[~cancelled].all()
    assert 0.005 < cancelled.mean() < 0.05


def test_it_is_proposed_as_a_constraint(frame: pd.DataFrame) -> None:
    (rule,) = [rule.to_dict() for rule in suggest_constraints(Table.of(frame)) if "base" in rule.columns]
    assert rule["when"] == "total != 0"
    assert rule["then"] == "base <= total"


def test_two_exempt_values_make_no_rule(frame: pd.DataFrame) -> None:
    total = frame["total"].copy()
    total[total.index[total > 200][:8]] = 1.0
    assert not any("unless" in rule for rule in rules_of(frame.assign(total=total)))


def test_zeros_of_independent_columns_make_no_rule() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        low, high = rng.integers(0, 40, 800), np.where(rng.random(800) < 0.7, 0, np.round(rng.lognormal(4, 1, 800)))
        assert not any("unless" in rule for rule in rules_of(pd.DataFrame({"low": low, "high": high})))
