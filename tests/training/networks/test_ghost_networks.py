"""Private VAE and GAN: per-unit gradient clipping, and parameters that are trained without noise."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tabsynth.privacy.mechanisms.dp_sgd import DpSgdConfig, DpSgdStep
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.synthesizers.private.gan import GeneratorUpdate, real_losses
from tabsynth.training.marginal_matching import Moments
from tabsynth.training.networks.discriminator import Critic
from tabsynth.training.networks.generator import Generator
from tabsynth.training.networks.ghost_networks import RowwiseCritic, RowwiseDecoder, hold
from tabsynth.training.networks.layout import Layout
from tabsynth.training.networks.vae import LatentNet, LatentSizing

SIZES = (7, 3, 12, 2)
LAYOUT = Layout(SIZES, (7, 0, 9, 0), tuple(np.arange(1, size + 1) for size in SIZES))
ORDER = [2, 0, 1, 3]
SIZING = LatentSizing(
    latents=3, width=16, blocks=1, dropout=0.1, smooth=0.3, links=8, hidden=20, batch=8, rate=1e-3, decay=0.0, epochs=1
)
ROWS = 40

Losses = Callable[[nn.Module], Tensor]


def shaken(net: nn.Module) -> None:
    """Heads begin at zero; these tests want gradients everywhere."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.3)


def rows(n: int = ROWS) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.stack([torch.randint(0, size, (n,), generator=generator) for size in SIZES], 1)


def vae() -> LatentNet:
    net = LatentNet(LAYOUT, ORDER, SIZING, torch.Generator().manual_seed(0))
    shaken(net)
    return net


def critic() -> Critic:
    out = Critic(LAYOUT, width=8, generator=torch.Generator().manual_seed(0))
    shaken(out)
    return out


def of_vae() -> tuple[nn.Module, Losses]:
    latents = torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(2))
    return RowwiseDecoder(vae()), lambda module: module(latents, rows())


def of_critic() -> tuple[nn.Module, Losses]:
    return RowwiseCritic(critic()), lambda module: real_losses(
        module, tokens=rows(), generator=torch.Generator().manual_seed(0)
    )


MADE = {"vae": of_vae, "critic": of_critic}


@pytest.fixture(params=list(MADE))
def made(request: pytest.FixtureRequest) -> tuple[nn.Module, Losses]:
    return MADE[request.param]()


def row_by_row(module: nn.Module, losses: Losses, clip: float) -> list[Tensor]:
    """The sum of clipped gradients, each row's made whole by a backward pass of its own."""
    weights = list(module.parameters())
    out = [torch.zeros_like(weight) for weight in weights]
    for loss in losses(module):
        own = torch.autograd.grad(loss, weights, retain_graph=True)
        norm = math.sqrt(sum(float((part**2).sum()) for part in own))
        for total, part in zip(out, own, strict=True):
            total += part * min(1.0, clip / norm)
    return out


def check_clipped(module: nn.Module, losses: Losses, clip: float, wanted: list[torch.Tensor]) -> None:
    """Our step's clipped gradients are the wanted ones."""
    step = DpSgdStep(module, DpSgdConfig(1, 1.0, 1.0, clip, ROWS), Noise.insecure(1))
    step.gradients(losses)
    for weight, own in zip(module.parameters(), wanted, strict=True):
        assert weight.grad is not None
        assert torch.allclose(weight.grad, own, atol=1e-5, rtol=1e-5)
    step.close()


@pytest.mark.parametrize("clip", [0.05, 1.0, 1e4])
def test_clipped_gradients_are_those_of_rows_alone(made: tuple[nn.Module, Losses], clip: float) -> None:
    module, losses = made
    wanted = row_by_row(module, losses, clip)
    check_clipped(module, losses, clip, wanted)


@pytest.mark.filterwarnings("ignore:Full backward hook", "ignore:There is a performance drop", "ignore:In CPU autocast")
@pytest.mark.parametrize("clip", [0.05, 1.0, 1e4])
def test_clipped_gradients_are_those_of_opacus_hooks(made: tuple[nn.Module, Losses], clip: float) -> None:
    """Opacus' hooks make every row's gradient whole, for our own layers by vectorised automatic differentiation."""
    from opacus.grad_sample import GradSampleModule
    from opacus.optimizers import DPOptimizer

    module, losses = made
    wrapped = GradSampleModule(module, loss_reduction="mean")
    inner = torch.optim.SGD(module.parameters(), lr=0.0)
    optimiser = DPOptimizer(inner, noise_multiplier=0.0, max_grad_norm=clip, expected_batch_size=1)
    losses(wrapped).mean().backward()
    optimiser.clip_and_accumulate()
    wanted = [weight.summed_grad.clone() for weight in module.parameters()]
    wrapped._close()
    check_clipped(module, losses, clip, wanted)


def duel(net: Critic) -> GeneratorUpdate:
    """A generator's side of the fit, with the drawn rows as its first step leaves them."""
    generator = Generator(LAYOUT, ORDER, SIZING, torch.Generator().manual_seed(3))
    shaken(generator)
    generator.shed()
    return GeneratorUpdate(generator, net, Moments(LAYOUT, ORDER, rows()), 5)


