"""Amounts of accounts: they recur exactly, stay in the bounds of their kind, and add up to the sampled balance."""

import functools

import numpy as np
import pandas as pd

from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

ACCOUNTS, MONTHS = 150, 5


@functools.cache
def bank() -> tuple[dict[str, pd.DataFrame], DatabaseSchema]:
    """Each month a salary, a fee of 2.50 or 4.00, two standing orders, and cash in tens; two accounts are overdrawn."""
    rng = np.random.default_rng(0)
    rows: list[tuple[int, int, str, str, str, float]] = []
    for account in range(ACCOUNTS):
        salary, fee = round(rng.lognormal(7, 0.4), 2), float(rng.choice([2.5, 4.0]))
        rent, tax = round(salary * rng.uniform(0.2, 0.3), 2), round(salary * rng.uniform(0.05, 0.1), 2)
        balance, opened = 0.0, int(rng.integers(0, 90))
        for month in range(MONTHS):
            if rng.random() < 0.05:
                salary = round(salary * rng.uniform(1.0, 1.2), 2)
            cash = 0.9 * (balance + salary - rent - tax - fee) * rng.uniform(0.5, 1)
            cash = max(round(cash / 10) * 10.0, 10.0) + (2 * salary // 10 * 10 if account < 2 and month == 3 else 0)
            own = [("in", "salary", "pay", salary), ("out", "order", "rent", rent), ("out", "order", "tax", tax)]
            own += [("out", "cash", "none", cash), ("out", "fee", "none", fee)]
            own = [one for one in own if one[1] == "salary" or rng.random() < 0.95]
            for place, (kind, how, why, amount) in enumerate(own):
                rows.append(
                    (account, opened + 30 * month + 5 * place + int(rng.integers(0, 4)), kind, how, why, amount)
                )
                balance += amount if kind == "in" else -amount
    moves = pd.DataFrame(rows, columns=["account", "day", "kind", "how", "why", "amount"])
    moves["balance"] = (moves.amount * np.where(moves.kind == "in", 1, -1)).groupby(moves.account).cumsum().round(2)
    moves["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(moves.day, unit="D")
    moves.insert(0, "move", np.arange(len(moves)))
    tables = {"accounts": pd.DataFrame({"account": np.arange(ACCOUNTS)}), "moves": moves}
    schemas = {name: Schema.infer(frame) for name, frame in tables.items()}
    links = (ForeignKey("moves", "account", "accounts"),)
    return tables, DatabaseSchema(schemas, {"accounts": "account", "moves": "move"}, links, {"moves": "day"})


@functools.cache
def fitted() -> RelationalSynthesizer:
    tables, schema = bank()
    return RelationalSynthesizer(epochs=15).fit(tables, schema=schema, seed=0)


@functools.cache
def sampled() -> pd.DataFrame:
    return fitted().sample(200, seed=1)["moves"]


def test_the_class_of_a_row_has_the_columns_that_tell_standing_orders_apart() -> None:
    history = fitted()._model.histories["moves"]
    row_class = history.network.row_class
    assert row_class is not None
    assert {history.codec.slots[history.order[slot]].column for slot in row_class.slots} == {"how", "why"}


def test_amounts_recur_though_a_relation_rounds_some_of_them() -> None:
    assert "amount" in fitted()._model.histories["moves"].relations.columns
    drawn = sampled()
    before = drawn.groupby(["account", "how", "why"]).amount.shift()
    later, again = before.notna(), drawn.amount == before
    share = again[later].groupby(drawn.how[later] + " " + drawn.why[later]).mean()
    assert share["salary pay"] > 0.9
    assert share["order rent"] > 0.8
    assert share["order tax"] > 0.8
    assert share["fee none"] > 0.9


def test_amounts_are_in_the_bounds_of_their_kind_and_balances_hardly_ever_negative() -> None:
    real, drawn = bank()[0]["moves"], sampled()
    assert 0 < (real.balance < 0).mean() < 0.01
    assert (drawn.balance < 0).mean() < 0.05
    assert drawn.amount[drawn.how == "fee"].isin([2.5, 4.0]).mean() > 0.97
    change = (drawn.amount * np.where(drawn.kind == "in", 1, -1)).groupby(drawn.account).cumsum()
    assert np.allclose(change, drawn.balance, atol=0.005)
