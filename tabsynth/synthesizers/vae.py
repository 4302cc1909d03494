"""Variational autoencoder of tokens with a learned prior.

The prior is an autoregressive mixture of Gaussians, trained jointly with encoder and decoder; synthetic rows are much
harder to distinguish from real ones than with a standard normal prior.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tabsynth.common.arrays import Arrays, Tokens
from tabsynth.privacy.budget import Privacy
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.latent_synthesizer import LatentSynthesizer
from tabsynth.synthesizers.options import FitOptions
from tabsynth.synthesizers.private.vae import fit_vae
from tabsynth.training.loop import Objective, chosen_device, validation_interval
from tabsynth.training.networks.vae import LatentNet, LatentSizing, some_hidden
from tabsynth.training.training_state import TrainingConfig
from tabsynth.training.validation_split import split_rows

KL_WARMUP_SHARE = 0.3
"""Share of the fit over which the weight of the KL divergence rises to one."""

MIN_KL_WEIGHT = 0.1
"""Initial weight of the KL divergence."""


class VAESynthesizer(LatentSynthesizer):
    """Variational autoencoder with a learned prior.

    Fast on wide tables, because all columns share one pass through the network, and an alternative from another model
    family. ``MaskedSynthesizer`` is usually better: it imputes missing cells, returns likelihoods, meets conditions
    without resampling, and is more accurate on numeric columns that nearly determine each other. Conditions hold in
    every row; the distribution of the other columns given a condition is approximate, more so for rare conditions.

    Args:
        epochs: Number of epochs; by default from the number of rows.
        min_group: Minimum persons behind each category and each number of the model; 1 switches the floor off.
        device: ``auto``, ``cpu``, ``cuda`` or any torch device.
        private_training: ``distilled`` trains on rows of a ``MarginalSynthesizer`` that gets the whole budget.
            ``dp-sgd`` gives it half of the budget, and trains prior and decoder on real rows by DP-SGD with the rest.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"sex": ["f", "m"] * 50, "age": range(100)})
        >>> synthetic = VAESynthesizer(epochs=2).fit(frame, seed=0).sample(3, seed=1)
        >>> list(synthetic.columns), len(synthetic)
        (['sex', 'age'], 3)
    """

    kind: ClassVar[str] = "vae"

    def _fit_tokens(self, tokens: Tokens, run: FitOptions) -> None:
        device = chosen_device(self.device)
        self._choose_order(tokens)
        if not self.active_:
            return
        self.sizing_ = LatentSizing.of(len(tokens), self.layout_)
        parts = split_rows(tokens, run.seed, device, run.row_weights.weights)
        self.net_ = self._network(run.seed).to(device)
        epochs = self.sizing_.epochs if self.epochs is None else self.epochs
        config = latent_training(self.sizing_, epochs, len(parts.training))
        objective = EvidenceLowerBound(self.net_).objective(parts.validation)
        self.score_ = self._train_network(objective, parts, config, run)

    def _fit_dp_sgd(self, frame: pd.DataFrame, schema: Schema, privacy: Privacy, run: FitOptions) -> None:
        fit_vae(self, frame, schema, privacy, run)

    def _network(self, seed: int) -> LatentNet:
        return LatentNet(self.layout_, self.order_, self.sizing_, torch.Generator().manual_seed(seed))

    def card(self) -> dict[str, Any]:
        """Return the model card: facts about the model for users of the synthetic table."""
        return {**super().card(), "held_out_nats_a_row": getattr(self, "score_", None)}

    def _model_state(self) -> tuple[dict[str, Any], Arrays]:
        config, weights = super()._model_state()
        return config | ({"score": self.score_} if self.active_ else {}), weights

    def _restore_model(self, config: dict[str, Any], arrays: Arrays) -> None:
        super()._restore_model(config, arrays)
        if self.active_:
            self.score_ = config["score"]


def latent_training(sizing: LatentSizing, epochs: int, rows: int) -> TrainingConfig:
    """Return the training configuration of encoder and decoder."""
    steps_per_epoch = max(rows // sizing.batch, 1)
    return TrainingConfig(
        steps=epochs * steps_per_epoch,
        eval_every=validation_interval(steps_per_epoch),
        batch=sizing.batch,
        rate=sizing.rate,
        decay=sizing.decay,
        clip=5.0,
    )


class EvidenceLowerBound:
    """Training loss: the negative evidence lower bound, and the negative log-density of latents given part of a row.

    Args:
        net: The network.
    """

    def __init__(self, net: LatentNet) -> None:
        self.net = net
        self.weight = 1.0

    def objective(self, validation: Tensor) -> Objective:
        """Return the loss of a training run with these validation rows."""
        return Objective(self.loss, lambda: self.validation_loss(validation), self.on_step)

    def on_step(self, share: float) -> None:
        """Set the weight of the KL divergence for the completed share of the fit."""
        self.weight = min(1.0, MIN_KL_WEIGHT + (1 - MIN_KL_WEIGHT) * share / KL_WARMUP_SHARE)

    def loss(self, batch: Tensor, noise: torch.Generator) -> Tensor:
        """Return the mean loss of a batch, shape (batch, slots), in nats per row."""
        net, rows = self.net, len(batch)
        table = net.table()
        mean, log_variance = net.encode(net.summed(batch, table), noise)
        latents = _sample_latents(mean, log_variance, noise)
        errors = net.errors(latents, batch, noise).sum()
        divergence = -net.prior.log_prob(latents).sum() - _entropy(log_variance).sum()
        part = batch[: -(-rows // 4)]
        seen = part.masked_fill(some_hidden(part, noise), -1)
        context = net.context(net.summed(seen, table), noise)
        surprise = -net.prior.log_prob(latents[: len(part)].detach(), context).sum()
        return (errors + self.weight * divergence + surprise) / rows

    @torch.inference_mode()
    def validation_loss(self, tokens: Tensor) -> float:
        """Return the negative evidence lower bound of validation rows in nats per row, with fixed noise."""
        net, noise = self.net, torch.Generator(tokens.device).manual_seed(0)
        mean, log_variance = net.encode(net.summed(tokens, net.table()))
        latents = _sample_latents(mean, log_variance, noise)
        errors = net.errors(latents, tokens).sum(1)
        return float((errors - net.prior.log_prob(latents) - _entropy(log_variance)).mean())


def _sample_latents(mean: Tensor, log_variance: Tensor, noise: torch.Generator) -> Tensor:
    """Return a sample of the latents of each row."""
    normal = torch.empty_like(mean).normal_(generator=noise)
    return mean + (log_variance / 2).exp() * normal


def _entropy(log_variance: Tensor) -> Tensor:
    """Return the entropy of normal posteriors in nats, shape (rows,)."""
    return 0.5 * (log_variance + 1 + float(np.log(2 * np.pi))).sum(1)
