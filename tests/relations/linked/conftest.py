"""Made databases whose tables obey relations along histories and between parents and children."""

import numpy as np
import pandas as pd
import pytest

from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema

Database = tuple[dict[str, pd.DataFrame], DatabaseSchema]


def database(
    tables: dict[str, pd.DataFrame],
    keys: dict[str, str],
    links: list[tuple[str, str, str]],
    order: dict[str, str],
    composite_keys: dict[str, tuple[str, ...]] | None = None,
) -> Database:
    """Tables and their schema."""
    schemas = {name: Schema.infer(frame) for name, frame in tables.items()}
    foreign = tuple(ForeignKey(*link) for link in links)
    return tables, DatabaseSchema(schemas, keys, foreign, order, composite_keys=composite_keys or {})


def days(count: np.ndarray | pd.Series, start: str) -> pd.Series:
    """Dates so many days after a start."""
    return pd.Timestamp(start) + pd.to_timedelta(pd.Series(count).reset_index(drop=True), unit="D")


@pytest.fixture(scope="session")
def orders() -> Database:
    """Customers, products, orders with totals and tax, and numbered items with the product's price."""
    rng, n = np.random.default_rng(0), 120
    customer = pd.DataFrame({"customer": np.arange(n), "segment": rng.choice(["home", "firm"], n)})
    customer["since"] = days(rng.integers(0, 900, n), "2019-01-01")
    product = pd.DataFrame({"product": np.arange(30) + 500, "list_price": rng.uniform(2, 200, 30).round(2)})
    owner = np.repeat(np.arange(n), 1 + rng.poisson(2, n))
    order = pd.DataFrame({"order": np.arange(len(owner)) + 10_000, "customer": owner})
    order["placed"] = customer.since[owner].to_numpy() + pd.to_timedelta(rng.integers(0, 700, len(owner)), unit="D")
    order["segment"] = customer.segment[owner].to_numpy()
    order["shipping"] = rng.choice([0.0, 4.9, 9.9], len(owner))
    of = np.repeat(np.arange(len(owner)), 1 + rng.poisson(1.5, len(owner)))
    item = pd.DataFrame({"order": order.order[of].to_numpy()})
    item["line"] = item.groupby("order").cumcount() + 1
    chosen = rng.integers(0, 30, len(of))
    item["product"], item["price"] = product["product"][chosen].to_numpy(), product.list_price[chosen].to_numpy()
    item["quantity"] = rng.integers(1, 5, len(of))
    item["amount"] = (item.price * item.quantity).round(2)
    order["net"] = item.groupby("order").amount.sum().round(2).to_numpy()
    order["tax"] = (0.2 * order.net).round(2)
    order["total"] = (order.net + order.tax + order.shipping).round(2)
    by_customer = order.groupby("customer")
    customer["orders"] = by_customer.size().to_numpy()
    customer["spent"] = by_customer.total.sum().round(2).to_numpy()
    tables = {"customers": customer, "products": product, "orders": order, "items": item}
    links = [("orders", "customer", "customers"), ("items", "order", "orders"), ("items", "product", "products")]
    keys = {"customers": "customer", "products": "product", "orders": "order"}
    return database(tables, keys, links, {"orders": "placed"}, {"items": ("order", "line")})


@pytest.fixture(scope="session")
def loans() -> Database:
    """Loans and their repayment: what remains starts from the amount and ends at 0."""
    rng, n = np.random.default_rng(0), 60
    loan = pd.DataFrame({"loan": np.arange(n), "amount": rng.integers(10, 200, n) * 100.0})
    loan["months"], loan["granted"] = rng.choice([6, 12], n), days(rng.integers(0, 1500, n), "2015-01-01")
    of = np.repeat(np.arange(n), loan.months)
    part = pd.DataFrame({"loan": of, "number": pd.Series(of).groupby(of).cumcount() + 1})
    part["due"] = loan.granted[of].to_numpy() + pd.to_timedelta(30 * part.number, unit="D")
    part["principal"] = (loan.amount / loan.months).round(2)[of].to_numpy()
    last = (part.number == loan.months[of].to_numpy()).to_numpy()
    paid = part.principal.where(~last, 0.0).groupby(of).transform("sum")
    part["principal"] = part.principal.where(~last, loan.amount[of].to_numpy() - paid).round(2)
    part["remaining"] = (loan.amount[of].to_numpy() - part.groupby(of).principal.cumsum()).round(2)
    part["opening"] = (part.remaining + part.principal).round(2)
    part["interest"] = (part.opening * rng.uniform(0.002, 0.01, n)[of]).round(2)
    part["payment"] = (part.principal + part.interest).round(2)
    loan["interest"] = part.groupby("loan").interest.sum().round(2).to_numpy()
    return database(
        {"loans": loan, "schedule": part}, {"loans": "loan"}, [("schedule", "loan", "loans")], {"schedule": "due"}
    )


@pytest.fixture(scope="session")
def hospital() -> Database:
    """Patients, stays with counters, and procedures within each stay; some patients have no stay."""
    rng, n = np.random.default_rng(0), 200
    patient = pd.DataFrame({"patient": np.arange(n), "sex": rng.choice(["f", "m"], n)})
    owner = np.repeat(np.arange(n), rng.poisson(1.5, n))
    stay = pd.DataFrame({"patient": owner, "admitted": days(rng.integers(0, 3000, len(owner)), "2012-01-01")})
    stay = stay.sort_values(["patient", "admitted"], kind="stable", ignore_index=True)
    stay.insert(0, "stay", np.arange(len(owner)) + 7000)
    length = rng.geometric(0.2, len(owner))
    stay["discharged"] = stay.admitted + pd.to_timedelta(length, unit="D")
    stay["emergency"] = rng.random(len(owner)) < 0.3
    stay["emergencies_so_far"] = stay.groupby("patient").emergency.cumsum().astype(int)
    of = np.repeat(np.arange(len(owner)), rng.poisson(2, len(owner)))
    procedure = pd.DataFrame({"stay": stay.stay[of].to_numpy(), "cost": rng.lognormal(5, 1, len(of)).round(2)})
    procedure["done"] = stay.admitted[of].to_numpy() + pd.to_timedelta(rng.integers(0, length[of] + 1), unit="D")
    stay["cost"] = procedure.groupby("stay").cost.sum().round(2).reindex(stay.stay).fillna(0.0).to_numpy()
    stay["last_done"] = procedure.groupby("stay").done.max().reindex(stay.stay).to_numpy()
    count = stay.groupby("patient").size().reindex(patient.patient)
    patient["stays"] = count.fillna(0).astype(int).to_numpy()
    tables = {"patients": patient, "stays": stay, "procedures": procedure}
    links = [("stays", "patient", "patients"), ("procedures", "stay", "stays")]
    return database(
        tables, {"patients": "patient", "stays": "stay"}, links, {"stays": "admitted", "procedures": "done"}
    )
