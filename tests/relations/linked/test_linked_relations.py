"""Relations along histories and between tables are found with evidence, and computed in any tables of the schema."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import ConditionError
from tabsynth.relations.linked.aggregates import Aggregate
from tabsynth.relations.linked.linked_relations import LinkedRelations
from tabsynth.relations.linked.linked_tables import LinkedTables, text_labels
from tabsynth.relations.linked.running_discovery import discover_running_totals
from tabsynth.relations.linked.running_totals import RunningTotal
from tabsynth.schema.constraints import RefusedRule
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema

Database = tuple[dict[str, pd.DataFrame], DatabaseSchema]


def history(parent: pd.DataFrame, child: pd.DataFrame, order: str | None = None, *code: str) -> Database:
    """A parent table and its children, whose first columns are the key, and their schema."""
    key = str(parent.columns[0])
    tables = {"parents": parent, "children": child}
    schemas = {name: Schema.infer(frame) for name, frame in tables.items()}
    composite = {"children": (key, *code, str(order))} if code else {}
    link = (ForeignKey("children", key, "parents"),)
    times = {} if order is None else {"children": order}
    return tables, DatabaseSchema(schemas, {"parents": key}, link, times, composite_keys=composite)


def bank(shuffled: bool = False) -> Database:
    """Accounts and transactions with a balance, several on one day."""
    rng, n = np.random.default_rng(0), 40
    account = pd.DataFrame({"account": np.arange(n), "branch": rng.choice(list("abc"), n)})
    owner = np.repeat(np.arange(n), rng.integers(3, 12, n))
    move = pd.DataFrame({"account": owner, "day": rng.integers(0, 60, len(owner))})
    move["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(move.day, unit="D")
    move = move.sort_values(["account", "day"], kind="stable", ignore_index=True)
    move["type"] = rng.choice(["credit", "debit"], len(owner))
    move["amount"] = rng.lognormal(4, 1, len(owner)).round(2)
    move["balance"] = (move.amount * np.where(move.type == "credit", 1, -1)).groupby(move.account).cumsum().round(2)
    if shuffled:  # the order of the rows of one day is lost
        move = move.sample(frac=1, random_state=0, ignore_index=True)
    return history(account, move, "day")


def broken(tables: dict[str, pd.DataFrame], relations: LinkedRelations) -> dict[str, pd.DataFrame]:
    """Tables whose computed columns are shuffled."""
    rng, out = np.random.default_rng(1), dict(tables)
    for table, column in relations.computed:
        values = out[table][column]
        out[table] = out[table].assign(**{column: values.to_numpy()[rng.permutation(len(values))]})
    return out


@pytest.mark.parametrize("name", ["orders", "loans", "hospital"])
def test_computed_columns_come_back(name: str, request: pytest.FixtureRequest) -> None:
    tables, schema = request.getfixturevalue(name)
    relations, ordered = LinkedRelations.discover(tables, schema, min_group=5)
    assert relations == LinkedRelations.from_list(relations.to_list())
    again = relations.apply(broken(ordered, relations), schema)
    for table, frame in ordered.items():
        pd.testing.assert_frame_equal(again[table], frame)


def test_totals_of_orders_are_found(orders: Database) -> None:
    relations, _ = LinkedRelations.discover(*orders, min_group=5)
    assert set(relations.describe()) == {
        "items.line = previous line + 1",
        "items.price = products.list_price",
        "items: amount = price * quantity",
        "orders.segment = customers.segment",
        "orders.net = sum(items.amount)",
        "orders: tax = 0.2 * net",
        "orders: total = shipping + 1.2 * net",
        "customers.orders = count(orders)",
        "customers.spent = sum(orders.total)",
    }


def test_a_total_that_names_no_subtotal_is_found(orders: Database) -> None:
    tables, schema = orders
    without = tables["orders"].drop(columns=["net", "tax"])
    columns = {name: column for name, column in schema.tables["orders"].items() if name not in ("net", "tax")}
    own = replace(schema, tables={**schema.tables, "orders": replace(schema.tables["orders"], columns=columns)})
    found, _ = LinkedRelations.discover({**tables, "orders": without}, own, min_group=5)
    assert "orders.total = 1.2 * sum(items.amount) + shipping" in found.describe()


def test_a_schedule_starts_from_the_loan_and_ends_at_zero(loans: Database) -> None:
    tables, schema = loans
    relations, _ = LinkedRelations.discover(tables, schema, min_group=5)
    assert "schedule.remaining = previous remaining - principal, opening = previous remaining" in relations.describe()
    (total,) = [one for one in relations.totals("schedule") if one.column == "remaining"]
    assert (total.start_column, total.floor, total.end) == ("amount", 0.0, 0.0)
    rng = np.random.default_rng(0)
    moved = tables["schedule"].assign(
        principal=(tables["schedule"].principal * rng.uniform(0, 3, len(tables["schedule"]))).round(2)
    )
    out = relations.apply({**tables, "schedule": moved}, schema)["schedule"]
    paid = out.groupby("loan").principal.sum().round(2).to_numpy()
    assert (paid == tables["loans"].amount.to_numpy()).all()
    assert out.remaining.min() >= 0
    assert np.allclose(out.payment, out.principal + out.interest)
    assert np.allclose(out.opening, out.remaining + out.principal)


def test_counters_and_bounds_of_stays_are_found(hospital: Database) -> None:
    tables, schema = hospital
    relations, _ = LinkedRelations.discover(tables, schema, min_group=5)
    assert (
        "stays.emergencies_so_far = previous emergencies_so_far + {False: 0, True: 1}[emergency]"
        in relations.describe()
    )
    assert "stays.admitted <= procedures.done <= stays.discharged" in relations.describe()
    late = tables["procedures"].assign(done=tables["procedures"].done + pd.Timedelta(days=400))
    out = relations.apply({**tables, "procedures": late}, schema)
    stay = out["stays"].set_index("stay").loc[out["procedures"].stay]
    assert (
        (stay.admitted.to_numpy() <= out["procedures"].done) & (out["procedures"].done <= stay.discharged.to_numpy())
    ).all()
    latest = out["procedures"].groupby("stay").done.max().reindex(out["stays"].stay)
    assert latest.reset_index(drop=True).equals(out["stays"].last_done.reset_index(drop=True))


def test_rows_of_one_day_are_put_into_the_order_of_their_balances() -> None:
    tables, schema = bank(shuffled=True)
    relations, ordered = LinkedRelations.discover(tables, schema, min_group=5)
    assert "children.balance = previous balance + {credit: 1, debit: -1}[type] * amount" in relations.describe()
    pd.testing.assert_frame_equal(relations.apply(ordered, schema)["children"], ordered["children"])


def test_what_differs_in_one_row_is_no_total() -> None:
    tables, schema = bank()
    tables["children"].loc[7, "balance"] += 1
    relations, _ = LinkedRelations.discover(tables, schema, min_group=5)
    assert relations.totals("children") == ()


def test_totals_of_shops_and_departments_run_along_both() -> None:
    rng = np.random.default_rng(0)
    sales = pd.DataFrame({"shop": np.repeat(np.arange(20), 24), "code": np.tile(np.repeat([1, 2, 3], 8), 20)})
    sales["week"] = np.tile(np.arange(8), 60)
    sales["sold"] = rng.integers(0, 9, len(sales))
    sales["sold_so_far"] = sales.groupby(["shop", "code"]).sold.cumsum()
    linked = LinkedTables(*history(pd.DataFrame({"shop": np.arange(20)}), sales, "week", "code"))
    (total,) = [one for one in discover_running_totals(linked, "children", 5) if one.terms]
    assert (total.column, total.keys, total.terms) == ("sold_so_far", ("shop", "code"), (("sold", 1.0),))


def test_withdrawals_are_cut_to_what_is_there() -> None:
    tables, schema = bank()
    total = RunningTotal(
        "children", "balance", ("account",), (("amount", 1.0),), sign="type",
        factors=(("credit", 1.0), ("debit", -1.0)), start=0.0, decimals=2, floor=0.0,
    )  # fmt: skip
    out = LinkedRelations((total,)).apply(tables, schema)["children"]
    signed = out.amount * np.where(out.type == "credit", 1, -1)
    assert np.allclose(signed.groupby(out.account).cumsum(), out.balance)
    assert out.balance.min() >= 0
    assert (out.amount <= tables["children"].amount).all()
    assert (out.amount[out.type == "credit"] == tables["children"].amount[out.type == "credit"]).all()
    held = LinkedRelations((total,)).apply(tables, schema, {("children", "amount")})["children"]
    assert (held.amount == tables["children"].amount).all()


def test_random_columns_have_no_relations() -> None:
    rng = np.random.default_rng(0)
    parent = pd.DataFrame({"id": np.arange(200), "a": rng.integers(0, 4, 200), "b": rng.normal(size=200).round(2)})
    child = pd.DataFrame(
        {"id": np.repeat(np.arange(200), 3), "c": rng.integers(0, 4, 600), "d": rng.choice(["x", "y"], 600)}
    )
    tables, schema = history(parent, child)
    assert LinkedRelations.discover(tables, schema, min_group=5)[0].relations == ()


def test_conditions_on_computed_columns_are_refused(orders: Database) -> None:
    relations, _ = LinkedRelations.discover(*orders, min_group=5)
    relations.check_conditions({"customers": {"orders": 3, "segment": "firm"}, "items": {"quantity": 2}})
    with pytest.raises(ConditionError, match=r"orders\.net, which is computed: orders\.net = sum\(items\.amount\)"):
        relations.check_conditions({"orders": {"net": 100.0}})


def test_parents_without_children_have_the_value_that_they_have_in_the_real_rows() -> None:
    parent = pd.DataFrame(
        {"id": np.arange(60), "n": np.arange(60) % 3, "worst": [[np.nan, 1.0, 2.0][i % 3] for i in range(60)]}
    )
    child = pd.DataFrame({"id": np.repeat(np.arange(60), np.arange(60) % 3)})
    child["mark"] = child.groupby("id").cumcount() + 1.0
    tables, schema = history(parent, child)
    found = LinkedRelations((
        Aggregate("parents", "n", "children", "id", "count", empty=0.0),
        Aggregate("parents", "worst", "children", "id", "max", "mark", missing=True),
    ))  # fmt: skip
    out = found.apply({**tables, "parents": parent.assign(n=9, worst=9.0)}, schema)["parents"]
    pd.testing.assert_frame_equal(out, parent)


def test_refused_relations_are_not_computed(orders: Database) -> None:
    tables, schema = orders
    rules = tuple(
        RefusedRule(rule=rule) for rule in ("orders.net = sum(items.amount)", "items.price = products.list_price")
    )
    own = replace(schema, tables={**schema.tables, "orders": replace(schema.tables["orders"], constraints=rules)})
    found = LinkedRelations.discover(tables, own, min_group=5)[0].describe()
    assert "customers.spent = sum(orders.total)" in found
    assert not {rule.rule for rule in rules} & set(found)


def test_rows_without_a_parent_are_the_rest_of_a_history() -> None:
    tables, schema = bank()
    moves = tables["children"].astype({"account": "Int64"})
    last = moves.account > 37
    moves.loc[last, "account"] = pd.NA
    relations, ordered = LinkedRelations.discover({**tables, "children": moves}, schema, min_group=5)
    (total,) = relations.totals("children")
    assert total.start == 0.0
    pd.testing.assert_frame_equal(relations.apply(ordered, schema)["children"], ordered["children"])


def test_values_of_the_row_before_are_found() -> None:
    tables, _ = bank()
    moves = tables["children"].copy()
    by_account = moves.groupby("account")
    moves["days_since"], moves["amount_before"] = by_account.day.diff().dt.days, by_account.amount.shift()
    moves["type_before"] = by_account.type.shift()
    own = history(tables["parents"], moves, "day")
    relations, ordered = LinkedRelations.discover(*own, min_group=5)
    assert set(relations.describe()) >= {
        "children.days_since = day - previous day, in days",
        "children.amount_before = previous amount",
        "children.type_before = previous type",
    }
    again = relations.apply(broken(ordered, relations), own[1])
    pd.testing.assert_frame_equal(again["children"], ordered["children"])
    assert LinkedRelations.from_list(relations.to_list()) == relations


def test_columns_that_the_time_decides_are_found() -> None:
    """A week decides its holiday, its season and, but for four weeks, its price of fuel; not the sales."""
    rng, weeks = np.random.default_rng(4), 30
    rows = pd.DataFrame({"shop": np.repeat(np.arange(12), weeks), "number": np.tile(np.arange(weeks), 12)})
    rows["week"] = pd.Timestamp("2020-01-06") + pd.to_timedelta(7 * rows.pop("number"), unit="D")
    number = np.tile(np.arange(weeks), 12)
    rows["holiday"], rows["season"] = number % 7 == 3, pd.Series(list("abc"))[number // 10].to_numpy()
    rows["fuel"] = np.where(number < 4, np.nan, rng.normal(3, 0.3, weeks)[number].round(3))
    rows["sales"] = rng.lognormal(5, 1, len(rows)).round(2)
    tables, schema = history(pd.DataFrame({"shop": np.arange(12), "size": 1.0}), rows, "week")
    relations, ordered = LinkedRelations.discover(tables, schema, min_group=5)
    assert relations.describe() == [f"children.{name} is a function of week" for name in ("holiday", "season", "fuel")]
    assert relations == LinkedRelations.from_list(relations.to_list())
    pd.testing.assert_frame_equal(relations.apply(broken(ordered, relations), schema)["children"], rows)
    assert not LinkedRelations.discover(tables, schema, min_group=13)[0].relations
    later = ordered["children"].assign(week=ordered["children"].week + pd.Timedelta(days=1))
    kept = relations.apply({**ordered, "children": later}, schema)["children"]
    pd.testing.assert_frame_equal(kept, later)


def test_the_weeks_of_a_panel_are_no_running_total_of_its_codes() -> None:
    """In rows sorted by week, the week goes up at the first code and at no other."""
    index = pd.MultiIndex.from_product([range(20), ["a", "b", "c"], range(5)], names=["shop", "code", "week"])
    panel = history(pd.DataFrame({"shop": range(20)}), index.to_frame(False), "week", "code")
    found = LinkedRelations.discover(*panel, min_group=2)[0]
    assert found.describe() == ["children.week = previous week + 1"]
    assert found.totals("children")[0].keys == ("shop", "code")


def test_labels_are_the_texts_of_the_values() -> None:
    numbers = pd.Series([10, None, 2, 10], dtype="Int64", index=[3, 1, 0, 2])
    assert text_labels(numbers).tolist() == ["10", "", "2", "10"]
    assert text_labels(pd.Series([None, "a"], dtype="category")).tolist() == ["", "a"]
