"""A0: on tables that differ by a row, everything that is not noise is the same, to the byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tabsynth.synthesizers.base import Synthesizer
from tabsynth.synthesizers.gan import GANSynthesizer
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.synthesizers.vae import VAESynthesizer

from .shadow import blind, fitted, fixed_time, members
from .tables import CHANGES, SCHEMA, table

MAKE: dict[str, Callable[[], Synthesizer]] = {
    "marginal": lambda: MarginalSynthesizer(components=8),
    "masked": lambda: MaskedSynthesizer(epochs=1),
    "vae": lambda: VAESynthesizer(epochs=1),
    "gan": lambda: GANSynthesizer(epochs=1),
    "vae by dp-sgd": lambda: VAESynthesizer(epochs=1, private_training="dp-sgd"),
    "gan by dp-sgd": lambda: GANSynthesizer(epochs=1, private_training="dp-sgd"),
}
SOME = {"vae": 0, "gan": 1, "vae by dp-sgd": 2, "gan by dp-sgd": 3, "masked": 3}
"""They learn the rows that the others do, or read as they do, and take longer: each has a quarter of the pairs."""
CHANGED = list(CHANGES)


SLOW = {"gan", "vae by dp-sgd", "gan by dp-sgd"}


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in MAKE])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(kind: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Synthesizer]:
    from tabsynth.synthesizers.private import masked as own

    monkeypatch.setattr(own, "N_PRETRAINING_EPOCHS", 1)
    return MAKE[kind]


def test_there_are_enough_pairs() -> None:
    assert len(CHANGES) >= 20


def test_neighbours_leave_the_same_file(
    kind: str, make: Callable[[], Synthesizer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert differing(make, CHANGED[SOME.get(kind, 0) :: 4 if kind in SOME else 1], monkeypatch, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["masked"], indirect=True)
def test_the_other_neighbours_leave_the_same_file(
    make: Callable[[], Synthesizer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rest = [name for place, name in enumerate(CHANGED) if (place - SOME["masked"]) % 4]
    assert differing(make, rest, monkeypatch, tmp_path) == []


def differing(
    make: Callable[[], Synthesizer], changed: list[str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> list[str]:
    """The changes after which a fit leaves another file or says something else."""
    blind(monkeypatch)
    model, said = fitted(make, table())
    base, drawn = members(model, folder), model.sample(20, seed=5)
    found = []
    for name in changed:
        other, also_said = fitted(make, CHANGES[name](table()))
        if also_said != said or members(other, folder) != base:
            found.append(name)
        pd.testing.assert_frame_equal(other.sample(20, seed=5), drawn)
    return found


def test_with_what_was_read_columns_types_and_keys_are_the_same(
    make: Callable[[], Synthesizer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fixed_time(monkeypatch)
    changes = ("new category", "undeclared null in a number", "a type that flips the column")
    shapes: list[Any] = []
    for frame in (table(), *(CHANGES[change](table()) for change in changes)):
        model, said = fitted(make, frame)
        assert said == ""
        drawn = model.sample(20, seed=5)
        entries = [(e.purpose, e.columns, e.rng, e.sensitivity) for e in model.ledger_.entries]
        shapes.append((drawn.dtypes.to_dict(), sorted(members(model, tmp_path)), entries, model.schema_.to_dict()))
    for change, shape in zip(changes, shapes[1:], strict=True):
        assert shape == shapes[0], change
    assert list(shapes[0][0]) == list(SCHEMA)


def test_the_test_finds_a_leak(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blind(monkeypatch)
    own = MarginalSynthesizer._fit_private

    def leaking(self: MarginalSynthesizer, frame: pd.DataFrame, *rest: Any) -> None:
        own(self, frame, *rest)
        self.rows_ = len(frame)

    monkeypatch.setattr(MarginalSynthesizer, "_fit_private", leaking)
    first, second = (fitted(MAKE["marginal"], frame)[0] for frame in (table(), CHANGES["duplicate row"](table())))
    assert members(first, tmp_path) != members(second, tmp_path)
