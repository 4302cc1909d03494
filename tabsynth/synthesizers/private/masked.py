"""DP-SGD fit of the masked model: pretraining on a private mixture's rows, then DP-SGD on all rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from tabsynth.common.arrays import Tokens
from tabsynth.privacy.budget import Privacy
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.private.dp_sgd_fit import prepare_dp_sgd
from tabsynth.synthesizers.sampling.tree_refinement import TreeConditionals
from tabsynth.training.loop import Objective, chosen_device, train, validation_interval
from tabsynth.training.model_size import Sizing
from tabsynth.training.networks.autoregressive import AutoregressiveModel
from tabsynth.training.networks.masked import slot_losses
from tabsynth.training.precision import product_autocast
from tabsynth.training.training_run import TrainingRun
from tabsynth.training.training_state import TrainingConfig
from tabsynth.training.validation_split import split_rows

if TYPE_CHECKING:
    from tabsynth.synthesizers.masked import MaskedSynthesizer
    from tabsynth.synthesizers.options import FitOptions

N_PRETRAINING_EPOCHS = 15
"""Epochs of pretraining on the mixture's rows."""

N_EPOCHS = 10
"""Expected epochs of DP-SGD."""

MAX_BATCH = 8192
"""Maximum batch size; a batch has a quarter of the rows, because noise matters less in large batches."""

MAX_LR = 1e-3
"""Adam's peak learning rate in the noisy steps."""

MAX_GRADIENT_NORM = 5.0
"""Clipping norm of per-row gradients."""

ORDERED_ROWS_SHARE = 0.5
"""Share of batch rows in the fixed order instead of any order."""


def fit_masked(
    model: MaskedSynthesizer, frame: pd.DataFrame, schema: Schema, privacy: Privacy, run: FitOptions
) -> None:
    """Fit a masked model; every read of the frame is charged before."""
    start = prepare_dp_sgd(model, frame, schema, privacy, run)
    model.order_, model.parents_, model.tree_conditionals_, model.cross_, model.precision_ = (
        [],
        [],
        TreeConditionals(),
        None,
        None,
    )
    if not model.active_:
        return
    model._choose_order(start.drawn)
    model.sizing_, model.plain_, model.score_ = private_sizing(start.units, model.epochs), True, None
    sizing = model.sizing_
    model.epochs_ = sizing.epochs
    paid = start.charge_steps(
        batch=sizing.batch, epochs=sizing.epochs, clip=MAX_GRADIENT_NORM, purpose="DP-SGD on all rows"
    )
    device = chosen_device(model.device)
    model.net_ = model._network(torch.Generator().manual_seed(run.seed)).to(device)
    places = torch.empty(len(model.order_), dtype=torch.long, device=device)
    places[model.order_] = torch.arange(len(model.order_), device=device)
    _pretrain(model, start.drawn, places, run, device)

    def losses(net: nn.Module, /, tokens: Tensor, generator: torch.Generator) -> Tensor:
        masked, weight = draw_masks(len(tokens), places, generator)
        return (slot_losses(net(tokens.masked_fill(masked, -1)), tokens, model.layout_) * weight).sum(1)

    start.train(paid, model.net_, losses, rate=MAX_LR)
    model.net_.eval()


def _pretrain(model: MaskedSynthesizer, drawn: Tokens, places: Tensor, run: FitOptions, device: torch.device) -> None:
    """Train the network on rows of the mixture; no private row is read."""
    parts = split_rows(drawn, run.seed, device)
    steps_per_epoch = max(len(parts.training) // 512, 1)

    def loss(batch: Tensor, noise: torch.Generator) -> Tensor:
        masked, weight = draw_masks(len(batch), places, noise)
        with product_autocast(device):
            logits = model.net_(batch.masked_fill(masked, -1))
        return (slot_losses(logits.float(), batch, model.layout_) * weight).sum() / len(batch)

    def validation_loss() -> float:
        with torch.inference_mode():
            return -float(AutoregressiveModel(model.net_).log_prob(parts.validation, model.order_).mean())

    config = TrainingConfig(
        steps=N_PRETRAINING_EPOCHS * steps_per_epoch,
        eval_every=validation_interval(steps_per_epoch),
        batch=512,
        rate=2e-3,
    )
    train(model.net_, Objective(loss, validation_loss), parts.training, config, TrainingRun(run.seed, run.progress))


def draw_masks(rows: int, places: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the masked slots of each row, and their weights, shape (rows, slots) each.

    Some rows mask a uniform number of random slots; the others mask the end of the fixed order, and the next slot
    weighs as much as all masked ones.
    """
    device, slots = places.device, len(places)
    dice = torch.rand(rows, slots, generator=generator, device=device)
    follows = torch.rand(rows, 1, generator=generator, device=device) < ORDERED_ROWS_SHARE
    own = torch.where(follows, places.expand(rows, slots), dice.argsort(1).argsort(1))
    known = torch.randint(0, slots, (rows, 1), generator=generator, device=device)
    masked = own >= known
    weight = masked / (slots - known)
    return masked, torch.where(follows, 0.5 * weight + 0.5 * (own == known), weight)


def private_sizing(units: float, epochs: int | None) -> Sizing:
    """Size and length of a private fit, from the noisy number of units."""
    batch = int(np.clip(units / 4, 64, MAX_BATCH))
    return Sizing(
        width=128,
        blocks=2,
        dropout=0.0,
        skip=False,
        smooth=0.0,
        batch=batch,
        rate=MAX_LR,
        decay=0.0,
        epochs=epochs or N_EPOCHS,
    )
