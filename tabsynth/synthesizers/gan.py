"""Generative adversarial network on tokens with a VAE warm start.

The generator is first trained as the decoder of a VAE with a standard normal prior, so that it covers all modes, and
then against a critic.
"""

from __future__ import annotations

from typing import ClassVar

import pandas as pd
import torch

from tabsynth.common.arrays import Tokens
from tabsynth.privacy.budget import Privacy
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.gan_training import GanFit
from tabsynth.synthesizers.latent_synthesizer import LatentSynthesizer
from tabsynth.synthesizers.options import FitOptions
from tabsynth.synthesizers.private.gan import fit_gan
from tabsynth.training.loop import chosen_device
from tabsynth.training.networks.discriminator import Critic
from tabsynth.training.networks.generator import Generator
from tabsynth.training.networks.vae import LatentSizing
from tabsynth.training.validation_split import split_rows

MIN_WIDE_TOKENS, WIDE_EPOCHS_SHARE = 2000, 0.8
"""Larger vocabularies get this share of the VAE's epochs, to bound the time of the fit."""


class GANSynthesizer(LatentSynthesizer):
    """Generative adversarial network on tokens.

    An alternative from another model family. ``MaskedSynthesizer`` is simpler, imputes missing cells and returns
    likelihoods; ``VAESynthesizer`` has a learned prior and no critic. Conditions hold in every row; the distribution of
    the other columns given a condition is approximate, more so for rare conditions.

    Args:
        epochs: Epochs of the warm start; the other stages scale with it. By default from the number of rows.
        min_group: Minimum persons behind each category and each number of the model; 1 switches the floor off.
        device: ``auto``, ``cpu``, ``cuda`` or any torch device.
        private_training: ``distilled`` trains on rows of a ``MarginalSynthesizer`` that gets the whole budget.
            ``dp-sgd`` gives it half of the budget, and trains the critic on real rows by DP-SGD with the rest.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"sex": ["f", "m"] * 50, "age": range(100)})
        >>> synthetic = GANSynthesizer(epochs=2).fit(frame, seed=0).sample(3, seed=1)
        >>> list(synthetic.columns), len(synthetic)
        (['sex', 'age'], 3)
    """

    kind: ClassVar[str] = "gan"
    supports_weights: ClassVar[bool] = False
    net_: Generator

    def _fit_dp_sgd(self, frame: pd.DataFrame, schema: Schema, privacy: Privacy, run: FitOptions) -> None:
        fit_gan(self, frame, schema, privacy, run)

    def _fit_tokens(self, tokens: Tokens, run: FitOptions) -> None:
        self._train_adversarially(tokens, run)

    def _train_adversarially(self, tokens: Tokens, run: FitOptions, critic_width: int | None = None) -> Critic | None:
        """Learn tokens; return the critic, or None if there is nothing to learn."""
        device = chosen_device(self.device)
        self._choose_order(tokens)
        if not self.active_:
            return None
        self.sizing_ = LatentSizing.of(len(tokens), self.layout_)
        width = critic_width or (96 if self.sizing_.width <= 96 else 256)
        self.net_ = self._network(run.seed).to(device)
        critic = Critic(self.layout_, width=width, generator=torch.Generator().manual_seed(run.seed)).to(device)
        parts = split_rows(tokens, run.seed, device)
        fit = GanFit(
            self.net_,
            critic,
            self.order_,
            self.sizing_,
            parts,
            self._n_epochs(),
            self._draw_candidates,
            run,
        )
        stages = fit()
        self._fit_discriminator(parts, run)
        stages.clear()
        return critic

    def _n_epochs(self) -> int:
        """Return the epochs of the warm start."""
        if self.epochs is not None:
            return self.epochs
        return round(self.sizing_.epochs * (WIDE_EPOCHS_SHARE if self.layout_.total > MIN_WIDE_TOKENS else 1))

    def _network(self, seed: int) -> Generator:
        return Generator(self.layout_, self.order_, self.sizing_, torch.Generator().manual_seed(seed))

    def _inference_network(self) -> Generator:
        net = self._network(0)
        net.shed()
        return net
