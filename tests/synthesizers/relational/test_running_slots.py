"""Running totals while histories are drawn: the total after a row for each token of the slot that decides it."""

import numpy as np
import pandas as pd
import pytest

from tabsynth.relations.linked.running_totals import RunningTotal
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.histories.history import vocabulary
from tabsynth.synthesizers.relational.histories.running_slots import N_AFTER, RunningSlots


@pytest.mark.parametrize("order", [["type", "amount", "balance"], ["amount", "type", "balance"]])
def test_the_bins_of_the_total_after_a_row_are_those_of_its_balance(order: list[str]) -> None:
    rng, n = np.random.default_rng(0), 2000
    frame = pd.DataFrame({"type": rng.choice(["credit", "debit"], n), "amount": rng.choice([5.0, 20.0, 90.0], n)})
    change = np.where(frame.type == "credit", 1, -1) * frame.amount
    balance = change.groupby(np.arange(n) // 20).cumsum()
    frame["balance"] = balance
    codec, _ = vocabulary(frame, Schema.infer(frame), np.arange(n) // 20, min_group=2, tokens=64)
    at = [next(i for i, slot in enumerate(codec.slots) if slot.column == name) for name in order]
    total = RunningTotal(
        "t", "balance", ("k",), (("amount", 1.0),), sign="type", factors=(("credit", 1.0), ("debit", -1.0))
    )
    before = (balance - change).to_numpy()[:, None]
    slots = RunningSlots.of(codec, at, [total])
    slots = slots.with_edges(before, balance.to_numpy()[:, None], np.full((n, 1), np.nan), np.ones(n, np.int64))
    assert slots.deciding == {1: 0}
    assert len(slots.after[0]) < N_AFTER
    assert 0.0 in slots.after[0]
    tokens = codec.encode(frame)[:, at].astype(np.int64)
    bins = slots.after_bins(tokens, before)
    assert bins.shape == (n, codec.slots[at[1]].size)
    own = bins[np.arange(n), tokens[:, 1]]
    assert np.array_equal(own, np.searchsorted(slots.after[0], balance, side="right"))
    by_token = slots.bins_of(0, tokens)  # a token of several balances has the bin of their mean
    assert np.mean(by_token == own) > 0.8
    assert np.abs(by_token - own.astype(int)).max() <= 1
    assert (slots.after_bins(tokens, np.full((n, 1), np.nan)) == 0).all()
    bias = np.linspace(-5, 5, len(slots.after[0]) + 1).astype(np.float32)
    corrections, last = slots.corrections(1, bins, bias), codec.coders[order[1]].n_ordered_tokens - 1
    rising = (bins[:, last] > bins[:, 0]) & (order[1] == "amount")  # larger deposits raise the total
    assert set(frame.type[rising]) <= {"credit"}
    assert rising.any() == (order[1] == "amount")
    assert np.array_equal(corrections[~rising], bias[bins][~rising])
    assert np.array_equal(corrections[rising], np.clip(bias[bins][rising], -2.0, 2.0))
    again = RunningSlots.from_state(codec, at, slots.state()[0], slots.state()[1])
    assert np.array_equal(again.after_bins(tokens, before), bins)