def stepped(net: Critic, own: GeneratorUpdate, config: DpSgdConfig, data: Tensor, noise: Noise) -> list[Tensor]:
    """What the critic's weights are moved by in one step of DP-SGD, as the optimiser is given it."""
    module, seen = RowwiseCritic(net), list[list[Tensor]]()
    step = DpSgdStep(module, config, noise)
    inner = step.optimiser.original_optimizer
    inner.register_step_pre_hook(lambda *_: seen.append([weight.grad.clone() for weight in module.parameters()]))
    nothing = torch.Generator()
    step.take((lambda own: real_losses(own, tokens=data, generator=nothing)) if len(data) else None, own.generated_loss)
    step.close()
    (out,) = seen
    return out


def fake_loss_gradient(net: Critic, own: GeneratorUpdate) -> list[Tensor]:
    """By the formula of ``Critic`` itself, without the layers that DP-SGD uses."""
    weights = list(RowwiseCritic(net).parameters())
    loss = functional.softplus(net(net.summed(own.drawn, net.embed()))).mean()
    return list(torch.autograd.grad(loss, weights))


CLIP, RATE, COUNT = 0.3, 0.5, 100.0


def test_the_critics_step_is_clipped_real_gradients_with_noise_over_the_divisor_plus_the_bare_fake_gradient() -> None:
    net = critic()
    own = duel(net)
    real = row_by_row(RowwiseCritic(net), of_critic()[1], CLIP)
    fake = fake_loss_gradient(net, own)
    assert min(float(part.abs().max()) for part in fake) > 1e-5  # each part would be missed
    config = DpSgdConfig(1, RATE, 1e-9, CLIP, COUNT)
    for got, clipped, free in zip(stepped(net, own, config, rows(), Noise.insecure(1)), real, fake, strict=True):
        assert torch.allclose(got, clipped / (RATE * COUNT) + free, atol=1e-5, rtol=1e-5)


def test_no_noise_falls_on_the_fake_loss_and_it_moves_no_noise() -> None:
    drawn, net = Noise.insecure(4), critic()
    own, config = duel(net), DpSgdConfig(1, RATE, 3.0, CLIP, COUNT)
    real, fake = row_by_row(RowwiseCritic(net), of_critic()[1], CLIP), fake_loss_gradient(net, own)
    for got, clipped, free in zip(stepped(net, own, config, rows(), Noise.insecure(4)), real, fake, strict=True):
        noise = torch.from_numpy(drawn.normal(got.numel()) * 3.0 * CLIP).view_as(got)
        assert torch.allclose(got, (clipped + noise.float()) / (RATE * COUNT) + free, atol=1e-5, rtol=1e-5)


def test_an_empty_batch_is_noise_and_the_fake_gradient() -> None:
    net = critic()
    own = duel(net)
    fake = fake_loss_gradient(net, own)
    for got, free in zip(
        stepped(net, own, DpSgdConfig(1, RATE, 1e-9, CLIP, COUNT), rows(0), Noise.insecure(1)), fake, strict=True
    ):
        assert torch.allclose(got, free, atol=1e-6)


def test_the_generator_learns_and_moves_no_weight_of_the_critic() -> None:
    net = critic()
    own = duel(net)
    hold(net, 2.0)
    before = [[weight.detach().clone() for weight in part.parameters()] for part in (net, own.net)]
    for step in range(4):
        own.update_generator(step)
    assert all(torch.equal(one, other) for one, other in zip(before[0], net.parameters(), strict=True))
    assert any(not torch.equal(one, other) for one, other in zip(before[1], own.net.parameters(), strict=True))


def test_the_critics_slope_is_held() -> None:
    net = critic()
    with torch.no_grad():
        net.out.weight.mul_(100)
        kept = net.layers[0].weight.div_(10).clone()
    hold(net, 2.0)
    assert float(torch.linalg.matrix_norm(net.out.weight.detach(), 2)) == pytest.approx(2.0, rel=1e-5)
    assert torch.equal(net.layers[0].weight, kept)


def test_what_is_trained_is_the_very_network() -> None:
    net = vae()
    before = {name: weight.clone() for name, weight in net.named_parameters()}
    module = RowwiseDecoder(net)
    latents = torch.zeros(ROWS, 3)
    step = DpSgdStep(module, DpSgdConfig(1, 1.0, 1.0, 1.0, ROWS), Noise.insecure(1))
    for group in step.optimiser.param_groups:
        group["lr"] = 0.01
    step.take(lambda own: own(latents, rows()))
    step.close()
    moved = {name for name, weight in net.named_parameters() if not torch.equal(weight, before[name])}
    still = {name.split(".")[0] for name in set(before) - moved}
    assert still == {"embed", "mask", "reader", "posterior", "glance", "prior"}  # of the prior, its context
    assert {name for name in before if name.startswith("prior")} - moved == {"prior.given"}


def test_the_rowwise_networks_say_what_the_networks_say() -> None:
    net, latents = vae(), torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        wanted = net.errors(latents, rows()).sum(1) - net.prior.log_prob(latents)
        # the network itself computes in half the precision
        assert torch.allclose(RowwiseDecoder(net)(latents, rows()), wanted, atol=0.2)
        own = critic()
        assert torch.equal(RowwiseCritic(own)(rows()), own(own.summed(rows(), own.embed())))
