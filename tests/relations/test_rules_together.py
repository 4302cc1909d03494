"""Rules hold together: the repair of one leaves alone what another column determines or what was not computed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.relations.enforcement import Relations

ROWS = 2000


def drawn(frame: pd.DataFrame, *shuffled: str) -> tuple[list[str], pd.DataFrame]:
    """The relations of a table, and its rows decoded with the tokens of some columns shuffled."""
    table = Table.of(frame)
    codec = Codec.measure(table)
    relations = Relations.from_state(*Relations.discover(table, codec).state())
    tokens, rng = codec.encode(frame), np.random.default_rng(1)
    for at, slot in enumerate(codec.slots):
        if slot.column in shuffled:
            tokens[:, at] = rng.permutation(tokens[:, at])
    return relations.describe(), relations.decode(codec, tokens, rng)


def test_the_attendance_gives_way_and_not_the_capacity_of_its_stadium() -> None:
    rng = np.random.default_rng(0)
    seats = rng.integers(80, 800, 20) * 100
    stadium = rng.integers(0, 20, ROWS)
    frame = pd.DataFrame({"stadium": [f"s{own:02d}" for own in stadium], "capacity": seats[stadium]})
    frame["attendance"] = (frame["capacity"] * rng.beta(5, 1.3, ROWS)).astype(int)
    rules, rows = drawn(frame, "attendance")
    assert "attendance <= capacity" in rules
    assert (rows["attendance"] <= rows["capacity"]).all()
    assert (rows["capacity"] == rows["stadium"].str[1:].astype(int).map(dict(enumerate(seats)))).all()


def test_a_day_follows_a_time_of_day() -> None:
    rng = np.random.default_rng(0)
    sent = pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 500 * 1440, ROWS), "min"))
    arrived = sent.dt.normalize() + pd.to_timedelta(rng.integers(0, 15, ROWS), "D")
    rules, rows = drawn(pd.DataFrame({"sent": sent, "arrived": arrived}), "sent")
    assert "sent <= arrived in D" in rules
    assert (rows["sent"].dt.normalize() <= rows["arrived"]).all()
    assert (rows["sent"].dt.normalize() == rows["arrived"]).any()


def test_a_time_of_day_follows_a_day() -> None:
    rng = np.random.default_rng(0)
    booked = pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 500, ROWS), "D"))
    begin = booked + pd.to_timedelta(rng.integers(0, 20 * 1440, ROWS), "min")
    _, rows = drawn(pd.DataFrame({"booked": booked, "begin": begin}), "begin")
    assert (rows["begin"] >= rows["booked"]).all()


def test_a_cost_is_computed_and_not_its_tariff() -> None:
    rng = np.random.default_rng(0)
    tariffs = {"flat": 0.31, "green": 0.345, "night": 0.28}
    plan = rng.choice(list(tariffs), ROWS)
    frame = pd.DataFrame(
        {"kwh": rng.gamma(3, 90, ROWS).round(), "plan": plan, "tariff": [tariffs[own] for own in plan]}
    )
    frame["cost"] = (frame["kwh"] * frame["tariff"]).round(2)
    rules, rows = drawn(frame, "kwh")
    assert any(rule.startswith("cost = ") for rule in rules)
    assert (rows["tariff"] == rows["plan"].map(tariffs)).all()
    # Where the shuffled product is beyond the largest cost, the cost is at its bound.
    assert (np.abs(rows["cost"] - rows["kwh"] * rows["tariff"]) > 0.0051).mean() < 0.02


def test_a_tax_is_rounded_to_the_nearest_cent_beside_frequent_amounts() -> None:
    rng = np.random.default_rng(0)
    net = np.round(rng.lognormal(3, 0.6, ROWS), 2)
    net[:200] = rng.choice([15.26, 15.27], 200)  # 2.90 after rounding, but the tax of 15.29 is 2.9051
    rules, rows = drawn(
        pd.DataFrame({"net": net, "tax": np.round(net * 0.19, 2), "other": rng.normal(size=ROWS)}), "net"
    )
    assert "tax = 0.19 * net" in rules
    assert np.abs(rows["tax"] - 0.19 * rows["net"]).max() < 0.00501


def test_formulas_of_computed_columns_hold_together() -> None:
    rng = np.random.default_rng(0)
    price, count = np.round(rng.lognormal(3, 0.6, ROWS), 2), rng.integers(1, 30, ROWS)
    plan = rng.choice(["basic", "plus"], ROWS)
    frame = pd.DataFrame({"price": price, "count": count, "plan": plan})
    frame["gross"] = np.round(price * count, 2)
    frame["fee"] = np.round(np.where(plan == "plus", 1 + 0.02 * frame["gross"], 4 + 0.01 * frame["gross"]), 2)
    frame["charged"] = np.maximum(5, frame["fee"])
    frame["total"] = np.round(frame["gross"] + frame["charged"], 2)
    rules, rows = drawn(frame, "price", "count", "plan", "fee", "total")
    assert "charged = max(5, fee)" in rules
    fee = np.where(rows["plan"] == "plus", 1 + 0.02 * rows["gross"], 4 + 0.01 * rows["gross"])
    assert np.abs(rows["gross"] - rows["price"] * rows["count"]).max() < 0.006
    assert np.abs(rows["fee"] - fee).max() < 0.00502
    assert (rows["charged"] == np.maximum(5, rows["fee"])).all()
    assert np.abs(rows["gross"] + rows["charged"] - rows["total"]).max() < 1e-6


def test_payments_of_the_whole_bill_are_a_rule_and_no_recurring_difference_in_other_rows() -> None:
    rng = np.random.default_rng(0)
    bill, part = np.round(rng.lognormal(8, 1, (2, ROWS)))
    full = rng.random(ROWS) < 0.3
    frame = pd.DataFrame({"status": np.where(full, "full", "part"), "bill": bill, "paid": np.where(full, bill, part)})
    table = Table.of(frame)
    codec = Codec.measure(table)
    relations = Relations.discover(table, codec)
    assert "paid == bill if status == full" in relations.describe()
    assert not relations.differences
    rows = relations.decode(codec, codec.encode(frame), rng)
    assert (rows["paid"] == rows["bill"])[full].all()
    assert (rows["paid"] == rows["bill"])[~full].mean() < 0.01
