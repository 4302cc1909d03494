"""Bounds of a column by another one, under conditions and by factors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabsynth
from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.relations.conditional.pair_bounds import PairBoundRule
from tabsynth.relations.declared.suggestion import suggest_constraints
from tabsynth.relations.enforcement import Relations
from tabsynth.schema import Schema
from tabsynth.synthesizers.masked import MaskedSynthesizer

N = 3000


def payments() -> pd.DataFrame:
    """Bills that are paid late, in time, or not yet; disputed ones are paid at any time. Some prices are missing."""
    rng = np.random.default_rng(0)
    status = rng.choice(["paid", "late", "open", "disputed"], N, p=[0.5, 0.25, 0.1, 0.15])
    due = pd.Series(pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 900, N), "D"))
    after, before = 1 + np.floor(rng.gamma(1.2, 14, N)), -np.floor(rng.exponential(9, N))
    delay = np.where((status == "late") | ((status == "disputed") & (rng.random(N) < 0.5)), after, before)
    price = np.round(rng.lognormal(6, 1, N), 2)
    purpose = rng.choice(["house", "car"], N)
    share = np.where(purpose == "house", 0.8, 1.0) * np.where(rng.random(N) < 0.2, 1, rng.beta(4, 1.5, N))
    nights = 1 + rng.poisson(2, N)
    return pd.DataFrame(
        {
            "status": status,
            "due": due,
            "paid": (due + pd.to_timedelta(delay, "D")).where(status != "open"),
            "purpose": purpose,
            "price": pd.Series(price).where(rng.random(N) < 0.95),
            "loan": np.floor(price * share * 100) / 100,
            "nights": nights,
            "hours": np.where(rng.random(N) < 0.6, np.round(24 * nights * rng.beta(1.5, 1, N), 1), 0.0),
        }
    )


def broken(rows: pd.DataFrame) -> dict[str, int]:
    violations = {
        "late": (rows["status"] == "late") & ~(rows["paid"] > rows["due"]),
        "paid": (rows["status"] == "paid") & ~(rows["paid"] <= rows["due"]),
        "house": (rows["purpose"] == "house") & (rows["loan"] > 0.8 * rows["price"] + 1e-6),
        "car": rows["loan"] > rows["price"],
        "hours": rows["hours"] > 24 * rows["nights"] + 1e-6,
    }
    return {name: int(rule.sum()) for name, rule in violations.items() if rule.any()}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return payments()


def relations_of(frame: pd.DataFrame, schema: Schema | None = None) -> Relations:
    table = Table.of(frame, schema=schema)
    return Relations.discover(table, Codec.measure(table))


def test_they_are_found_and_hold_in_shuffled_rows(frame: pd.DataFrame) -> None:
    assert broken(frame) == {}
    table = Table.of(frame)
    codec = Codec.measure(table)
    relations = Relations.discover(table, codec)
    texts = relations.describe()
    assert "paid - due >= 1 D if status == late" in texts
    assert "paid <= due if status == paid" in texts
    assert "loan <= 0.8 * price if purpose == house" in texts
    assert "hours <= 24 * nights" in texts
    rng, tokens = np.random.default_rng(1), codec.encode(frame)
    for name in codec.coders:
        tokens[:, codec.positions(name)] = tokens[rng.permutation(N)][:, codec.positions(name)]
    assert broken(relations.decode(codec, tokens, rng)) == {}


def test_a_model_keeps_them(frame: pd.DataFrame, tmp_path: Path) -> None:
    model = MaskedSynthesizer(epochs=2).fit(frame, seed=0, progress=False)
    model.save(tmp_path / "model.tabsynth")
    rows = tabsynth.load(tmp_path / "model.tabsynth").sample(3000, seed=1, progress=False)
    assert broken(rows) == {}
    delays = (rows["paid"] - rows["due"]).dt.days
    late = (delays[rows["status"] == "disputed"] > 0).mean()
    assert 0.1 < late < 0.9


def test_exceptions_and_refusals_remove_them(frame: pd.DataFrame) -> None:
    late = frame.index[frame["status"] == "late"][:3]
    excepted = frame.assign(paid=frame["paid"].where(~frame.index.isin(late), frame["due"]))
    assert not any("status == late" in text for text in relations_of(excepted).describe())
    schema = Schema.from_dict(
        {**Schema.infer(frame).to_dict(), "constraints": [{"kind": "refused", "rule": "hours <= 24 * nights"}]}
    )
    assert "hours <= 24 * nights" not in relations_of(frame, schema).describe()


def test_they_are_proposed_as_constraints(frame: pd.DataFrame) -> None:
    proposed = [rule.to_dict() for rule in suggest_constraints(Table.of(frame))]
    assert {"kind": "if_then", "when": "purpose == 'house'", "then": "loan <= 0.8 * price"} in proposed
    assert {"kind": "expression", "rule": "hours <= 24 * nights"} in proposed


def test_tails_of_distributions_are_no_bounds() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        shared, group = rng.normal(size=N), rng.choice(["a", "b", "c"], N)
        shift = pd.Series(group).map({"a": 0.0, "b": 1.0, "c": 3.0}).to_numpy()
        frame = pd.DataFrame({"group": group})
        for at in range(3):
            frame[f"x{at}"] = np.round(50 + 10 * (shared + rng.normal(size=N) + shift * at))
            frame[f"y{at}"] = np.round(np.exp(4 + 0.5 * (shared + rng.normal(size=N)) + shift * at / 3), 2)
        assert not [rule.text for rule in relations_of(frame).rules if isinstance(rule, PairBoundRule)]


def test_a_bound_holds_beside_zeros() -> None:
    rng = np.random.default_rng(0)
    age = rng.integers(0, 90, N)
    school = np.minimum(np.maximum(age - 6, 0), np.round(rng.normal(11, 3, N)).clip(0, 20))
    table = Table.of(pd.DataFrame({"age": age, "school": school}))
    codec = Codec.measure(table)
    relations = Relations.discover(table, codec)
    assert "age - school >= 6 if school != 0" in relations.describe()
    tokens = codec.encode(table.frame)
    tokens[:, codec.positions("age")] = tokens[rng.permutation(N)][:, codec.positions("age")]
    rows = relations.decode(codec, tokens, rng)
    assert (rows["school"] <= np.maximum(rows["age"] - 6, 0)).all()


def test_parts_near_the_whole_are_not_bounded_by_a_share() -> None:
    rng = np.random.default_rng(0)
    whole = np.round(rng.lognormal(5, 0.5, N), 2)
    frame = pd.DataFrame({"whole": whole, "part": np.round(whole * rng.uniform(0.3, 0.99, N), 2)})
    assert relations_of(frame).describe() == ["part <= whole", "part >= 0.3 * whole"]


@pytest.mark.parametrize(("key", "value"), [("factor", 0.0), ("factor", float("nan")), ("gap", float("inf"))])
def test_an_edited_bound_is_refused(frame: pd.DataFrame, key: str, value: object) -> None:
    config, arrays = relations_of(frame).state()
    next(rule for rule in config["rules"] if rule["kind"] == "pair_bound")[key] = value
    with pytest.raises(ValueError, match="positive factor"):
        Relations.from_state(config, arrays)
