"""A generative adversarial network of tokens that starts as a VAE and ends with a choice among its rows.

A generator turns noise into rows. It begins as the decoder of a VAE with a standard normal prior, so that no mode is
missing from the start; then it is trained against a critic. A last critic, stopped early on held-out rows, says which
of the rows that are drawn to take.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
import torch
from torch import Tensor

from tabsynth.line_coder import Floats, Tokens
from tabsynth.privacy.budget import Privacy
from tabsynth.schema import Schema
from tabsynth.synthesizers.base import Arrays, Draw, Run
from tabsynth.synthesizers.choosing import CALIBRATE_FROM, CANDIDATES, CHUNK, Choice, draw_rows
from tabsynth.synthesizers.distilled import by_descent, fit_distilled
from tabsynth.synthesizers.gan_fit import GanFit
from tabsynth.synthesizers.gan_private import fit_gan
from tabsynth.synthesizers.latent_drawing import LatentDrawer
from tabsynth.synthesizers.masked import PARENTS
from tabsynth.synthesizers.picking import Picker
from tabsynth.synthesizers.tokens import TokenSynthesizer
from tabsynth.training.critic import CHANCE, Critic
from tabsynth.training.generator import Generator
from tabsynth.training.latent import LatentSizing
from tabsynth.training.loop import chosen_device
from tabsynth.training.order import chain_order, mutual_information, strongest_before
from tabsynth.training.parting import parted

WIDE, SHARE = 2000, 0.8
"""Vocabularies of more tokens get this share of the VAE's passes, to keep the whole fit within minutes."""


