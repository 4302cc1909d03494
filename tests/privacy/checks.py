"""Checks that find the faults of ``faults``; each passes on code without them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.mechanisms import dp_sgd, partition_selection
from tabsynth.privacy.mechanisms.dp_sgd import DpSgdConfig, DpSgdStep
from tabsynth.privacy.mechanisms.exponential import exponential
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.privacy.mechanisms.noisy_counts import noisy_counts
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.schema import Schema
from tabsynth.synthesizers.gan import GANSynthesizer
from tabsynth.synthesizers.marginal import recurring_differences
from tabsynth.synthesizers.marginal.bins.subdivision import subdivide
from tabsynth.synthesizers.marginal.count_source import ExactCounts, MeasuredRows, NoisyCounts
from tabsynth.synthesizers.marginal.private_rows import CellRows, public_grids
from tabsynth.synthesizers.marginal.product_mixture import Mixture
from tabsynth.synthesizers.marginal.public_codec import public_codec
from tabsynth.synthesizers.marginal.sign_products import correlations, dependence, triples
from tabsynth.synthesizers.marginal.sign_products.products import measure_products
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.masked import MaskedSynthesizer

from .shadow import blind, fitted, members
from .tables import CHANGES, table

Patch = pytest.MonkeyPatch


def ledger() -> PrivacyLedger:
    return PrivacyLedger(1e6, 1e-6)


def noise_is_what_was_charged(patch: Patch, folder: Path) -> None:
    own, draws, sensitivity = ledger(), 40_000, 2.0
    facts: dict[str, Any] = {"purpose": "p", "columns": [], "noise": Noise.insecure(1)}
    drawn = noisy_counts(lambda: np.zeros(draws, int), sigma=9.0, sensitivity=sensitivity, ledger=own, **facts)
    charged = own.entries[0].event["noise_multiplier"]
    # 2 % is three standard deviations of a variance of 40,000 draws; the seed is fixed.
    assert (drawn.astype(float) ** 2).mean() > 0.98 * (sensitivity * charged) ** 2
    again = noisy_counts(lambda: np.zeros(draws, int), sigma=9.0, sensitivity=sensitivity, ledger=own, **facts)
    assert abs(np.corrcoef(drawn, again)[0, 1]) < 5 / math.sqrt(draws)


def selection_is_charged(patch: Patch, folder: Path) -> None:
    own, seen = ledger(), []

    def scores() -> Any:
        seen.append(len(own))
        return np.arange(5)

    exponential(scores, rho=0.1, sensitivity=1, ledger=own, purpose="p", columns=[], noise=Noise.secure())
    assert seen == [1]
    assert own.epsilon() > 0


def fresh_noise_differs(patch: Patch, folder: Path) -> None:
    assert (Noise.secure().gaussian(99.0, 20) != Noise.secure().gaussian(99.0, 20)).any()


def rare_values_are_rare(patch: Patch, folder: Path) -> None:
    from scipy.stats import norm

    for sigma, delta in ((10.0, 1e-6), (60.0, 1e-8)):
        assert norm.sf((partition_selection.threshold(sigma, delta) - 1.5) / sigma) <= 1.05 * delta


def step_of(module: torch.nn.Module, data: torch.Tensor, clip: float) -> list[torch.Tensor]:
    step = DpSgdStep(module, DpSgdConfig(1, 1.0, 1.0, clip, 1), Noise.insecure(1))
    step.gradients(lambda net: ((net(data) - 5) ** 2).sum(1))
    step.optimiser.accumulate()
    return [weight.summed_grad for weight in step.optimiser.params]


def gradients_are_clipped_one_by_one(patch: Patch, folder: Path) -> None:
    data = torch.tensor([[3.0, -1.0], [0.5, 2.0], [-4.0, 1.0]])
    module, clip = torch.nn.Linear(2, 2), 0.6
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.3, -0.2], [0.1, 0.5]]))
        module.bias.zero_()
    wanted = [torch.zeros_like(weight) for weight in module.parameters()]
    for row in data:
        module.zero_grad()
        ((module(row[None]) - 5) ** 2).sum().backward()
        own = [weight.grad.clone() for weight in module.parameters() if weight.grad is not None]
        norm = math.sqrt(sum(float((part**2).sum()) for part in own))
        for total, part in zip(wanted, own, strict=True):
            total += part * min(1.0, clip / norm)
    module.zero_grad()
    for total, part in zip(wanted, step_of(module, data, clip), strict=True):
        assert torch.allclose(total, part, atol=1e-4)


def public_gradients_are_added(patch: Patch, folder: Path) -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    step, seen = DpSgdStep(module, DpSgdConfig(1, 1.0, 1e-9, 1.0, 10), Noise.insecure(1)), list[float]()
    step.optimiser.original_optimizer.register_step_pre_hook(lambda *_: seen.append(float(module.weight.grad)))  # type: ignore[arg-type]
    step.take(lambda net: net(torch.ones(4, 1)).sum(1), lambda net: 7 * net(torch.ones(1, 1)).mean())
    assert seen == [pytest.approx(0.4 + 7.0)]


def batches_are_poisson(patch: Patch, folder: Path) -> None:
    noise = Noise.insecure(2)
    sizes = np.array([dp_sgd.sample_poisson(300, 0.1, noise).sum() for _ in range(500)])
    assert 0.7 < sizes.var() / (300 * 0.1 * 0.9) < 1.4  # five standard deviations


def all_steps_are_charged_and_taken(patch: Patch, folder: Path) -> None:
    own, optimised = ledger(), []
    config = DpSgdConfig(6, 0.5, 2.0, 1.0, 10)
    paid = config.charge(own, purpose="p", columns=[], noise=Noise.insecure(1))
    step = torch.optim.Adam.step

    def counted(self: Any, closure: Any = None) -> Any:
        optimised.append(1)
        return step(self, closure)

    patch.setattr(torch.optim.Adam, "step", counted)
    data = torch.randn(10, 2, generator=torch.Generator().manual_seed(0))

    def losses(net: Any, /, tokens: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        out: torch.Tensor = (net(tokens) ** 2).sum(1)
        return out

    paid.train(torch.nn.Linear(2, 1), losses, lambda: (data, None), learning_rate=lambda step: 0.01)
    assert len(optimised) == own.entries[0].event["count"] == 6


@cache
def neighbours_leave_the_same_file(change: str, make: Callable[[], Any]) -> Callable[[Patch, Path], None]:
    def check(patch: Patch, folder: Path) -> None:
        blind(patch)
        files = []
        for frame in (table(), CHANGES[change](table())):
            model, said = fitted(make, frame)
            assert said == ""
            files.append((members(model, folder), list(model.sample(10, seed=1).columns)))
        assert files[0] == files[1]

    return check


def quick_marginal() -> MarginalSynthesizer:
    return MarginalSynthesizer(components=8)


def quick_masked() -> MaskedSynthesizer:
    return MaskedSynthesizer(epochs=1)


def quick_gan() -> GANSynthesizer:
    return GANSynthesizer(epochs=1, private_training="dp-sgd")


def products_are_charged_and_bounded(patch: Patch, folder: Path) -> None:
    """The products of signs of both searches are read after their charge, and a row changes each by at most one."""
    own, read = ledger(), []
    rows = np.random.default_rng(0).integers(0, 4, (50, 5)).astype(np.int32)
    source = NoisyCounts(100.0, own, Noise.insecure(1))

    def tokens() -> Any:
        read.append(len(own))
        return rows

    marginals, lines, names = [np.full(4, 0.25)] * 5, [4] * 5, list("abcde")
    mixture = Mixture(tuple(np.full((1, 4), 0.25, np.float32) for _ in lines))
    measured = MeasuredRows(tokens, 50.0, source, names)
    triples.select_triples(marginals, lines, mixture, measured)
    pairs = list(combinations(range(5), 2))
    correlations.measure_correlations(marginals, lines, pairs, measured, 0.1)
    assert read == [1, 2]
    for module in (correlations, triples):
        signs = [module.balanced_signs(marginal, line) for marginal, line in zip(marginals, lines, strict=True)]
        both = [MeasuredRows(lambda kept=kept: kept, 1.0, ExactCounts(), names) for kept in (rows, rows[1:])]
        sums, without = (measure_products(signs, pairs, table, 0.1)[0] for table in both)
        assert np.abs(sums - without).max() <= 1


def dependence_is_charged(patch: Patch, folder: Path) -> None:
    """The measure of dependence is read after its charge, and noisy: without dependence it is rarely above zero."""
    own, read = ledger(), []
    cells = {name: np.random.default_rng(0).integers(0, 4, 50) for name in "abcde"}
    grids = public_grids(
        Schema.from_dict({"columns": {name: {"kind": "numeric", "low": 0, "high": 3, "decimals": 0} for name in cells}})
    )

    def column(name: str) -> Any:
        read.append(len(own))
        return cells[name]

    counts = {name: np.full(4, 12.5) for name in cells}
    source = NoisyCounts(1e-4, own, Noise.insecure(1))
    found = [dependence.measure_dependence(grids, counts, column, 50.0, source, 0.1) for _ in range(9)]
    assert min(read) == 1
    assert len(own) == 9
    # A mean product has a noise of 14; one of the rows is below 1. Half of the measures are zero.
    assert max(found) > 1


def divided_cells_follow_from_counts(patch: Patch, folder: Path) -> None:
    """The finer cells of a column are those that counts ask for, whatever its numbers are."""
    schema = Schema.from_dict({"columns": {"x": {"kind": "numeric", "low": 0, "high": 1000}}})
    rules = RuleSet.of(schema)
    ends = []
    for numbers in ([400.0, 410.0, 420.0], [400.0, 410.0, 903.0]):
        rows = CellRows(lambda kept=numbers: pd.DataFrame({"x": kept}), rules, public_grids(schema))
        rows.cells("x")
        finer = subdivide(rows.grids["x"], np.ones(rows.grids["x"].size), (40, 44))
        assert finer is not None
        rows.replace_grid("x", finer[0])
        ends.append((rows.grids["x"].low, rows.grids["x"].high))
    assert all(np.array_equal(one, two) for one, two in zip(*ends, strict=True))


def searches_cost_what_noisy_rows_say(patch: Patch, folder: Path) -> None:
    """The charge of the search for equal numbers follows from the noisy number of rows, not from the rows."""
    amount = {"kind": "numeric", "low": 0, "high": 1000, "decimals": 0}
    schema = Schema.from_dict({"columns": {"bill": amount, "paid": amount}})
    grids = public_grids(schema)
    counts = {name: np.full(grid.size, 2000 / grid.size) for name, grid in grids.items()}
    codec = public_codec(schema, grids, counts, dict.fromkeys(grids, 1.0), 16)
    charged = []
    for rows in (2000, 2001):
        own, numbers = ledger(), np.arange(rows) % 1000
        source = NoisyCounts(10.0, own, Noise.insecure(1))
        recurring_differences.measure_recurring_differences(
            schema, grids, codec, lambda name, kept=numbers: kept.astype(float), 2000.0, source
        )
        charged.append([entry.event for entry in own.entries])
    assert len(charged[0]) == 2
    assert charged[0] == charged[1]
