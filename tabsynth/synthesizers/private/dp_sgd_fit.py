"""How a network is fitted by DP-SGD: it begins on rows of a private mixture, then takes noisy steps on the real ones.

A part of the budget buys noisy counts, and a mixture that is fitted to them. The vocabulary, the order of drawing and
the calibration of samples come from these, and so do the rows that the network is trained on before it meets a private
one. The rest of the budget buys the noisy steps, all at once and before the first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from tabsynth.common.arrays import Tokens
from tabsynth.common.progress import progress_bar
from tabsynth.privacy.budget import Privacy
from tabsynth.privacy.mechanisms.dp_sgd import ChargedDpSgd, DpSgdConfig, LossFn
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.marginal.private_rows import PrivateRows
from tabsynth.synthesizers.private.distillation import fit_teacher

if TYPE_CHECKING:
    from tabsynth.synthesizers.options import FitOptions
    from tabsynth.synthesizers.token_synthesizer import TokenSynthesizer

TEACHER_BUDGET_SHARE = 0.5
"""Share of the zCDP budget that goes to the mixture."""

WEIGHT_AVERAGE_DECAY = 0.98
"""Decay of the average of the weights over noisy steps, which is what is kept."""


class WeightAverage:
    """The average of a module's weights over steps.

    Args:
        module: What is averaged.
    """

    def __init__(self, module: nn.Module) -> None:
        self._weights = list(module.parameters())
        self._average = [weight.detach().clone() for weight in self._weights]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step."""
        decay = min(WEIGHT_AVERAGE_DECAY, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._average, [weight.detach() for weight in self._weights], 1 - decay)

    @torch.no_grad()
    def copy_to_module(self) -> None:
        """Put the average in the module."""
        for weight, mean in zip(self._weights, self._average, strict=True):
            weight.copy_(mean)


@dataclass(frozen=True, eq=False)
class DpSgdFit:
    """What a network has before its noisy steps.

    Attributes:
        model: What is fitted; its vocabulary is the mixture's.
        privacy: What was asked for, with the ledger.
        noise: Where all noise of the fit comes from.
        rows: The private rows, unread.
        drawn: Rows of the mixture, shape (rows, learned slots).
        run: How the fit is to be run.
    """

    model: TokenSynthesizer
    privacy: Privacy
    noise: Noise
    rows: PrivateRows
    drawn: Tokens
    run: FitOptions

    @property
    def units(self) -> float:
        """The noisy number of rows over the most that a unit has."""
        return float(self.model.rows_) / self.privacy.max_rows_per_unit

    def charge_steps(self, *, batch: int, epochs: float, clip: float, purpose: str) -> ChargedDpSgd:
        """Charge the rest of the budget for steps of so many rows, in which each row is so often on average."""
        count = float(self.model.rows_)
        config = DpSgdConfig.from_budget(
            self.privacy.open_ledger,
            steps=max(round(epochs * count / batch), 1),
            rate=min(batch / count, 1.0),
            clip=clip,
            rows=count,
            max_rows_per_unit=self.privacy.max_rows_per_unit,
        )
        columns = list(self.rows.grids)
        return config.charge(self.privacy.open_ledger, purpose=purpose, columns=columns, noise=self.noise)

    def train(
        self,
        paid: ChargedDpSgd,
        module: nn.Module,
        losses: LossFn,
        *,
        rate: float,
        after: Callable[[int], None] = lambda step: None,
        public: Callable[[nn.Module], Tensor] | None = None,
    ) -> None:
        """Take the steps that were paid for and leave the average of the weights; see ``ChargedDpSgd.train``."""
        steps, average = paid.config.steps, WeightAverage(module)
        with progress_bar(steps, "fit", "step", self.run.progress) as shown:

            def done(step: int) -> None:
                after(step)
                average.update(step)
                shown.update(1)

            def learning_rate(step: int) -> float:
                rise = min((step + 1) / (0.05 * steps), 1.0)
                return rate * rise * 0.5 * (1 + math.cos(math.pi * step / steps))

            paid.train(module, losses, self._read, learning_rate=learning_rate, after=done, public=public)
        average.copy_to_module()

    def _read(self) -> tuple[Tensor, npt.NDArray[np.int64] | None]:
        tokens = self.rows.tokens(self.model.codec_)[:, self.model.active_]
        return torch.from_numpy(tokens.astype(np.int64)), self.rows.units()


def prepare_dp_sgd(
    model: TokenSynthesizer, frame: pd.DataFrame, schema: Schema, privacy: Privacy, run: FitOptions
) -> DpSgdFit:
    """Fit a teacher for a share of the budget; every read of the frame is charged before."""
    teacher = fit_teacher(model, frame, schema, privacy, run, budget_share=TEACHER_BUDGET_SHARE)
    options = replace(run, fit_discriminator=False)  # it would see the network as it was before the noisy steps
    return DpSgdFit(model, privacy, teacher.noise, teacher.rows, teacher.sample, options)
