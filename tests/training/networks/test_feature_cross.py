"""Feature crosses: discovery of slots that are informative only jointly, and equal use in training and sampling."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch.nn import functional

from tabsynth.training.networks.autoregressive import AutoregressiveModel
from tabsynth.training.networks.feature_cross import MIN_CODE_ROWS, FeatureCross, FeatureCrossEmbedding, code_of
from tabsynth.training.networks.layout import Layout
from tabsynth.training.networks.masked import MaskedNet
from tabsynth.training.variable_order import mutual_information

Tokens = npt.NDArray[np.int32]


def layout_of(tokens: Tokens, partial: frozenset[int] = frozenset()) -> Layout:
    sizes = tuple(int(column.max()) + 1 for column in tokens.T)
    counts = tuple(np.bincount(column, minlength=size) for column, size in zip(tokens.T, sizes, strict=True))
    return Layout(sizes, (0,) * len(sizes), counts, partial)


def days(kind: str, rows: int = 8000, seed: int = 0) -> Tokens:
    """Five years, seven months and nine days, then the weather by day, by the sum of their effects, or by nothing."""
    rng = np.random.default_rng(seed)
    date = rng.integers(0, (5, 7, 9), (rows, 3))
    level = {
        "together": rng.normal(size=(5, 7, 9))[tuple(date.T)],
        "sum": rng.normal(size=5)[date[:, 0]] + rng.normal(size=7)[date[:, 1]] + rng.normal(size=9)[date[:, 2]],
        "nothing": np.zeros(rows),
    }[kind]
    weather = [np.digitize(level + 0.5 * rng.normal(size=rows), np.linspace(-2, 2, 11)) for _ in range(2)]
    other = rng.integers(0, 3, rows)
    return np.column_stack([weather[0], date, other, weather[1]]).astype(np.int32)


def found(tokens: Tokens, partial: frozenset[int] = frozenset()) -> FeatureCross | None:
    layout = layout_of(tokens, partial)
    return FeatureCross.select(tokens, layout, mutual_information(tokens, layout))


def test_the_parts_of_a_date_are_crossed_where_they_tell_together() -> None:
    tokens = days("together")
    cross = found(tokens)
    assert cross is not None
    assert sorted(cross.slots) == [1, 2, 3]
    codes, counts = np.unique(code_of(tokens, cross.slots, layout_of(tokens)), return_counts=True)
    assert cross.codes.tolist() == codes[counts >= MIN_CODE_ROWS].tolist()
    assert 250 < len(cross.codes) <= 315


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["sum", "nothing"])
def test_nothing_is_crossed_where_slots_tell_one_by_one_or_not_at_all(kind: str, seed: int) -> None:
    assert found(days(kind, seed=seed)) is None


def test_nothing_is_crossed_of_too_few_rows_or_of_columns_that_some_rows_lack() -> None:
    assert found(days("together", rows=1000)) is None
    assert found(days("together"), frozenset({2})) is None


def test_rare_and_masked_combinations_add_nothing() -> None:
    tokens = days("together")
    layout, cross = layout_of(tokens), FeatureCross((1, 3), np.array([4, 7], np.int64))
    crossed = FeatureCrossEmbedding(cross, layout, 6)
    with torch.no_grad():
        crossed.embed.copy_(torch.arange(18.0).view(3, 6) + 1)
        crossed.embed[-1] = 0
    rows = torch.tensor([[0, 0, 0, 4, 0, 0], [0, 0, 0, 7, 0, 0], [0, 0, 0, 5, 0, 0], [0, -1, 0, 4, 0, 0]])
    out = crossed(rows)
    assert torch.equal(out[:2], crossed.embed[:2])
    assert not out[2:].any()
    crossed(rows).sum().backward()
    assert crossed.embed.grad is not None
    assert crossed.embed.grad[:, 0].tolist() == [1, 1, 0]


@pytest.fixture
def crossed_net() -> tuple[MaskedNet, torch.Tensor]:
    """A network with a cross and weights that say much, and rows."""
    tokens = days("together", rows=500)
    layout, generator = layout_of(tokens), torch.Generator().manual_seed(0)
    codes = np.arange(0, layout.sizes[1] * layout.sizes[3], 2)
    net = MaskedNet(
        layout,
        width=16,
        blocks=2,
        dropout=0.0,
        skip=True,
        smooth=0.0,
        generator=generator,
        cross=FeatureCross((1, 3), codes),
    ).eval()
    with torch.no_grad():
        for weight in net.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=generator)
        assert net.cross is not None
        net.cross.embed[-1] = 0  # as it stays in training: its gradient is left out
    return net, torch.from_numpy(tokens.astype(np.int64))


def test_a_chain_reads_the_cross_as_training_does(crossed_net: tuple[MaskedNet, torch.Tensor]) -> None:
    """The likelihood along an order, slot by slot, is that of the network with all later slots masked."""
    net, tokens = crossed_net
    order = [3, 0, 1, 5, 2, 4]
    with torch.inference_mode():
        total = torch.zeros(len(tokens))
        for i, slot in enumerate(order):
            masked = tokens.clone()
            masked[:, order[i:]] = -1
            logits = net(masked)[:, net.layout.segment(slot)]
            total += functional.log_softmax(logits, 1).gather(1, tokens[:, slot : slot + 1]).squeeze(1)
        assert torch.allclose(AutoregressiveModel(net).log_prob(tokens, order), total, atol=0.2)  # bfloat16
        positions = net.positions(tokens)
        assert net.cross is not None
        end = net.trunk(net.hidden(positions, net.table()) + net.cross(tokens))
        assert torch.allclose(AutoregressiveModel(net).embed(tokens), end, atol=1e-4)


def test_the_cross_matters_to_a_chain(crossed_net: tuple[MaskedNet, torch.Tensor]) -> None:
    net, tokens = crossed_net
    order = [3, 0, 1, 5, 2, 4]
    with torch.inference_mode():
        before = AutoregressiveModel(net).log_prob(tokens, order)
        net.cross = None
        assert (AutoregressiveModel(net).log_prob(tokens, order) - before).abs().max() > 0.5
