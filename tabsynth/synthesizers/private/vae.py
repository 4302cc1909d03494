"""DP-SGD fit of the VAE: pretraining on a private mixture's rows, then DP-SGD of prior and decoder on the real rows.

Encoder and conditional prior keep their pretrained weights: the evidence lower bound holds for any encoder, and fewer
weights receive less noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import Tensor, nn

from tabsynth.privacy.budget import Privacy
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.private.dp_sgd_fit import prepare_dp_sgd
from tabsynth.training.networks.ghost_networks import RowwiseDecoder

if TYPE_CHECKING:
    from tabsynth.synthesizers.options import FitOptions
    from tabsynth.synthesizers.vae import VAESynthesizer

N_EPOCHS, MAX_BATCH, MAX_LR, MAX_GRADIENT_NORM = 10, 8192, 1e-3, 5.0
"""Expected epochs, maximum batch size, Adam's learning rate, and clipping norm."""


def fit_vae(model: VAESynthesizer, frame: pd.DataFrame, schema: Schema, privacy: Privacy, run: FitOptions) -> None:
    """Fit a VAE; every read of the frame is charged before."""
    start = prepare_dp_sgd(model, frame, schema, privacy, run)
    if not model.active_:
        model._fit_tokens(start.drawn, start.run)
        return
    paid = start.charge_steps(
        batch=int(min(max(start.units / 4, 64), MAX_BATCH)),
        epochs=model.epochs or N_EPOCHS,
        clip=MAX_GRADIENT_NORM,
        purpose="DP-SGD of a VAE's prior and decoder on all rows",
    )
    model._fit_tokens(start.drawn, start.run)
    model.score_ = None  # of the network before the noisy steps
    net = model.net_
    with torch.no_grad():
        table = net.table()

    def losses(decoder: nn.Module, /, tokens: Tensor, generator: torch.Generator) -> Tensor:
        with torch.no_grad():
            mean, log_variance = net.encode(net.summed(tokens, table))
            latents = mean + (log_variance / 2).exp() * torch.empty_like(mean).normal_(generator=generator)
        out: Tensor = decoder(latents, tokens)
        return out

    start.train(paid, RowwiseDecoder(net), losses, rate=MAX_LR)
    net.eval()
