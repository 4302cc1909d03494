"""The training loop: further cycles while the score improves, and resumed fits that equal uninterrupted ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tabsynth.common.progress import Progress
from tabsynth.training.loop import Objective, train
from tabsynth.training.training_run import TrainingRun
from tabsynth.training.training_state import TrainingConfig
from tabsynth.training.validation_split import resample_rows


class StoppedError(Exception):
    """Raised in the middle of a fit."""


def fit(
    rate: float, *, cycles: int = 3, checkpoint: Path | None = None, stop_at: int | None = None
) -> tuple[int, Tensor]:
    """Fit one number to data of mean one, from zero; returns the steps taken and the number."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    tokens = torch.from_numpy(np.random.default_rng(0).normal(1.0, 0.1, (512, 1)).astype(np.float32))
    steps: list[int] = []

    def note(progress: Progress) -> None:
        steps.append(progress.step)
        if progress.step == stop_at:
            raise StoppedError

    def loss(batch: Tensor, _: torch.Generator) -> Tensor:
        out: Tensor = ((module.weight - batch) ** 2).mean()
        return out

    recipe = TrainingConfig(steps=40, eval_every=5, batch=64, rate=rate, decay=0.0, average=0.5, cycles=cycles)
    objective = Objective(loss, lambda: float(loss(tokens, torch.Generator()).detach()))
    train(module, objective, tokens, recipe, TrainingRun(0, False, checkpoint, (note,)))
    return steps[-1], module.weight.detach().clone()


def test_a_fit_that_still_falls_goes_on_for_all_its_cycles() -> None:
    assert fit(0.005)[0] == 120
    assert fit(0.005, cycles=1)[0] == 40


def test_a_fit_that_has_arrived_does_not_use_all_its_cycles() -> None:
    steps, weight = fit(0.1)
    assert steps == 80  # the first cycle arrived; the second found nothing more
    assert float(weight) == pytest.approx(1.0, abs=0.02)


def test_a_fit_stopped_in_its_second_cycle_ends_like_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tabsynth.training.loop.CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(StoppedError):
        fit(0.005, checkpoint=tmp_path / "state", stop_at=65)
    assert (tmp_path / "state").exists()
    assert torch.equal(fit(0.005, checkpoint=tmp_path / "state")[1], fit(0.005)[1])


def test_rows_come_as_often_as_their_weights_say() -> None:
    weights = np.array([0.0, 1.0, 2.0, 5.0])
    counts = np.bincount(resample_rows(weights, 800, np.random.default_rng(0)), minlength=4)
    assert counts[0] == 0
    assert np.abs(counts - 800 * weights / 8).max() <= 1
