"""Parts of a GAN: gradients through sampled tokens, the critic, unbiased moments and raked weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tabsynth.errors import ModelFileError
from tabsynth.synthesizers.sampling.importance_resampling import (
    cap_weights,
    rake_weights,
    resample_per_group,
    resample_systematically,
)
from tabsynth.training.loop import Objective
from tabsynth.training.marginal_matching import Moments
from tabsynth.training.networks.discriminator import Critic, drawn_losses, real_losses, steepness
from tabsynth.training.networks.generator import Bag, Drawn, Generator
from tabsynth.training.networks.layout import Layout
from tabsynth.training.networks.vae import LatentSizing
from tabsynth.training.stages import Stages
from tabsynth.training.training_run import TrainingRun
from tabsynth.training.training_state import TrainingConfig

SIZES = (3, 12, 2)


def layout() -> Layout:
    rng = np.random.default_rng(0)
    return Layout(SIZES, (0, 10, 0), tuple(rng.integers(5, 50, size) for size in SIZES))


def rows(count: int, seed: int) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.column_stack([rng.integers(0, size, count) for size in SIZES]))


def critic() -> Critic:
    return Critic(layout(), width=16, generator=torch.Generator().manual_seed(0))


def generator() -> Generator:
    net = Generator(layout(), [1, 0, 2], LatentSizing.of(100, layout()), torch.Generator().manual_seed(0))
    with torch.no_grad():  # heads begin at zero, where every row is drawn from the marginals
        for weight in (net.head.free, net.links.head.free):
            weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
    return net


def test_a_bag_gathers_forward_and_is_soft_backward() -> None:
    own, tokens = critic(), rows(7, 0)
    table = own.embed().detach()
    soft = [torch.rand(7, size, requires_grad=True) for size in SIZES]
    out = Bag.apply(table, own.places(tokens), layout().offsets, *soft)
    assert torch.allclose(out, own.summed(tokens, table))
    weight = torch.randn(7, 16, generator=torch.Generator().manual_seed(2))
    got = torch.autograd.grad((out * weight).sum(), soft)
    dense = sum(part @ table[layout().segment(slot)] for slot, part in enumerate(soft))
    wanted = torch.autograd.grad((dense * weight).sum(), soft)
    for one, other in zip(got, wanted, strict=True):
        assert torch.allclose(one, other, atol=0.05, rtol=0.02)  # the product is of half the precision


def test_drawn_tokens_follow_the_chances_they_were_drawn_from() -> None:
    """20,000 draws of one latent vector: four standard errors leave a false alarm of 3 in 10,000 a token."""
    net, count = generator(), 20_000
    latents = net.noise(1, torch.Generator().manual_seed(3)).expand(count, -1)
    with torch.no_grad():
        drawn = net.rows(latents, torch.Generator().manual_seed(4))
    first = 1  # the slot that is drawn first depends on the latents alone
    chances = drawn.chances[first][0]
    found = torch.bincount(drawn.tokens[:, first], minlength=SIZES[first]) / count
    assert float(chances.max() - chances.min()) > 0.05
    assert bool(((found - chances).abs() <= 4 * (chances * (1 - chances) / count).sqrt() + 1e-6).all())
    for slot, size in enumerate(SIZES):
        assert int(drawn.tokens[:, slot].max()) < size


def test_gradients_reach_every_weight_of_the_generator() -> None:
    net, own = generator(), critic()
    net.shed()
    noise = torch.Generator().manual_seed(5)
    drawn = net.rows(net.noise(64, noise), noise)
    seen = Bag.apply(own.embed().detach(), own.places(drawn.tokens), layout().offsets, *drawn.soft)
    own(seen, frozen=True).sum().backward()
    for name, weight in net.named_parameters():
        if name.startswith(("inward", "writer.norm", "head.free", "links.")) and "slow" not in name:
            assert weight.grad is not None, name
            assert float(weight.grad.abs().sum()) > 0, name
    assert all(weight.grad is None for weight in own.parameters())


def test_the_loss_on_a_real_row_depends_on_that_row_alone() -> None:
    own, some = critic(), rows(20, 1)
    table = own.embed()
    together = real_losses(own, some, table)
    alone = torch.cat([real_losses(own, some[i : i + 1], table) for i in range(20)])
    assert torch.allclose(together, alone, atol=1e-6)
    assert not any(isinstance(layer, torch.nn.modules.batchnorm._BatchNorm) for layer in own.modules())


def test_steepness_is_what_a_swap_changes() -> None:
    """On a critic made linear, the first-order change is the change itself."""
    own, some = critic(), rows(30, 2)
    with torch.no_grad():
        for layer in own.layers:
            layer.weight.abs_()  # type: ignore[operator, union-attr]
        own.shift.fill_(50.0)  # far from the kink, the activation is linear
    table = own.embed()
    found = float(steepness(own, some, table).detach())
    with torch.no_grad():
        base, total = own(own.summed(some, table)), 0.0
        for slot in range(len(SIZES)):
            swapped = some.clone()
            swapped[:, slot] = some.roll(1, 0)[:, slot]
            total += float((own(own.summed(swapped, table)) - base).square().sum()) / 30
    assert found == pytest.approx(total, rel=0.1)


def test_a_critic_learns_what_differs() -> None:
    real, fake, judged, others = rows(3000, 3), rows(3000, 4), rows(800, 5), rows(800, 6)
    fake[:, 2], others[:, 2] = fake[:, 0] % 2, others[:, 0] % 2
    own = critic()

    def loss(true: Tensor, drawn: Tensor) -> Tensor:
        table = own.embed()
        return real_losses(own, true, table).mean() + drawn_losses(own, drawn, table)

    assert float(loss(judged, others).detach()) == pytest.approx(2 * np.log(2), abs=0.2)
    optimiser = torch.optim.Adam(own.parameters(), lr=1e-2)
    for step in range(150):
        optimiser.zero_grad()
        batch = slice(step * 20, step * 20 + 128)
        loss(real[batch], fake[batch]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert float(loss(judged, others).detach()) < 1.1


def _as_drawn(tokens: Tensor) -> Drawn:
    hot = [torch.nn.functional.one_hot(tokens[:, i], size).float() for i, size in enumerate(SIZES)]
    return Drawn(tokens, hot, hot)


def test_moments_are_unbiased_and_see_dependence() -> None:
    """The mean over 400 batches of the real distribution is zero within four standard errors."""
    real = rows(4000, 7)
    moments = Moments(layout(), [1, 0, 2], real)
    rng = np.random.default_rng(8)
    losses = [float(moments.loss(_as_drawn(real[rng.integers(0, len(real), 64)]))) for _ in range(400)]
    assert abs(np.mean(losses)) < 4 * np.std(losses) / 20
    dependent = real.clone()
    dependent[:, 2] = dependent[:, 0] % 2
    assert float(moments.loss(_as_drawn(dependent))) > 0.05
    assert float(moments.distance(real)) == pytest.approx(0, abs=1e-6)


def test_groups_of_few_rows_weigh_less_where_that_is_asked() -> None:
    """Two rows of 400 weigh as twenty would: a tenth; groups of more rows weigh as ever."""
    real = torch.from_numpy(np.indices(SIZES).reshape(3, -1).T.copy()).repeat(6, 1)[:400]
    real[:, 0] = (torch.arange(len(real)) < 2).long()
    without, dependent = real.clone(), real.clone()
    without[:, 0], dependent[:, 2] = 0, dependent[:, 1] % 2
    plain, asked = (Moments(layout(), [1, 0, 2], real, least=least) for least in (1, 20))
    assert float(plain.distance(without)) > 5 * float(asked.distance(without)) > 0
    assert float(plain.distance(dependent)) == pytest.approx(float(asked.distance(dependent)), rel=0.02)


def test_raked_weights_meet_their_targets_below_their_cap() -> None:
    tokens = rows(6000, 9)
    weights = torch.rand(6000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) ** 3
    targets = [torch.arange(1, size + 1, dtype=torch.float64) for size in SIZES]
    targets = [target / target.sum() for target in targets]
    out = rake_weights(weights, tokens, dict(enumerate(targets)), 4)
    assert float(out.max()) < 4.2
    for slot, target in enumerate(targets):
        found = torch.zeros(SIZES[slot], dtype=torch.float64).index_add_(0, tokens[:, slot], out) / len(out)
        assert float((found - target).abs().max()) < 0.01
    assert float(cap_weights(weights, 2).max()) < 2.1


def test_rows_are_taken_in_proportion_and_not_twice() -> None:
    noise = torch.Generator().manual_seed(0)
    weights = cap_weights(torch.rand(4000, generator=noise, dtype=torch.float64) ** 4, 4)
    order = torch.randperm(4000, generator=noise)
    chosen = resample_systematically(weights.clamp(max=4), 1000, order, noise)
    assert len(chosen.unique()) >= 0.99 * len(chosen)
    heavy = weights > weights.median()
    share = float(weights[heavy].sum() / weights.sum())
    assert abs(float(heavy[chosen].double().mean()) - share) < 0.01
    each = resample_per_group(weights, 4, noise)
    assert (each // 4 == torch.arange(1000)).all()
    of_four = (weights * heavy).view(-1, 4).sum(1) / weights.view(-1, 4).sum(1)
    # 1,000 independent draws: four standard errors of a share are at most 0.064.
    assert abs(float(heavy[each].double().mean()) - float(of_four.mean())) < 0.064


def test_a_finished_stage_is_not_run_again(tmp_path: Path) -> None:
    def never(batch: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        raise AssertionError("run again")

    def stages(fingerprint: str) -> Stages:
        return Stages(TrainingRun(0, False, tmp_path / "fit", fingerprint=fingerprint))

    module, rows = torch.nn.Linear(1, 1, bias=False), torch.ones(8, 1)
    config = TrainingConfig(steps=4, eval_every=4, batch=4, rate=0.1)
    objective = Objective(lambda batch, noise: (module(batch) - 3).square().mean(), lambda: 0.5)
    assert stages("one").train("warm", module, objective, rows, config) == 0.5
    trained = float(module.weight.detach())
    with torch.no_grad():
        module.weight.zero_()
    again = stages("one")
    assert again.train("warm", module, Objective(never, lambda: 0.5), rows, config) == 0.5
    assert float(module.weight.detach()) == trained
    with pytest.raises(ModelFileError, match="another fit"):
        stages("other").train("warm", module, objective, rows, config)
    again.clear()
    assert not list(tmp_path.iterdir())
