"""Histories of parents: running means, gaps within the time left, and the loss without autograd."""

import numpy as np
import pytest
import torch

from tabsynth.synthesizers.relational.histories.context import Clock
from tabsynth.synthesizers.relational.histories.gaps import EQUAL_RATIO, N_RATIOS, GapTokens, longest_shares
from tabsynth.synthesizers.relational.histories.history_loss import history_loss
from tabsynth.synthesizers.relational.histories.memory import (
    CHUNK_ROWS,
    N_MEANS,
    means_before,
    means_gradient,
    update_means,
)
from tabsynth.synthesizers.relational.histories.network import HistoryBatch, HistoryNetwork
from tabsynth.synthesizers.relational.histories.running_slots import N_AFTER
from tabsynth.synthesizers.relational.occurrences.calendar_days import N_CLASSES, N_LENGTHS, CalendarGaps
from tabsynth.synthesizers.relational.occurrences.earlier_numbers import N_DISTANCES, EarlierNumber
from tabsynth.synthesizers.relational.occurrences.precedents import RowClass


def test_means_of_whole_histories_equal_those_of_single_steps() -> None:
    length = 2 * CHUNK_ROWS + 7
    values = torch.randn(2, length, N_MEANS, 3, generator=torch.Generator().manual_seed(0))
    found, state = means_before(values), torch.zeros(2, N_MEANS, 3)
    for place in range(length):
        torch.testing.assert_close(found[:, place], state, atol=1e-5, rtol=1e-4)
        state = update_means(state, values[:, place], place)
    torch.testing.assert_close(found[:, -1, -1], values[:, :-1, -1].mean(1), atol=1e-5, rtol=1e-4)


def test_gradient_of_means_is_that_of_autograd() -> None:
    values = torch.randn(2, CHUNK_ROWS + 9, N_MEANS, 2, generator=torch.Generator().manual_seed(1), requires_grad=True)
    weight = torch.randn(values.shape, generator=torch.Generator().manual_seed(2))
    (means_before(values) * weight).sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(means_gradient(weight), values.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("class_slot", [None, 0, 1, 2])
@pytest.mark.parametrize("ordered", [True, False])
def test_loss_and_gradients_are_those_of_autograd(
    ordered: bool, class_slot: int | None, earlier: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABSYNTH_PRECISION", "float32")
    rng, sizes, context, late, n = np.random.default_rng(0), [9, 5, 4], [6, 7], [3, 4] if ordered else [], 30
    numbers = [
        EarlierNumber(2, class_slot is not None, rng.integers(0, N_DISTANCES, (5, 4)).astype(np.uint8))
    ] * earlier
    net = HistoryNetwork(
        sizes,
        context,
        late,
        RowClass.at(None if class_slot is None else [class_slot], sizes),
        numbers,
        [1, 2] if earlier else [],
        CalendarGaps(1.0, np.array([0, 1, 5, -1, 7, 7, -1, 62, -1]), np.ones((2, 1), bool)) if ordered else None,
        width=16,
        memory=4,
        dropout=0.0,
        generator=torch.Generator().manual_seed(0),
    )
    for weight in net.parameters():
        weight.data += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))

    def tokens(numbers: list[int]) -> np.ndarray:
        return np.stack([rng.integers(0, k, n) for k in numbers], 1) if numbers else np.zeros((n, 0), np.int64)

    ratios = rng.integers(0, N_RATIOS, (n, 9 if ordered else 0)).astype(np.uint8)
    parts = [tokens(context), tokens(late), tokens([k + 1 for k in sizes]), tokens(sizes), rng.random((n, 3)) < 0.2]
    precedents = tokens([k + 1 for k in sizes])[:, : 0 if class_slot is None else 3]
    after = rng.integers(0, N_AFTER, (n, 9 if earlier else 0)).astype(np.uint8)
    reached = rng.integers(0, N_CLASSES, (n, 4, N_LENGTHS if ordered else 0)).astype(np.uint8)
    batch = HistoryBatch([*parts, ratios, precedents, after, reached], np.array([10, 3, 17]))
    loss = net.losses(batch).sum()
    (loss / n).backward()
    wanted = {name: weight.grad for name, weight in net.named_parameters()}
    for weight in net.parameters():
        weight.grad = None
    found = history_loss(net, batch, torch.Generator().manual_seed(0))
    assert float(found) == pytest.approx(float(loss.detach()), rel=1e-6)
    for name, weight in net.named_parameters():
        if wanted[name] is not None:
            torch.testing.assert_close(weight.grad, wanted[name], atol=1e-6, rtol=1e-4)


def test_ratios_of_gaps_are_alike_on_every_scale() -> None:
    gaps = GapTokens(np.array([0.0, 7.0, 14.0, np.nan]), np.array([0.0, 7.0, 14.0, np.nan]))
    classes = gaps.ratios(np.array([7.0, 14.0]))
    assert classes[0].tolist() == [0, EQUAL_RATIO, EQUAL_RATIO + 4, N_RATIOS - 1]
    assert classes[1].tolist() == [0, EQUAL_RATIO - 4, EQUAL_RATIO, N_RATIOS - 1]


def test_the_longest_share_of_the_time_left_rests_on_enough_roots() -> None:
    """Roots 0 to 3 spend .9, .8, .3 and .2 of the time that is left at two rows left: three of them reach .3."""
    n, nothing = 4, np.zeros(4)
    clock = Clock(
        np.ones(n, np.int64), np.full(n, 3), nothing, nothing, np.full(n, 10.0), nothing, nothing, np.zeros((n, 0))
    )
    shares = longest_shares(np.array([9.0, 8.0, 3.0, 2.0]), clock, np.arange(n), min_group=3)
    assert shares[1] == pytest.approx(0.3)
    assert (np.delete(shares, 1) == 1).all()
