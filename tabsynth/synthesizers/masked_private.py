"""The masked model under differential privacy: noisy counts of single columns, then DP-SGD on all rows.

The vocabulary, the first biases and the calibration of samples come from the noisy counts; the order of drawing and the
slots that rows are sorted by come from rows that the trained network itself draws.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from tabsynth.marginals.effort import bins_of
from tabsynth.marginals.one_way import one_ways
from tabsynth.marginals.spending import Charged
from tabsynth.marginals.vocabulary import public_codec, slot_counts
from tabsynth.privacy.budget import Privacy, zcdp_rho
from tabsynth.privacy.dpsgd import Descent
from tabsynth.schema import Schema
from tabsynth.synthesizers.base import Draw
from tabsynth.synthesizers.private import check_whole
from tabsynth.synthesizers.private_rows import PrivateRows, grids_of
from tabsynth.training.loop import chosen_device
from tabsynth.training.network import slot_losses
from tabsynth.training.order import chain_order, mutual_information, strongest_before
from tabsynth.training.progress import bar
from tabsynth.training.sizing import Sizing

if TYPE_CHECKING:
    from tabsynth.synthesizers.base import Run
    from tabsynth.synthesizers.masked import MaskedSynthesizer

FINE = 0.1
"""Share of the zCDP budget that goes to the counts of single columns."""

CLIP = 1.0
"""Largest norm of one row's gradient."""

DRAWN = 10_000
"""Rows that the trained network draws to find its order."""

PARENTS = 4
"""Slots by which rows are sorted when they are drawn, as for a fit without privacy."""


def fit_masked(model: MaskedSynthesizer, frame: pd.DataFrame, schema: Schema, privacy: Privacy, run: Run) -> None:
    """Fit a masked model; every read of the frame is charged before."""
    check_whole(epochs=model.epochs, min_group=model.min_group)
    noise, ledger, unit = privacy.noise(), privacy.open_ledger, privacy.rows_of_a_unit
    grids = grids_of(schema)
    rho = zcdp_rho(privacy.epsilon, privacy.resolved_delta)
    rows = PrivateRows(frame, schema, grids, privacy, noise.branch(0))
    single = one_ways(grids, rows.cells, Charged(rho, ledger, noise, unit), FINE)
    model.rows_ = max(round(single.rows), 1)
    model.codec_ = public_codec(schema, grids, single.counts, single.sigma, bins_of(single.rows / unit, rho))
    model._prepare([slot_counts(model.codec_, position) for position in range(len(model.codec_.slots))], [])
    model.order_, model.parents_ = [], []
    if not model.active_:
        return
    model.sizing_, model.plain_, model.score_ = sizing_of(single.rows / unit, model.epochs), True, None
    descent = Descent.within(
        ledger,
        steps=max(round(model.sizing_.epochs * single.rows / model.sizing_.batch), 1),
        rate=min(model.sizing_.batch / single.rows, 1.0),
        clip=CLIP,
        rows=single.rows,
        rows_of_a_unit=unit,
    )
    paid = descent.charge(ledger, purpose="DP-SGD on all rows", columns=list(grids), noise=noise)
    device = chosen_device(model.device)
    model.net_ = model._network(torch.Generator().manual_seed(run.seed)).to(device)

    def read() -> tuple[Tensor, npt.NDArray[np.int64] | None]:
        return torch.from_numpy(rows.tokens(model.codec_)[:, model.active_].astype(np.int64)), rows.units()

    def losses(net: nn.Module, /, tokens: Tensor, generator: torch.Generator) -> Tensor:
        masked, weight = masks(tokens.shape[0], tokens.shape[1], generator, tokens.device)
        return (slot_losses(net(tokens.masked_fill(masked, -1)), tokens, model.layout_) * weight).sum(1)

    def learning_rate(step: int) -> float:
        rise = min((step + 1) / (0.05 * descent.steps), 1.0)
        return model.sizing_.rate * rise * 0.5 * (1 + math.cos(math.pi * step / descent.steps))

    with bar(descent.steps, "fit", "step", run.progress) as shown:
        paid.train(model.net_, losses, read, learning_rate=learning_rate, after=lambda step: shown.update(1))
    model.net_.eval()
    # The order, too, is learned from what the network says, not from the rows.
    slots = len(model.active_)
    model.order_, model.parents_ = model._in_order(list(range(slots))), [[] for _ in range(slots)]
    free = np.full((DRAWN, slots), -1, np.int32)
    drawn = model._draw(free, [None] * slots, Draw.of(run.seed, False), calibrate=True, stratify=False)
    information = mutual_information(drawn, model.layout_)
    model.order_ = model._in_order(chain_order(information))
    model.parents_ = strongest_before(information, model.order_, PARENTS)


def masks(rows: int, slots: int, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which slots of each row are hidden, a uniform number of them, and the weight of each; shape (rows, slots)."""
    places = torch.rand(rows, slots, generator=generator, device=device).argsort(1).argsort(1)
    known = torch.randint(0, slots, (rows, 1), generator=generator, device=device)
    masked = places >= known
    return masked, masked / (slots - known)


def sizing_of(units: float, epochs: int | None) -> Sizing:
    """Size and length of a private fit, from the noisy number of units alone."""
    batch = int(np.clip(units / 8, 64, 2048))
    return Sizing(
        width=128,
        blocks=2,
        dropout=0.0,
        skip=False,
        smooth=0.0,
        batch=batch,
        rate=2e-3,
        decay=0.0,
        epochs=epochs or 30,
    )
