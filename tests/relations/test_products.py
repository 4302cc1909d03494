"""Products of columns."""

from __future__ import annotations

import warnings

import numpy as np

from tabsynth.relations.arithmetic_discovery import discover_relations
from tabsynth.relations.product_discovery import discover_products


def test_a_column_of_zeros_and_gaps_warns_of_nothing() -> None:
    rng = np.random.default_rng(0)
    price, count = rng.lognormal(size=400), rng.integers(1, 9, 400).astype(float)
    empty = np.where(np.arange(400) % 2, 0.0, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = discover_products({"empty": empty, "price": price, "count": count, "total": price * count}, [])
    assert [relation.column for relation in found] != []
    assert not any("empty" in (relation.column, *dict(relation.terms)) for relation in found)


def test_the_product_of_a_price_and_a_number_is_computed_not_the_price() -> None:
    rng = np.random.default_rng(0)
    price = np.round(rng.lognormal(4, 1, 400), 3)
    count = rng.integers(1, 40, 400) * 1000.0
    value = np.round(price * count / 100, 2)
    found = discover_products({"price": price, "value": value, "count": count}, [])
    assert [str(relation) for relation in found] == ["value = 0.01 * price * count"]


def test_an_invoice_is_computed_from_prices_to_what_is_paid() -> None:
    rng = np.random.default_rng(0)
    price, count = np.round(rng.lognormal(4, 1, 600)) - 0.01, rng.integers(1, 6, 600).astype(float)
    percent, rate = rng.choice([0.0, 5.0, 10.0, 20.0], 600), rng.choice([0.077, 0.025], 600)
    amount = np.round(price * count, 2)
    discount = np.round(amount * percent / 100, 2)
    net = np.round(amount - discount, 2)
    tax = np.round(net * rate, 2)
    columns = {"price": price, "count": count, "amount": amount, "percent": percent, "discount": discount}
    columns |= {"net": net, "rate": rate, "tax": tax, "total": np.round(net + tax, 2)}
    assert list(map(str, discover_relations(columns))) == [
        "amount = price * count",
        "discount = 0.01 * amount * percent",
        "net = amount + -1 * discount",
        "tax = net * rate",
        "total = net + tax",
    ]
