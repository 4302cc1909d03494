"""Plans of histories: what is written for each parent is read back."""

import numpy as np
import pandas as pd

from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.plan import read_plan
from tabsynth.synthesizers.relational.tables import TrainingTable, prepare_tables, sort_tables


def prepared(months: list[int], each: list[int]) -> dict[str, TrainingTable]:
    """Accounts that are open for some months, with so many payments, on days of their own."""
    rng = np.random.default_rng(0)
    opened = pd.Timestamp("2020-01-01") + pd.to_timedelta(60 * np.arange(len(months)), unit="D")
    days = [np.sort(rng.choice(30 * month, count, replace=False)) for month, count in zip(months, each, strict=True)]
    owner = np.repeat(np.arange(len(months)), each)
    moves = pd.DataFrame({"account": owner, "use": rng.choice(["card", "cash"], len(owner))})
    moves["day"] = opened[owner] + pd.to_timedelta(np.concatenate(days), unit="D")
    tables = {"accounts": pd.DataFrame({"account": np.arange(len(months)), "opened": opened}), "moves": moves}
    schemas = {name: Schema.infer(frame) for name, frame in tables.items()}
    link = ForeignKey("moves", "account", "accounts")
    schema = DatabaseSchema(schemas, {"accounts": "account"}, (link,), {"moves": "day"})
    return prepare_tables(sort_tables(tables, schema), schema, {}, min_group=5)


def test_the_plan_has_the_mean_gap_where_rates_differ_less_than_spans() -> None:
    months = [1 + number % 12 for number in range(48)]
    parts = prepared(months, [1 if month == 1 else 4 * month for month in months])
    moves, parent = parts["moves"], parts["accounts"].learned
    assert moves.timeline is not None
    assert moves.timeline.paced
    bounds = moves.timeline.bounds(parent, parts["accounts"].schema)
    held = pd.Series(moves.times).groupby(moves.rows)
    for found, wanted in zip(
        read_plan(parent, "moves", moves.timeline, bounds), (held.size(), held.min(), held.max()), strict=True
    ):
        assert found.tolist() == wanted.tolist()
    assert parent["moves.last"].isna().tolist() == [month == 1 for month in months]  # one row has no gap


def test_the_plan_has_the_span_where_it_differs_less_than_rates() -> None:
    timeline = prepared([6] * 48, [4 + 3 * (number % 12) for number in range(48)])["moves"].timeline
    assert timeline is not None
    assert timeline.spanned
    assert not timeline.paced
