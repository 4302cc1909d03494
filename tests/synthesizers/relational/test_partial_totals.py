"""Totals that are the sum of child rows in many rows keep this in the sample."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.schema.constraints import RefusedRule
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer
from tabsynth.synthesizers.relational.transforms.partial_totals import add_partial_totals, join_partial_totals

LINK = ForeignKey("lines", "order", "orders")


def shop(orders: int = 600, share: float = 0.6, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Orders whose total is the sum of their lines in a share of the rows, and has a discount in the others."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(orders), rng.integers(0, 5, orders))
    lines = pd.DataFrame({"order": owner, "amount": rng.gamma(2, 40, len(owner)).round(2)})
    sums = np.bincount(owner, weights=lines["amount"], minlength=orders)
    fee = rng.choice([0.0, 4.9, 9.9], orders)
    factor = np.where(rng.random(orders) < share, 1.0, rng.uniform(0.3, 0.9, orders))
    total = (sums * factor + fee).round(2)
    paid = (total * rng.choice([0.0, 0.5, 1.0], orders)).round(2)
    table = pd.DataFrame({"id": np.arange(orders), "fee": fee, "total": total, "paid": np.minimum(paid, total)})
    return {"orders": table, "lines": lines}


def schema_of(tables: dict[str, pd.DataFrame]) -> DatabaseSchema:
    schemas = {name: Schema.infer(frame) for name, frame in tables.items()}
    return DatabaseSchema(schemas, {"orders": "id"}, (LINK,))


def is_sum(tables: dict[str, pd.DataFrame]) -> pd.Series:
    """Return whether the total of each order with lines is the sum of its lines and the fee."""
    orders = tables["orders"].set_index("id")
    sums = tables["lines"].groupby("order")["amount"].sum()
    orders = orders.loc[sums.index]
    return (orders["total"] - orders["fee"] - sums).abs() <= 0.02 * orders["total"]


@pytest.fixture(scope="module")
def fitted() -> RelationalSynthesizer:
    tables = shop()
    return RelationalSynthesizer(epochs=8).fit(tables, schema=schema_of(tables), seed=0, progress=False)


def test_the_share_of_totals_that_are_sums_is_kept(fitted: RelationalSynthesizer) -> None:
    drawn = fitted.sample(seed=1, progress=False)
    assert abs(is_sum(drawn).mean() - is_sum(shop()).mean()) < 0.12
    assert (drawn["orders"]["paid"] <= drawn["orders"]["total"]).all()
    assert list(drawn["orders"]) == ["id", "fee", "total", "paid"]
    assert list(drawn["lines"]) == ["order", "amount"]
    assert any("close to the sum of lines.amount + orders.fee" in text for text in fitted.card()["linked_relations"])


def test_a_saved_model_samples_the_same(fitted: RelationalSynthesizer, tmp_path: Path) -> None:
    fitted.save(tmp_path / "m.synth")
    loaded = RelationalSynthesizer.load(tmp_path / "m.synth")
    for name, frame in fitted.sample(seed=2, progress=False).items():
        pd.testing.assert_frame_equal(frame, loaded.sample(seed=2, progress=False)[name])


def test_a_condition_on_a_total_holds(fitted: RelationalSynthesizer) -> None:
    drawn = fitted.sample(200, given={"orders": {"total": (100, 200)}}, seed=3, progress=False)
    assert drawn["orders"]["total"].between(100, 200).all()


@pytest.mark.parametrize("seed", range(20))
def test_a_correlated_total_is_no_partial_total(seed: int) -> None:
    tables = shop(seed=seed)
    rng = np.random.default_rng(seed)
    sums = tables["lines"].groupby("order")["amount"].sum().reindex(tables["orders"]["id"]).fillna(0).to_numpy()
    total = (sums * rng.normal(1, 0.1, len(sums))).round(2)
    tables["orders"] = tables["orders"].assign(total=total, paid=(total / 2).round(2))
    *_, found = add_partial_totals(tables, schema_of(tables), set(), min_group=5)
    assert not found


def test_differences_are_means_of_several_orders() -> None:
    tables = shop()
    *_, found = add_partial_totals(tables, schema_of(tables), set(), min_group=5)
    assert [(one.column, one.source, one.term, one.parts) for one in found] == [("total", "amount", "fee", ("paid",))]
    assert len(found[0].residuals) <= is_sum(tables).sum() // 5
    *_, taken = add_partial_totals(tables, schema_of(tables), {("lines", "amount")}, min_group=5)
    assert not taken


def test_a_partial_total_can_be_refused() -> None:
    tables = shop()
    schema = schema_of(tables)
    *_, found = add_partial_totals(tables, schema, set(), min_group=5)
    orders = replace(schema.tables["orders"], constraints=(RefusedRule(rule=str(found[0])),))
    *_, other = add_partial_totals(
        tables, replace(schema, tables={**schema.tables, "orders": orders}), set(), min_group=5
    )
    assert str(found[0]) not in map(str, other)


def test_a_total_is_that_of_one_table_of_children() -> None:
    tables = shop()
    tables["copies"] = tables["lines"].copy()
    schemas = {name: Schema.infer(frame) for name, frame in tables.items()}
    schema = DatabaseSchema(schemas, {"orders": "id"}, (LINK, ForeignKey("copies", "order", "orders")))
    learned, inner, found = add_partial_totals(tables, schema, set(), min_group=5)
    assert len({one.column for one in found}) == len(found)
    drawn = join_partial_totals(learned, inner, found, set(), np.random.default_rng(0))
    assert list(drawn["orders"]) == list(tables["orders"])
