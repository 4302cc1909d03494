"""Relations along histories and between tables hold in every synthetic row."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import ConditionError
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def bank() -> tuple[Tables, DatabaseSchema]:
    """Accounts that hold the number of their transactions and the last balance; the region is copied to each."""
    rng, n = np.random.default_rng(0), 60
    account = pd.DataFrame({"account": np.arange(n), "region": rng.choice(["east", "west"], n)})
    owner = np.repeat(np.arange(n), rng.integers(1, 9, n))
    move = pd.DataFrame({"account": owner, "day": rng.integers(0, 40, len(owner))})
    move["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(move.day, unit="D")
    move = move.sort_values(["account", "day"], kind="stable", ignore_index=True)
    first = ~move.account.duplicated()
    move["type"] = np.where(first | (rng.random(len(owner)) < 0.4), "credit", "debit")
    move["amount"] = np.where(first, 2000.0, rng.uniform(5, 200, len(owner)).round(2))
    signed = move.amount * np.where(move.type == "credit", 1, -1)
    move["balance"] = signed.groupby(move.account).cumsum().round(2)
    move["number"] = move.groupby("account").cumcount() + 1
    move["region"] = account.region[owner].to_numpy()
    held = move.groupby("account").balance
    account["moves"], account["balance"] = held.size().to_numpy(), held.last().to_numpy()
    tables = {"accounts": account, "moves": move}
    link = (ForeignKey("moves", "account", "accounts"),)
    schemas = {name: Schema.infer(frame) for name, frame in tables.items()}
    return tables, DatabaseSchema(schemas, {"accounts": "account"}, link, {"moves": "day"})


@pytest.fixture(scope="module")
def model(bank: tuple[Tables, DatabaseSchema]) -> RelationalSynthesizer:
    return RelationalSynthesizer(epochs=2).fit(bank[0], schema=bank[1], seed=0)


def assert_kept(tables: Tables) -> None:
    move, account = tables["moves"], tables["accounts"].set_index("account")
    signed = move.amount * np.where(move.type == "credit", 1, -1)
    assert (signed.groupby(move.account).cumsum().round(2) == move.balance).all()
    assert move.balance.min() >= 0
    assert (move.groupby("account").cumcount() + 1 == move.number).all()
    assert (account.region[move.account].to_numpy() == move.region).all()
    held = move.groupby("account").balance
    assert (held.size().reindex(account.index, fill_value=0) == account.moves).all()
    assert (held.last().reindex(account.index) == account.balance)[account.moves > 0].all()
    assert (move.groupby("account").day.diff().dropna() >= pd.Timedelta(0)).all()


def test_relations_are_found_and_kept(model: RelationalSynthesizer, tmp_path: Path) -> None:
    assert set(model.card()["linked_relations"]) == {
        "moves.balance = previous balance + {credit: 1, debit: -1}[type] * amount",
        "moves.number = previous number + 1",
        "moves.region = accounts.region",
        "accounts.moves = count(moves)",
        "accounts.balance = last(moves.balance)",
    }
    tables = model.sample(200, seed=1)
    assert_kept(tables)
    model.save(tmp_path / "bank.model")
    again = RelationalSynthesizer.load(tmp_path / "bank.model").sample(200, seed=1)
    for name, frame in tables.items():
        pd.testing.assert_frame_equal(again[name], frame)


@pytest.mark.parametrize(
    "given",
    [
        {"accounts": {"region": "west"}},
        {"accounts": {"moves": 3}},
        {"moves": {"type": "credit"}},
        {"moves": {"type": "debit"}},  # nothing can be taken from accounts that start empty
        {"accounts": {"region": "east"}, "moves": {"type": ["credit", "debit"]}},
    ],
)
def test_relations_are_kept_under_conditions(model: RelationalSynthesizer, given: dict[str, dict[str, object]]) -> None:
    tables = model.sample(100, given=given, seed=2)
    assert_kept(tables)
    for table, own in given.items():
        for column, value in own.items():
            assert tables[table][column].isin(value if isinstance(value, list) else [value]).all()


def test_conditions_on_balances_are_refused(model: RelationalSynthesizer) -> None:
    with pytest.raises(ConditionError, match=r"moves\.balance, which is computed"):
        model.sample(given={"moves": {"balance": 100.0}})
