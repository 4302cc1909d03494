"""Private fits by distillation: a model learns a sample of a private mixture.

Only the mixture reads the private rows, and charges the ledger; everything after it is post-processing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Tokens
from tabsynth.common.validation import check_positive_integers
from tabsynth.errors import InputError
from tabsynth.privacy.budget import Privacy, gaussian_rho
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.marginal.count_source import NoisyCounts
from tabsynth.synthesizers.marginal.private_rows import PrivateRows, public_grids
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.options import SampleContext

if TYPE_CHECKING:
    from tabsynth.synthesizers.options import FitOptions
    from tabsynth.synthesizers.token_synthesizer import TokenSynthesizer


MIN_ROWS = 64
"""Minimum rows of the teacher's sample; a noisy count may be as low as 1."""

PRIVATE_TRAININGS = ("distilled", "dp-sgd")


def uses_dp_sgd(training: str) -> bool:
    """Return whether a private fit ends with DP-SGD on the real rows.

    Raises:
        InputError: The training is unknown.
    """
    if training not in PRIVATE_TRAININGS:
        raise InputError(f"private_training must be one of {', '.join(PRIVATE_TRAININGS)}, not {training!r}")
    return training == "dp-sgd"


def fit_distilled(
    model: TokenSynthesizer, frame: pd.DataFrame, schema: Schema, privacy: Privacy, run: FitOptions
) -> None:
    """Fit a model to a sample of a teacher that uses the whole budget."""
    model._fit_tokens(fit_teacher(model, frame, schema, privacy, run).sample, run)


@dataclass(frozen=True, eq=False)
class Teacher:
    """A private mixture, whose vocabulary the model uses.

    Attributes:
        noise: Source of all noise of the fit.
        rows: The private rows, read only by mechanisms that charge the ledger.
        sample: Rows of the mixture, shape (rows, learned slots).
    """

    noise: Noise
    rows: PrivateRows
    sample: Tokens


def fit_teacher(
    model: TokenSynthesizer,
    frame: pd.DataFrame,
    schema: Schema,
    privacy: Privacy,
    run: FitOptions,
    *,
    budget_share: float = 1.0,
) -> Teacher:
    """Fit a mixture with a share of the budget, set the model's vocabulary, and sample the mixture.

    The sample has as many rows as the noisy row count, and at least ``MIN_ROWS``.
    """
    check_positive_integers(epochs=model.epochs, min_group=model.min_group)
    noise = privacy.noise()
    rules = RuleSet.of(schema)
    rows = PrivateRows(frame, rules, public_grids(rules.model_schema()), privacy, noise.branch(0))
    rho = budget_share * gaussian_rho(privacy.epsilon, privacy.resolved_delta)
    mixture = MarginalSynthesizer()
    mixture._fit_rows(
        rows, NoisyCounts(rho, privacy.open_ledger, noise, privacy.max_rows_per_unit), privacy.n_public, run
    )
    model.rows_, model.codec_, model.relations_ = mixture.rows_, mixture.codec_, mixture.relations_
    model._prepare(mixture.counts_, [])
    slots = len(mixture.active_)
    sample = np.full((max(mixture.rows_, MIN_ROWS), slots), -1, np.int32)
    if slots:
        sample = mixture._sample_tokens(sample, [None] * slots, SampleContext.of(run.seed, False))
    return Teacher(noise, rows, sample)
