"""Layout and losses: the batched softmax equals a softmax for each slot."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from tabsynth.training.networks.layout import Layout, coarsen_counts
from tabsynth.training.networks.masked import MaskedNet, slot_losses
from tabsynth.training.variable_order import chain_order, mutual_information

sizes = st.lists(st.integers(2, 40), min_size=1, max_size=8)


def layout_of(sizes: list[int]) -> Layout:
    counts = tuple(np.arange(1, size + 1) for size in sizes)
    return Layout(tuple(sizes), tuple(size if size > 10 else 0 for size in sizes), counts)


@settings(deadline=None, max_examples=40)
@given(sizes)
def test_segments_do_not_overlap_and_padding_is_small(sizes: list[int]) -> None:
    layout = layout_of(sizes)
    cells = [i for slot in range(len(sizes)) for i in range(layout.total)[layout.segment(slot)]]
    assert len(cells) == len(set(cells)) == sum(sizes)
    assert layout.total <= 1.25 * sum(sizes) + 8 * len(sizes)


@settings(deadline=None, max_examples=20)
@given(sizes)
def test_slot_losses_are_cross_entropies(sizes: list[int]) -> None:
    layout = layout_of(sizes)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, layout.total, generator=generator) + layout.log_frequencies().clamp(min=-1e4)
    tokens = torch.stack([torch.randint(0, size, (7,), generator=generator) for size in sizes], dim=1)
    tokens[0, 0] = -1
    losses = slot_losses(logits, tokens, layout)
    for slot in range(len(sizes)):
        own = functional.cross_entropy(logits[:, layout.segment(slot)], tokens[:, slot].clamp(min=0), reduction="none")
        expected = torch.where(tokens[:, slot] < 0, 0.0, own)
        assert torch.allclose(losses[:, slot], expected, atol=1e-4)


def test_a_fresh_network_predicts_the_frequencies() -> None:
    layout = layout_of([5, 30, 12])
    generator = torch.Generator().manual_seed(0)
    net = MaskedNet(layout, width=16, blocks=1, dropout=0.0, skip=True, smooth=0.0, generator=generator)
    logits = net(torch.full((2, 3), -1))
    for slot, counts in enumerate(layout.counts):
        expected = torch.from_numpy((counts + 0.1) / (counts + 0.1).sum()).float()
        assert torch.allclose(logits[0, layout.segment(slot)].softmax(0), expected, atol=1e-4)


def test_coarse_groups_keep_the_order_of_a_line() -> None:
    counts = np.random.default_rng(0).integers(1, 50, 200)
    groups = coarsen_counts(counts, 198, 32)
    assert groups.max() < 32
    assert (np.diff(groups[:198]) >= 0).all()
    assert len(set(groups[198:])) == 2


def test_information_finds_the_dependent_pair_and_the_order_follows_it() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, 5000)
    b = np.where(rng.random(5000) < 0.9, a, rng.integers(0, 4, 5000))
    c = rng.integers(0, 4, 5000)
    tokens = np.stack([a, c, b], axis=1).astype(np.int32)
    layout = Layout((4, 4, 4), (0, 0, 0), tuple(np.bincount(tokens[:, i]) for i in range(3)))
    information = mutual_information(tokens, layout)
    assert information[0, 2] > 0.5
    assert information[0, 1] < 0.002
    order = chain_order(information, layout.sizes)
    assert order[0] == 1  # it depends on no other slot
    assert set(order[1:]) == {0, 2}
