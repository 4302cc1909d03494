"""The masked model under differential privacy: a private mixture first, then DP-SGD on all rows.

A part of the budget buys noisy counts, and a mixture that is fitted to them. The vocabulary, the first biases, the
order of drawing and the calibration of samples come from these, and so do the rows that the network is trained on
before it meets a private one. The rest of the budget buys noisy steps on the private rows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from tabsynth.line_coder import Tokens
from tabsynth.marginals.spending import Charged
from tabsynth.privacy.budget import Privacy, zcdp_rho
from tabsynth.privacy.dpsgd import Descent
from tabsynth.schema import Schema
from tabsynth.synthesizers.distilled import drawn_by
from tabsynth.synthesizers.marginal import MarginalSynthesizer
from tabsynth.synthesizers.private import check_whole
from tabsynth.synthesizers.private_rows import PrivateRows, grids_of
from tabsynth.training.chain import Chain
from tabsynth.training.loop import Recipe, chosen_device, leg_of, train
from tabsynth.training.network import slot_losses
from tabsynth.training.order import chain_order, mutual_information, strongest_before
from tabsynth.training.parting import parted
from tabsynth.training.progress import bar
from tabsynth.training.sizing import Sizing

if TYPE_CHECKING:
    from tabsynth.synthesizers.base import Run
    from tabsynth.synthesizers.masked import MaskedSynthesizer

FIRST = 0.5
"""Share of the zCDP budget that goes to the mixture."""

PASSES = 15
"""Passes over the rows that the mixture draws, before a private row is met."""

EPOCHS = 10
"""How often each private row is in a batch, on average."""

BATCH = 8192
"""A batch has a quarter of the rows, and this many at most: noise weighs less in a larger one."""

RATE = 1e-3
"""Adam's largest rate in the noisy steps."""

CLIP = 5.0
"""Largest norm of one row's gradient."""

AVERAGE = 0.98
"""Decay of the average of the weights over noisy steps, which is what is kept."""

CHAIN = 0.5
"""Share of the rows of a batch that hide the end of the chain rather than any slots."""

PARENTS = 4
"""Slots by which rows are sorted when they are drawn, as for a fit without privacy."""


def fit_masked(model: MaskedSynthesizer, frame: pd.DataFrame, schema: Schema, privacy: Privacy, run: Run) -> None:
    """Fit a masked model; every read of the frame is charged before."""
    check_whole(epochs=model.epochs, min_group=model.min_group)
    noise, ledger, unit = privacy.noise(), privacy.open_ledger, privacy.rows_of_a_unit
    rows = PrivateRows(frame, schema, grids_of(schema), privacy, noise.branch(0))
    rho = FIRST * zcdp_rho(privacy.epsilon, privacy.resolved_delta)
    teacher = MarginalSynthesizer()
    teacher._learn_rows(rows, Charged(rho, ledger, noise, unit), privacy.n_public, run)
    model.rows_, model.codec_ = teacher.rows_, teacher.codec_
    model._prepare(teacher.counts_, [])
    model.order_, model.parents_ = [], []
    if not model.active_:
        return
    drawn = drawn_by(teacher, run.seed)
    information = mutual_information(drawn, model.layout_)
    model.order_ = model._in_order(chain_order(information, model.layout_.sizes))
    model.parents_ = strongest_before(information, model.order_, PARENTS)
    count = float(model.rows_)
    model.sizing_, model.plain_, model.score_ = sizing_of(count / unit, model.epochs), True, None
    descent = Descent.within(
        ledger,
        steps=max(round(model.sizing_.epochs * count / model.sizing_.batch), 1),
        rate=min(model.sizing_.batch / count, 1.0),
        clip=CLIP,
        rows=count,
        rows_of_a_unit=unit,
    )
    paid = descent.charge(ledger, purpose="DP-SGD on all rows", columns=list(rows.grids), noise=noise)
    device = chosen_device(model.device)
    model.net_ = model._network(torch.Generator().manual_seed(run.seed)).to(device)
    places = torch.empty(len(model.order_), dtype=torch.long, device=device)
    places[model.order_] = torch.arange(len(model.order_), device=device)
    _pretrain(model, drawn, places, run, device)

    def read() -> tuple[Tensor, npt.NDArray[np.int64] | None]:
        return torch.from_numpy(rows.tokens(model.codec_)[:, model.active_].astype(np.int64)), rows.units()

    def losses(net: nn.Module, /, tokens: Tensor, generator: torch.Generator) -> Tensor:
        masked, weight = masks(len(tokens), places, generator)
        return (slot_losses(net(tokens.masked_fill(masked, -1)), tokens, model.layout_) * weight).sum(1)

    def learning_rate(step: int) -> float:
        rise = min((step + 1) / (0.05 * descent.steps), 1.0)
        return RATE * rise * 0.5 * (1 + math.cos(math.pi * step / descent.steps))

    average = [weight.detach().clone() for weight in model.net_.parameters()]
    with bar(descent.steps, "fit", "step", run.progress) as shown:

        def after(step: int) -> None:
            decay = min(AVERAGE, (1 + step) / (10 + step))
            torch._foreach_lerp_(average, [weight.detach() for weight in model.net_.parameters()], 1 - decay)
            shown.update(1)

        paid.train(model.net_, losses, read, learning_rate=learning_rate, after=after)
    with torch.no_grad():
        for weight, mean in zip(model.net_.parameters(), average, strict=True):
            weight.copy_(mean)
    model.net_.eval()


def _pretrain(model: MaskedSynthesizer, drawn: Tokens, places: Tensor, run: Run, device: torch.device) -> None:
    """Train the network on rows of the mixture: nothing private is read."""
    parts = parted(drawn, run.seed, device)
    per_pass = max(len(parts.training) // 512, 1)

    def loss(batch: Tensor, noise: torch.Generator) -> Tensor:
        masked, weight = masks(len(batch), places, noise)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            logits = model.net_(batch.masked_fill(masked, -1))
        return (slot_losses(logits.float(), batch, model.layout_) * weight).sum() / len(batch)

    def judge() -> float:
        with torch.inference_mode():
            return -float(Chain(model.net_).log_prob(parts.judged, model.order_).mean())

    recipe = Recipe(steps=PASSES * per_pass, leg=leg_of(per_pass), batch=512, rate=2e-3)
    train(model.net_, loss, judge, parts.training, recipe, seed=run.seed, progress=run.progress)


def masks(rows: int, places: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which slots of each row are hidden, and the weight of each; shape (rows, slots).

    Some rows hide any slots, a uniform number of them; the others hide the end of the chain, and the next slot weighs
    as much as all that are hidden.
    """
    device, slots = places.device, len(places)
    dice = torch.rand(rows, slots, generator=generator, device=device)
    follows = torch.rand(rows, 1, generator=generator, device=device) < CHAIN
    own = torch.where(follows, places.expand(rows, slots), dice.argsort(1).argsort(1))
    known = torch.randint(0, slots, (rows, 1), generator=generator, device=device)
    masked = own >= known
    weight = masked / (slots - known)
    return masked, torch.where(follows, 0.5 * weight + 0.5 * (own == known), weight)


def sizing_of(units: float, epochs: int | None) -> Sizing:
    """Size and length of a private fit, from the noisy number of units alone."""
    batch = int(np.clip(units / 4, 64, BATCH))
    return Sizing(
        width=128,
        blocks=2,
        dropout=0.0,
        skip=False,
        smooth=0.0,
        batch=batch,
        rate=RATE,
        decay=0.0,
        epochs=epochs or EPOCHS,
    )
