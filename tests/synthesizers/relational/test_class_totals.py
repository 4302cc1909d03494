"""Plans with shares of classes: which classes, how many are left, and what the children make of them."""

import numpy as np
import pandas as pd
import pytest

from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.histories.training_rows import _class_totals
from tabsynth.synthesizers.relational.occurrences.class_totals import (
    N_SHARES,
    PARENTS_PER_TOTAL,
    ChildClass,
    ClassTotals,
    PlannedClasses,
    choose_classes,
    deciding_tokens,
)
from tabsynth.synthesizers.relational.occurrences.nested_shares import NestedShares
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer


def visits(parents: int = 150, each: int = 8) -> pd.DataFrame:
    """Visits of persons who have a chronic illness or not, on days that differ by chance alone."""
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(parents), each)
    ill = (np.arange(parents) % 3 == 0)[owner]
    reason = np.where(ill & (rng.random(len(owner)) < 0.6), "asthma", "check-up")
    return pd.DataFrame({"person_id": owner, "reason": reason, "day": rng.choice(["mo", "tu", "we"], len(owner))})


def test_classes_whose_shares_differ_between_parents_are_chosen() -> None:
    frame = visits()
    columns = Schema.infer(frame).columns
    owner = frame.person_id.to_numpy()
    chosen = choose_classes(frame, columns, owner, owner, 5)
    assert [one.column for one in chosen] == ["reason"]  # one of two values: the other has the same rows
    assert choose_classes(frame, columns, owner, np.minimum(owner, 2), 5) == ()  # the ill are of three roots
    assert choose_classes(frame.iloc[::4], columns, owner[::4], owner[::4], 5) == ()  # two visits each


def test_few_parents_have_few_classes() -> None:
    rng = np.random.default_rng(0)
    for parents in (PARENTS_PER_TOTAL, 2 * PARENTS_PER_TOTAL):
        owner = np.repeat(np.arange(parents), 8)
        frame = pd.DataFrame({name: rng.choice(["a", "b"], parents)[owner] for name in ("x", "y", "z")})
        assert len(choose_classes(frame, Schema.infer(frame).columns, owner, owner, 5)) == parents // PARENTS_PER_TOTAL


def test_a_class_of_missing_values_has_a_share() -> None:
    frame = visits()
    frame["reason"] = frame.reason.where(frame.reason != "check-up", None)
    owner = frame.person_id.to_numpy()
    (only,) = choose_classes(frame, Schema.infer(frame).columns, owner, owner, 5)
    rows = only.rows(frame)
    assert rows.tolist() == (frame.reason.isna() if only.value is None else frame.reason == "asthma").tolist()


