"""DP-SGD: clipping, Poisson sampling, noise, and charges that cover them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom, chi2, kstest
from torch import Tensor, nn

from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.mechanisms.dp_sgd import DpSgdConfig, DpSgdStep, sample_poisson
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.training.networks.layout import Layout
from tabsynth.training.networks.masked import slot_losses
from tabsynth.training.networks.masked_dp import PlainNet

SIZES = (7, 3, 12, 2)
LAYOUT = Layout(SIZES, (0,) * 4, tuple(np.arange(1, size + 1) for size in SIZES))


def network(seed: int = 0) -> PlainNet:
    generator = torch.Generator().manual_seed(seed)
    net = PlainNet(LAYOUT, width=16, blocks=2, generator=generator)
    with torch.no_grad():  # heads and blocks begin at zero; the test wants gradients everywhere
        for weight in net.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.3)
    return net


def rows(n: int, seed: int = 1) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.stack([rng.integers(0, size, n) for size in SIZES], 1))


def losses(net: nn.Module, /, tokens: Tensor, generator: torch.Generator) -> Tensor:
    masked = torch.rand(tokens.shape, generator=generator) < 0.5
    return (slot_losses(net(tokens.masked_fill(masked, -1)), tokens, LAYOUT) * masked).sum(1)


def by_hooks(net: PlainNet, tokens: Tensor, clip: float) -> list[Tensor]:
    """The sum of clipped gradients by Opacus' hooks, which make every row's gradient whole."""
    from opacus.grad_sample import GradSampleModule
    from opacus.optimizers import DPOptimizer

    wrapped = GradSampleModule(net, loss_reduction="mean")
    optimiser = DPOptimizer(
        torch.optim.SGD(net.parameters(), lr=0.0), noise_multiplier=0.0, max_grad_norm=clip, expected_batch_size=1
    )
    losses(wrapped, tokens=tokens, generator=torch.Generator().manual_seed(3)).mean().backward()
    optimiser.clip_and_accumulate()
    out = [weight.summed_grad.clone() for weight in net.parameters()]
    wrapped._close()
    return out


def by_ghost(net: PlainNet, tokens: Tensor, clip: float) -> list[Tensor]:
    step = DpSgdStep(net, DpSgdConfig(1, 1.0, 1.0, clip, len(tokens)), Noise.insecure(1))
    step.gradients(lambda module: losses(module, tokens=tokens, generator=torch.Generator().manual_seed(3)))
    out = [weight.grad.clone() for weight in net.parameters()]
    step.close()
    return out


@pytest.mark.filterwarnings("ignore:Full backward hook", "ignore:In CPU autocast")
@pytest.mark.parametrize("clip", [0.05, 1.0, 1e3])
def test_clipped_gradients_are_those_of_hooks(clip: float) -> None:
    for one, other in zip(by_ghost(network(), rows(40), clip), by_hooks(network(), rows(40), clip), strict=True):
        assert torch.allclose(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("clip", [0.01, 0.7])
def test_no_row_adds_more_than_the_clip(clip: float) -> None:
    for i in range(6):
        gradient = by_ghost(network(), rows(1, seed=i), clip)
        assert math.sqrt(sum(float((part**2).sum()) for part in gradient)) <= clip * (1 + 1e-5)


def test_persons_add_no_more_than_the_clip_together() -> None:
    config = DpSgdConfig(1, 1.0, 2.0, 0.5, 4, max_rows_per_unit=4)
    step = DpSgdStep(network(), config, Noise.insecure(1))
    step.gradients(lambda module: losses(module, tokens=rows(4), generator=torch.Generator().manual_seed(3)))
    assert math.sqrt(sum(float((w.grad**2).sum()) for w in step.optimiser.params)) <= 0.5 * (1 + 1e-5)
    assert step.optimiser.noise_multiplier * step.optimiser.max_grad_norm == pytest.approx(2.0 * 0.5)


def test_the_noise_is_what_the_event_says() -> None:
    # 2 x 10^5 normal draws: their variance two-sided at 1e-6, and their shape by Kolmogorov and Smirnov at 1e-4.
    config = DpSgdConfig(1, 0.25, 3.0, 0.4, 1000)
    module = nn.Linear(1000, 200, bias=False)
    step = DpSgdStep(module, config, Noise.insecure(2))
    step.gradients(None)
    step.optimiser.pre_step()
    drawn = module.weight.grad.numpy().ravel().astype(float) * (config.rate * config.rows)
    wanted = config.event.event.event.noise_multiplier * config.clip
    low, high = chi2.ppf([5e-7, 1 - 5e-7], len(drawn)) / len(drawn)
    assert low < (drawn**2).mean() / wanted**2 < high
    assert kstest(drawn[:20_000] / wanted, "norm").pvalue > 1e-4


def test_batches_are_drawn_by_poisson() -> None:
    units, rate, draws = 400, 0.07, 3000
    noise = Noise.insecure(3)
    picked = np.array([sample_poisson(units, rate, noise) for _ in range(draws)])
    sizes = picked.sum(1)
    spread = ((sizes - units * rate) ** 2).mean() / (units * rate * (1 - rate))
    assert 0.85 < spread < 1.15  # more than 5 standard deviations; a shuffle has 0
    low, high = binom.ppf([1e-7, 1 - 1e-7], draws, rate)
    assert ((low <= picked.sum(0)) & (picked.sum(0) <= high)).all()
    assert sample_poisson(5, 1.0, noise).all()


def trained(
    config: DpSgdConfig, read: Any, noise: Noise | None = None, **more: Any
) -> tuple[nn.Module, PrivacyLedger, int]:
    ledger, taken = PrivacyLedger(1e3, 1e-6), []
    net = network()
    paid = config.charge(ledger, purpose="p", columns=["a"], noise=Noise.insecure(4))
    paid.train(net, losses, read, learning_rate=lambda step: 0.01, after=taken.append)
    return net, ledger, len(taken)


def test_as_many_steps_as_were_charged() -> None:
    _, ledger, taken = trained(DpSgdConfig(7, 0.5, 2.0, 1.0, 30), lambda: (rows(30), None))
    assert taken == 7 == ledger.entries[0].event["count"]
    assert ledger.entries[0].event["event"]["sampling_probability"] == 0.5
    assert "floating point" in ledger.entries[0].rng


def test_no_rows_at_all_and_empty_batches_train_on_noise() -> None:
    net, _, taken = trained(DpSgdConfig(3, 0.01, 2.0, 1.0, 30), lambda: (rows(2), None))
    assert taken == 3
    assert all(torch.isfinite(weight).all() for weight in net.parameters())
    trained(DpSgdConfig(2, 0.5, 2.0, 1.0, 30), lambda: (rows(0), None))


def test_rows_of_a_person_come_together() -> None:
    seen = []

    def watching(net: nn.Module, /, tokens: Tensor, generator: torch.Generator) -> Tensor:
        seen.append(tokens[:, 0].tolist())
        return losses(net, tokens=tokens, generator=generator)

    data = torch.tensor([[0, 0, 0, 0]] * 3 + [[1, 0, 0, 0]] * 2 + [[2, 0, 0, 0]])
    units = np.array([0, 0, 0, 1, 1, 2])
    paid = DpSgdConfig(30, 0.5, 2.0, 1.0, 6, max_rows_per_unit=3).charge(
        PrivacyLedger(1e3, 1e-6), purpose="p", columns=[], noise=Noise.insecure(5)
    )
    paid.train(network(), watching, lambda: (data, units), learning_rate=lambda step: 0.0)
    assert {tuple(batch) for batch in seen} > {(0, 0, 0), (1, 1), (2,)}
    assert all(batch.count(0) in (0, 3) and batch.count(1) in (0, 2) for batch in seen)


def test_it_trains_once_for_one_charge() -> None:
    ledger = PrivacyLedger(1e3, 1e-6)
    paid = DpSgdConfig(1, 0.5, 2.0, 1.0, 30).charge(ledger, purpose="p", columns=[], noise=Noise.insecure(4))
    paid.train(network(), losses, lambda: (rows(9), None), learning_rate=lambda step: 0.0)
    with pytest.raises(PrivacyError, match="trained already"):
        paid.train(network(), losses, lambda: (rows(9), None), learning_rate=lambda step: 0.0)


def test_it_learns_where_there_is_little_noise() -> None:
    data = torch.tensor([[3, 1, 5, 0]] * 200)
    net, _, _ = trained(DpSgdConfig(60, 0.5, 0.3, 1.0, 200), lambda: (data, None))
    with torch.no_grad():
        fitted = slot_losses(net(torch.full((1, 4), -1)), data[:1], LAYOUT).sum()
        before = slot_losses(network()(torch.full((1, 4), -1)), data[:1], LAYOUT).sum()
    assert fitted < 0.7 * before


def test_nothing_is_left_where_nothing_is_left() -> None:
    from dp_accounting.dp_event import ZCDpEvent

    ledger = PrivacyLedger(0.5, 1e-6)
    from tabsynth.privacy.budget import zcdp_rho

    ledger.charge(ZCDpEvent(zcdp_rho(0.5, 1e-6)), purpose="p", columns=[], sensitivity=1.0)
    with pytest.raises(PrivacyError, match="too small for 500 steps"):
        DpSgdConfig.from_budget(ledger, steps=500, rate=0.2, clip=1.0, rows=1000)


@pytest.mark.parametrize("plant", [{"steps": 0}, {"rate": 0.0}, {"rate": 1.1}, {"multiplier": 0.0}, {"clip": 0.0}])
def test_invalid_parameters_are_refused(plant: dict[str, Any]) -> None:
    facts = {"steps": 1, "rate": 0.5, "multiplier": 1.0, "clip": 1.0, "rows": 9.0} | plant
    with pytest.raises(PrivacyError, match="is invalid: steps, noise"):
        DpSgdConfig(**facts)
