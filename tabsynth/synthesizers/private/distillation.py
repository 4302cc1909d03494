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
from tabsynth.synthesizers.options import Draw

if TYPE_CHECKING:
    from tabsynth.synthesizers.options import Run
    from tabsynth.synthesizers.token_synthesizer import TokenSynthesizer


FEWEST = 64
"""Fewest rows that are drawn: a noisy count may be as low as 1."""


TRAININGS = ("distilled", "dp-sgd")


def by_descent(training: str) -> bool:
    """Whether a private fit takes noisy steps on the real rows, rather than learning a mixture's rows alone.

    Raises:
        InputError: There is no such training.
    """
    if training not in TRAININGS:
        raise InputError(f"private_training must be one of {', '.join(TRAININGS)}, not {training!r}")
    return training == "dp-sgd"


def fit_distilled(model: TokenSynthesizer, frame: pd.DataFrame, schema: Schema, privacy: Privacy, run: Run) -> None:
    """Fit a model to as many rows of a private mixture as the noisy row count says."""
    check_positive_integers(epochs=model.epochs, min_group=model.min_group)
    teacher = MarginalSynthesizer()
    teacher._fit_private(frame, schema, privacy, run)
    model.rows_, model.codec_, model.relations_ = teacher.rows_, teacher.codec_, teacher.relations_
    model._prepare(teacher.counts_, [])
    model._learn(drawn_by(teacher, run.seed), run)


def drawn_by(teacher: MarginalSynthesizer, seed: int) -> Tokens:
    """As many rows of tokens as the noisy row count says, shape (rows, learned slots)."""
    slots = len(teacher.active_)
    tokens = np.full((max(teacher.rows_, FEWEST), slots), -1, np.int32)
    if slots:
        tokens = teacher._draw(tokens, [None] * slots, Draw.of(seed, False), calibrate=False, stratify=True)
    return tokens