def test_what_is_left_of_a_class_is_read_in_training_as_in_drawing() -> None:
    totals = ClassTotals(("a",), np.array([1]), np.array([2]))
    tokens = np.array([[0, 2], [0, 1], [0, 2], [0, 2], [0, 0]])
    starts = np.array([0, 3, 5])
    planned = np.array([[2.0], [1.0]])
    left = totals.left_before(tokens, planned, starts)
    assert left[:, 0].tolist() == [2, 1, 1, 1, 0]
    state, found = planned[:1], []
    for row in tokens[:3]:
        found.append(float(state[0, 0]))
        state = totals.update(state, row[None])
    assert found == [2, 1, 1]
    read = totals.read(np.array([[0.0], [3.0], [1.0], [np.nan], [5.0]]), np.array([3, 3, 2, 1, 4]))[:, 0]
    assert read.tolist() == [0, N_SHARES + 1, 1 + N_SHARES // 2, N_SHARES + 2, N_SHARES + 1]


def test_tokens_that_only_a_class_has_are_for_parents_with_children_of_the_class() -> None:
    """Description 3 is always urgent care (token 1 of the second slot), description 2 sometimes."""
    tokens = np.array([[3, 1], [2, 1], [2, 0], [0, 0], [3, 1]])
    slots, classes = np.array([1]), np.array([1])
    deciding = deciding_tokens(tokens, slots, classes, [0, 1])
    assert deciding.tolist() == [[0, 3, 0]]
    totals = ClassTotals(("urgent",), slots, classes, deciding=deciding)
    totals = ClassTotals.from_state(totals.columns, totals.state())
    left, planned = np.array([[0.0], [0.0], [2.0], [np.nan]]), np.array([[0.0], [2.0], [2.0], [np.nan]])
    assert totals.used(0, left, planned, 4).tolist() == [[False] * 3 + [True], *[[False] * 4] * 3]
    assert totals.used(1, left, planned, 2)[:, 1].tolist() == [True, True, False, False]


def test_planned_numbers_of_classes_add_up_whatever_the_shares() -> None:
    """Debits are cash and card; a fourth type of rows, a credit, has no share of its own."""
    rng = np.random.default_rng(0)
    type_of = rng.choice(["cash", "card", "wage", "rest"], (30, 12), p=[0.4, 0.3, 0.2, 0.1])
    rows = [(type_of == name).ravel() for name in ("cash", "wage", "card")]
    rows.insert(2, rows[0] | rows[2])
    columns = ["type", "type", "sign", "type"]
    nesting = NestedShares.of(rows, columns)
    totals = np.stack([one.reshape(30, 12).sum(1) for one in rows], 1).astype(float)
    counts = np.full(30, 12)
    shares = nesting.shares(totals, counts)
    for one in (nesting, NestedShares.from_state(nesting.state(), 4)):
        assert (one.totals(shares.round(4), counts) == totals).all()
    assert np.nanmin(shares) >= 0
    assert np.nanmax(shares) <= 1
    cash, wage, debits, card = nesting.totals(rng.random((200, 4)), np.full(200, 12)).T
    assert (cash + card <= debits).all()
    assert (debits + wage <= 12).all()
    assert card.std() > 0.5


def test_a_share_between_none_and_all_is_neither_none_nor_all_of_several_rows() -> None:
    shares, counts = np.array([[0.0], [0.02], [0.98], [1.0], [0.02]]), np.array([9, 9, 9, 9, 1])
    assert NestedShares.none(1).totals(shares, counts)[:, 0].tolist() == [0, 1, 8, 9, 1]


@pytest.mark.slow
def test_a_chronic_illness_recurs_in_the_visits_of_few_persons() -> None:
    frame = visits()
    tables = {"person": pd.DataFrame({"id": np.arange(150)}), "visits": frame}
    drawn = RelationalSynthesizer(epochs=8).fit(tables, seed=0).sample(500, seed=1)["visits"]
    share = {
        name: (one.reason == "asthma").groupby(one.person_id).mean()
        for name, one in (("real", frame), ("drawn", drawn))
    }
    for held in ((0.0, 0.0), (0.3, 1.0)):  # none, and much of the history: 68 and 31 % of the real persons
        within = {name: one.between(*held).mean() for name, one in share.items()}
        assert within["drawn"] == pytest.approx(within["real"], abs=0.1)


def test_a_class_names_its_rows() -> None:
    frame = pd.DataFrame({"x": pd.array([1, None, 2], dtype="Int64")})
    assert ChildClass("x", 1).rows(frame).tolist() == [True, False, False]
    assert ChildClass("x", None).rows(frame).tolist() == [False, True, False]


def test_a_class_that_an_earlier_column_decides_is_counted_there() -> None:
    """If a symbol decides the operation, the number of cash operations is limited where the symbol is sampled."""
    frame = pd.DataFrame({"symbol": ["rent", None, "rent", "interest"], "operation": ["card", "cash", "card", "cash"]})
    frame["way"] = ["x", "y", "x", "x"]
    codec = Codec.measure(Table.of(frame), min_group=1)
    planned = PlannedClasses({"p.operation=card": ChildClass("operation", "card"), "p.way=y": ChildClass("way", "y")})
    order = [codec.positions(name)[0] for name in ("symbol", "way", "operation")]
    totals = _class_totals(planned, frame, codec, codec.encode(frame), order)
    assert totals.slots.tolist() == [0, 0]
    encoded = codec.encode(frame)[:, order[0]]
    assert totals.tokens.tolist() == [encoded[0], encoded[1]]
    assert _class_totals(planned, frame, codec, codec.encode(frame), order[1:]).slots.tolist() == [1, 0]


def test_disjoint_classes_of_different_columns_leave_the_rest() -> None:
    """Interest is an operation and salary a purpose; the cash payments are all other rows."""
    kinds = np.array(["interest", "salary", "cash"] * 4)
    rows = [kinds == name for name in ("interest", "salary", "cash")]
    nesting = NestedShares.of(rows, ["operation", "purpose", "operation"])
    totals = np.array([[2.0, 3.0, 5.0], [1.0, 0.0, 4.0]])
    shares = nesting.shares(totals, np.array([10, 5]))
    np.testing.assert_array_equal(shares[:, 2], [1, 1])
    np.testing.assert_array_equal(nesting.totals(shares, np.array([10, 5])), totals)
