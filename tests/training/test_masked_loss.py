"""The masked network's hand-written loss and gradients equal those of autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tabsynth.training.masked_loss import masked_loss
from tabsynth.training.networks.feature_cross import FeatureCross
from tabsynth.training.networks.layout import Layout
from tabsynth.training.networks.masked import MaskedNet, slot_losses
from tabsynth.training.precision import VARIABLE, product_autocast

SIZES, LINES = (5, 40, 3, 4, 300, 12), (0, 38, 0, 0, 290, 12)


def network(rng: np.random.Generator, *, skip: bool, crossed: bool, dropout: float) -> MaskedNet:
    """A network none of whose weights is zero, but for the rows that are always zero."""
    layout = Layout(SIZES, LINES, tuple(rng.integers(1, 50, size) for size in SIZES))
    generator = torch.Generator().manual_seed(0)
    cross = FeatureCross((0, 2), np.arange(2, 13)) if crossed else None
    net = MaskedNet(
        layout, width=24, blocks=2, dropout=dropout, skip=skip, smooth=0.4, generator=generator, cross=cross
    )
    with torch.no_grad():
        for name, weight in net.named_parameters():
            changed = weight[:-1] if name in {"skip", "cross.embed"} else weight
            changed += 0.1 * torch.randn(changed.shape, generator=generator)
    return net


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 3e-2)])
@pytest.mark.parametrize(("skip", "crossed", "dropout"), [(True, True, 0.1), (False, False, 0.0)])
def test_loss_and_gradients_are_those_of_autograd(
    monkeypatch: pytest.MonkeyPatch, precision: str, tolerance: float, skip: bool, crossed: bool, dropout: float
) -> None:
    monkeypatch.setenv(VARIABLE, precision)
    rng, cpu = np.random.default_rng(0), torch.device("cpu")
    net = network(rng, skip=skip, crossed=crossed, dropout=dropout)
    lowest = [-1 if slot == 1 else 0 for slot in range(len(SIZES))]  # some rows do not have the second slot
    tokens = torch.from_numpy(rng.integers(lowest, SIZES, (128, len(SIZES))))
    masked = torch.from_numpy(rng.random(tokens.shape) < 0.5)
    weight = torch.from_numpy(rng.random(tokens.shape, dtype=np.float32)) * masked
    with product_autocast(cpu):
        logits = net(tokens.masked_fill(masked, -1), torch.Generator().manual_seed(3))
    expected = (slot_losses(logits.float(), tokens, net.layout) * weight).sum()
    expected.backward()  # type: ignore[no-untyped-call]
    gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
    net.zero_grad()
    loss = masked_loss(net, tokens, masked, weight, torch.Generator().manual_seed(3))
    assert float(loss) == pytest.approx(float(expected.detach()), rel=tolerance)
    for name, parameter in net.named_parameters():
        reference = gradients[name]
        assert reference is not None
        assert parameter.grad is not None
        assert float(reference.abs().max()) > 0
        torch.testing.assert_close(
            parameter.grad, reference, rtol=0, atol=tolerance * float(reference.abs().max()), msg=name
        )


def test_gradients_are_added_to_those_of_another_loss() -> None:
    rng = np.random.default_rng(1)
    net = network(rng, skip=True, crossed=False, dropout=0.0)
    tokens = torch.from_numpy(rng.integers(0, SIZES, (32, len(SIZES))))
    masked = torch.from_numpy(rng.random(tokens.shape) < 0.5)
    noise = torch.Generator()
    masked_loss(net, tokens, masked, masked.float(), noise)
    once = [parameter.grad.clone() for parameter in net.parameters() if parameter.grad is not None]
    masked_loss(net, tokens, masked, masked.float(), noise)
    twice = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
    for one, two in zip(once, twice, strict=True):
        torch.testing.assert_close(two, 2 * one)
