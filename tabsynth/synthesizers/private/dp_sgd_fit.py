"""DP-SGD fits: pretraining on rows of a private mixture, then DP-SGD on the real rows.

Part of the budget pays for the noisy counts of a mixture. Vocabulary, slot order, calibration and the pretraining rows
derive from these counts. The rest of the budget pays for the DP-SGD steps, all charged before the first.
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
"""Share of the budget (as rho) for the mixture."""

WEIGHT_AVERAGE_DECAY = 0.98
"""Decay of the weight average over the noisy steps."""


class WeightAverage:
    """The average of a module's weights over steps.

    Args:
        module: The module.
    """

    def __init__(self, module: nn.Module) -> None:
        self._weights = list(module.parameters())
        self._average = [weight.detach().clone() for weight in self._weights]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average after a step."""
        decay = min(WEIGHT_AVERAGE_DECAY, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._average, [weight.detach() for weight in self._weights], 1 - decay)

    @torch.no_grad()
    def copy_to_module(self) -> None:
        """Copy the average into the module."""
        for weight, mean in zip(self._weights, self._average, strict=True):
            weight.copy_(mean)


@dataclass(frozen=True, eq=False)
class DpSgdFit:
    """State of a fit before its DP-SGD steps.

    Attributes:
        model: The model, with the vocabulary of the mixture.
        privacy: The requested privacy, with the ledger.
        noise: Source of all noise of the fit.
        rows: The private rows, unread.
        drawn: Rows of the mixture, shape (rows, learned slots).
        run: Options of the fit.
    """

    model: TokenSynthesizer
    privacy: Privacy
    noise: Noise
    rows: PrivateRows
    drawn: Tokens
    run: FitOptions

    @property
    def units(self) -> float:
        """The noisy number of rows divided by the maximum rows per unit."""
        return float(self.model.rows_) / self.privacy.max_rows_per_unit

    def charge_steps(self, *, batch: int, epochs: float, clip: float, purpose: str) -> ChargedDpSgd:
        """Charge the rest of the budget for steps with a batch size and an expected number of epochs."""
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
        """Take the charged steps and keep the average of the weights; see ``ChargedDpSgd.train``."""
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
    """Fit a teacher with a share of the budget; every read of the frame is charged before."""
    teacher = fit_teacher(model, frame, schema, privacy, run, budget_share=TEACHER_BUDGET_SHARE)
    options = replace(run, fit_discriminator=False)  # it would describe the network before the noisy steps
    return DpSgdFit(model, privacy, teacher.noise, teacher.rows, teacher.sample, options)
