"""A model of tokens under differential privacy by way of another: it learns rows that a private mixture draws.

Only the mixture reads the private rows, for a charge. All that follows is post-processing and costs nothing: held-out
rows, stopping and the choice of weights are the drawn rows' own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Tokens
from tabsynth.common.validation import check_positive_integers
from tabsynth.errors import InputError
from tabsynth.privacy.budget import Privacy
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.options import SampleContext

if TYPE_CHECKING:
    from tabsynth.synthesizers.options import FitOptions
    from tabsynth.synthesizers.token_synthesizer import TokenSynthesizer


MIN_ROWS = 64
"""Fewest rows that are drawn: a noisy count may be as low as 1."""


PRIVATE_TRAININGS = ("distilled", "dp-sgd")


def uses_dp_sgd(training: str) -> bool:
    """Whether a private fit takes noisy steps on the real rows, rather than learning a mixture's rows alone.

    Raises:
        InputError: There is no such training.
    """
    if training not in PRIVATE_TRAININGS:
        raise InputError(f"private_training must be one of {', '.join(PRIVATE_TRAININGS)}, not {training!r}")
    return training == "dp-sgd"


def fit_distilled(
    model: TokenSynthesizer, frame: pd.DataFrame, schema: Schema, privacy: Privacy, run: FitOptions
) -> None:
    """Fit a model to as many rows of a private mixture as the noisy row count says."""
    check_positive_integers(epochs=model.epochs, min_group=model.min_group)
    teacher = MarginalSynthesizer()
    teacher._fit_private(frame, schema, privacy, run)
    model.rows_, model.codec_, model.relations_ = teacher.rows_, teacher.codec_, teacher.relations_
    model._prepare(teacher.counts_, [])
    model._fit_tokens(sample_teacher(teacher, run.seed), run)


def sample_teacher(teacher: MarginalSynthesizer, seed: int) -> Tokens:
    """As many rows of tokens as the noisy row count says, shape (rows, learned slots)."""
    slots = len(teacher.active_)
    tokens = np.full((max(teacher.rows_, MIN_ROWS), slots), -1, np.int32)
    if slots:
        tokens = teacher._sample_tokens(
            tokens, [None] * slots, SampleContext.of(seed, False), calibrate=False, stratify=True
        )
    return tokens