class GANSynthesizer(TokenSynthesizer):
    """Generative adversarial network: a generator of rows, and a critic that says how real they look.

    A second or third opinion by a model of another family. ``MaskedSynthesizer`` is simpler, faster to fit and to
    sample, fills gaps and gives the likelihood of a row. Conditions are met in every row; how the other columns follow
    them is approximate, the more so the rarer the condition, and the critic has no say in it.

    Args:
        epochs: Passes of the warm start over the training rows; the other parts follow in proportion. By default from
            the number of rows.
        min_group: No category and no numeric knot rests on fewer persons than this; 1 switches the floor off.
        device: ``auto``, ``cpu``, ``cuda`` or any torch device.
        private_training: How a private fit learns. ``distilled``: from rows of ``MarginalSynthesizer``, which gets all
            of the budget. ``dp-sgd``: from such rows for half of the budget, then a critic sees real rows by noisy
            steps, for the rest. On Adult at epsilon 3, after four passes, the first erred by 0.023 in pairs of columns
            and the second by 0.025 (columns drawn alone: 0.078; the mixture itself: 0.015).

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"sex": ["f", "m"] * 50, "age": range(100)})
        >>> synthetic = GANSynthesizer(epochs=2).fit(frame, seed=0).sample(3, seed=1)
        >>> list(synthetic.columns), len(synthetic)
        (['sex', 'age'], 3)
    """

    kind: ClassVar[str] = "gan"
    weighs: ClassVar[bool] = False
    width_: int
    score_: float | None

    def __init__(
        self,
        *,
        epochs: int | None = None,
        min_group: int = 5,
        device: str = "auto",
        private_training: str = "distilled",
    ) -> None:
        self.epochs = epochs
        self.min_group = min_group
        self.device = device
        self.private_training = private_training

    def _fit_private(self, frame: pd.DataFrame, schema: Schema, privacy: Privacy, run: Run) -> None:
        if by_descent(self.private_training):
            fit_gan(self, frame, schema, privacy, run)
        else:
            fit_distilled(self, frame, schema, privacy, run)

    def _learn(self, tokens: Tokens, run: Run, critic_width: int | None = None) -> None:
        device = chosen_device(self.device)
        information = mutual_information(tokens, self.layout_)
        self.order_ = self._in_order(chain_order(information, self.layout_.sizes))
        self.parents_ = strongest_before(information, self.order_, PARENTS)
        if not self.active_:
            return
        self.sizing_ = LatentSizing.of(len(tokens), self.layout_)
        self.width_ = critic_width or (96 if self.sizing_.width <= 96 else 256)
        self.net_ = self._network(run.seed).to(device)
        fit = GanFit(
            self.net_,
            lambda seed: self._critic(seed).to(device),
            self.order_,
            self.sizing_,
            parted(tokens, run.seed, device),
            self._passes(),
            self._pool,
            run,
            self._fingerprint(tokens, run) if run.checkpoint else "",
        )
        self.critic_, self.score_ = fit()

    def _passes(self) -> int:
        """Passes of the warm start."""
        if self.epochs is not None:
            return self.epochs
        return round(self.sizing_.epochs * (SHARE if self.layout_.total > WIDE else 1))

    def _network(self, seed: int) -> Generator:
        return Generator(self.layout_, self.order_, self.sizing_, torch.Generator().manual_seed(seed))

    def _critic(self, seed: int) -> Critic:
        return Critic(self.layout_, width=self.width_, generator=torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def _pool(self, count: int, seed: int, polished: bool) -> Tensor:
        """Rows for a critic to learn from, shape (count, slots)."""
        device = self.net_.bias.device
        fixed = torch.full((count, len(self.active_)), -1, device=device)
        free: list[Floats | None] = [None] * len(self.active_)
        noise = torch.Generator(device).manual_seed(seed)
        return self._drawn(fixed, free, noise, polished and count >= CALIBRATE_FROM, polished)

    def _drawn(
        self, tokens: Tensor, limits: list[Floats | None], noise: torch.Generator, calibrate: bool, stratify: bool
    ) -> Tensor:
        """Rows as the generator draws them, in place."""
        picker = Picker(self.layout_, self.parents_, self._emit, limits, noise, calibrate, stratify)
        drawer = LatentDrawer(self.net_, picker, self.order_)
        return torch.cat([drawer.draw(part) for part in torch.split(tokens, CHUNK)])

    @torch.inference_mode()
    def _draw(
        self,
        fixed: Tokens,
        limits: list[Floats | None],
        draw: Draw,
        *,
        calibrate: bool,
        stratify: bool,
    ) -> Tokens:
        device = self.net_.bias.device
        # A critic that knows nothing of held-out rows has no say.
        heard = self.score_ is None or self.score_ < CHANCE
        choice = Choice(self.layout_, self._emit, self._log_odds if heard else None)
        return draw_rows(self._drawn, choice, fixed, limits, draw, device, calibrate=calibrate, stratify=stratify)

    def _log_odds(self, tokens: Tensor) -> Tensor:
        """How real the critic finds rows, shape (rows,)."""
        table = self.critic_.embed()
        return torch.cat([self.critic_(self.critic_.summed(part, table)) for part in torch.split(tokens, 1 << 13)])

    def card(self) -> dict[str, Any]:
        """The model card: what a reader of the synthetic table should know of its model."""
        sampling = (
            f"chosen by a critic among {CANDIDATES} times as many rows; calibrated to the training marginals (from "
            "1,000 rows on) and stratified unless switched off"
        )
        return {**super().card(), "sampling": sampling, "held_out_critic_nats_a_pair": getattr(self, "score_", None)}

    def _learned(self) -> tuple[dict[str, Any], Arrays]:
        config: dict[str, Any] = {"order": self.order_, "parents": self.parents_}
        if not self.active_:
            return config, {}
        parts = {"generator": self.net_, "critic": self.critic_}
        weights = {
            f"{name}.{key}": w.cpu().numpy() for name, net in parts.items() for key, w in net.state_dict().items()
        }
        return config | {"sizing": vars(self.sizing_), "critic": self.width_, "score": self.score_}, weights

    def _relearn(self, config: dict[str, Any], arrays: Arrays) -> None:
        self.order_ = [int(slot) for slot in config["order"]]
        self.parents_ = [[int(slot) for slot in parents] for parents in config["parents"]]
        if self.active_:
            self.sizing_, self.score_ = LatentSizing(**config["sizing"]), config["score"]
            # Files of earlier versions lack the critic's width.
            self.width_ = int(config.get("critic", 96 if self.sizing_.width <= 96 else 256))
            self.net_, self.critic_ = self._network(0), self._critic(0)
            self.net_.shed()
            device = chosen_device(self.device)
            for name, net in {"generator.": self.net_, "critic.": self.critic_}.items():
                own = {key.removeprefix(name): a for key, a in arrays.items() if key.startswith(name)}
                net.load_state_dict({key: torch.from_numpy(a.copy()) for key, a in own.items()})
                net.to(device).eval()
