"""GANSynthesizer: distinct rows, constraints, resumption of every stage, and refused weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.common.model_file import load
from tabsynth.common.progress import Progress
from tabsynth.errors import InputError, ModelFileError
from tabsynth.schema import Schema
from tabsynth.synthesizers import gan_training
from tabsynth.synthesizers.gan import GANSynthesizer


@pytest.mark.slow
def test_no_row_is_drawn_twice(gan: GANSynthesizer, frame: pd.DataFrame) -> None:
    """About 1,300 values of height and income together leave few rows that are alike by chance."""
    assert gan.sample(2600, seed=1).duplicated().mean() <= frame.duplicated().mean() + 0.01


def test_constraints_hold(frame: pd.DataFrame) -> None:
    table = frame.head(400).assign(late=lambda x: x["age"] + np.arange(400) % 7)[["age", "late", "sex"]]
    columns = {"age": {"kind": "numeric"}, "late": {"kind": "numeric"}, "sex": {"kind": "categorical"}}
    constraint = {"kind": "inequality", "low": "age", "high": "late"}
    schema = Schema.from_dict({"columns": columns, "constraints": [constraint]})
    rows = GANSynthesizer(epochs=2).fit(table, schema=schema, seed=0).sample(200, seed=0)
    assert (rows["age"] <= rows["late"]).all()


class BreakError(Exception):
    """The fit is broken off."""


@pytest.fixture(scope="module")
def whole(frame: pd.DataFrame) -> tuple[GANSynthesizer, list[Progress]]:
    every: list[Progress] = []
    return GANSynthesizer(epochs=4).fit(frame.head(160), seed=5, callbacks=(every.append,)), every


@pytest.mark.slow
@pytest.mark.parametrize(
    "stages_done", [pytest.param(1, id="warm"), pytest.param(2, id="between"), pytest.param(3, id="generator")]
)
def test_a_fit_that_broke_off_resumes_and_ends_the_same(
    tmp_path: Path, frame: pd.DataFrame, whole: tuple[GANSynthesizer, list[Progress]], stages_done: int
) -> None:
    seen: list[Progress] = []

    def broken(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) > stages_done:
            raise BreakError

    few, checkpoint = frame.head(160), tmp_path / "fit.checkpoint"
    with pytest.raises(BreakError):
        GANSynthesizer(epochs=4).fit(few, seed=5, checkpoint=checkpoint, callbacks=(broken,))
    with pytest.raises(ModelFileError, match="another fit"):
        GANSynthesizer(epochs=4).fit(few, seed=6, checkpoint=checkpoint)
    rest: list[Progress] = []
    resumed = GANSynthesizer(epochs=4).fit(few, seed=5, checkpoint=checkpoint, callbacks=(rest.append,))
    model, every = whole
    assert len(rest) == len(every) - stages_done
    assert not list(tmp_path.iterdir())
    for name, weights in model.net_.state_dict().items():
        assert (weights == resumed.net_.state_dict()[name]).all(), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "kept"), [pytest.param(1e-3, True, id="better"), pytest.param(0.05, False, id="ruinous")]
)
def test_what_makes_rows_less_alike_is_taken_back(
    tmp_path: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, rate: float, kept: bool
) -> None:
    """A generator that has hardly begun gains by its adversaries at a fair rate; a wild one ruins it."""
    monkeypatch.setattr(gan_training, "GENERATOR_LR", rate)
    monkeypatch.setattr(gan_training, "ADVERSARIAL_STEPS_RATIO", 2.0)
    few, checkpoint, seen = frame.head(600), tmp_path / "fit.checkpoint", list[Progress]()

    def broken(progress: Progress) -> None:
        if progress.step < (seen[-1].step if seen else 0):
            raise BreakError
        seen.append(progress)

    with pytest.raises(BreakError):
        GANSynthesizer(epochs=2).fit(few, seed=0, checkpoint=checkpoint, callbacks=(broken,))
    warm = load(tmp_path / "fit.checkpoint.warm").arrays
    own = GANSynthesizer(epochs=2).fit(few, seed=0, checkpoint=checkpoint).net_.state_dict()
    assert all(np.array_equal(warm[name], own[name].numpy()) for name in own) is not kept


def test_weighted_rows_are_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="row weights"):
        GANSynthesizer(epochs=1).fit(frame.head(50), weights=np.ones(50), seed=0)
