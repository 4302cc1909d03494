"""A private fit whose released numbers are noise alone, so that anything else of the data must show as a difference.

Every mechanism reads the rows as always, but what it read is replaced by zeros of the same shape before the noise is
added, and the noise is fixed. Two tables then lead to the very same model file, unless something of them went past
the mechanisms.
"""

from __future__ import annotations

import contextlib
import io
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tabsynth.privacy.accounting import ledger
from tabsynth.privacy.budget import Privacy
from tabsynth.privacy.mechanisms import dp_sgd, exponential, noisy_counts
from tabsynth.synthesizers.base import Synthesizer

from .tables import SCHEMA

PRIVACY = Privacy(epsilon=2.0, delta=1e-5, n_public=100, insecure_seed=3)


def blind(patch: pytest.MonkeyPatch) -> None:
    """Replace all that is read by zeros, after it was read."""
    checked, gradients = noisy_counts.as_exact_integers, dp_sgd.DpSgdStep.gradients

    def zeros(values: Any) -> Any:
        return np.zeros_like(checked(values))

    def no_gradients(step: dp_sgd.DpSgdStep, losses: Any) -> None:
        gradients(step, losses)
        for weight in step.optimiser.params:
            weight.grad = torch.zeros_like(weight)

    for module in (noisy_counts, exponential):
        patch.setattr(module, "as_exact_integers", zeros)
    patch.setattr(dp_sgd.DpSgdStep, "gradients", no_gradients)
    fixed_time(patch)


def fixed_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ledger, "_today", lambda: "2024-01-01")


def fitted(make: Callable[[], Synthesizer], frame: pd.DataFrame, privacy: Privacy = PRIVACY) -> tuple[Any, str]:
    """A private fit, and all that it said on the way."""
    said = io.StringIO()
    with (
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")
        model = make().fit(frame, schema=SCHEMA, privacy=privacy, progress=False)
    return model, said.getvalue() + "".join(str(warning.message) for warning in warned)


def members(model: Synthesizer, folder: Path) -> dict[str, bytes]:
    """The members of a model's file."""
    model.save(folder / "model")
    with zipfile.ZipFile(folder / "model") as archive:
        return {name: archive.read(name) for name in archive.namelist()}
