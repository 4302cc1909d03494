"""A misspelt argument is an error of ours that suggests the right one, for every public function and constructor."""

from __future__ import annotations

import inspect

import pytest
from sklearn.base import clone

import tabsynth as ts
from tabsynth.common.validation import checked_arguments
from tabsynth.errors import ArgumentError, InputError


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("MaskedSynthesizer", "epoch", "epochs"),
        ("MarginalSynthesizer", "metod", "method"),
        ("VAESynthesizer", "epoch", "epochs"),
        ("GANSynthesizer", "epoch", "epochs"),
        ("evaluate", "holdot", "holdout"),
        ("compare", "hold_out", "holdout"),
        ("read", "shema", "schema"),
        ("write", "keep_formula", "keep_formulas"),
        ("split", "taget", "target"),
        ("audit", "holdot", "holdout"),
        ("mix", "outpt", "output"),
        ("tune", "trails", "trials"),
        ("Privacy", "epsilom", "epsilon"),
        ("RelationalSynthesizer", "epoch", "epochs"),
        ("load", "paht", "path"),
    ],
)
def test_a_misspelt_argument_is_suggested(name: str, wrong: str, right: str) -> None:
    with pytest.raises(ArgumentError, match=rf"has no argument '{wrong}' \(did you mean '{right}'\?\)"):
        getattr(ts, name)(**{wrong: 1})


@pytest.mark.parametrize("name", ["evaluate", "audit", "read", "write", "load", "split"])
def test_an_argument_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(ArgumentError, match=rf"{name}: missing a required .*argument.*; its arguments are"):
        getattr(ts, name)()


def test_methods_of_synthesizers_too() -> None:
    with pytest.raises(ArgumentError, match=r"fit has no argument 'seeed' \(did you mean 'seed'\?\)"):
        ts.MaskedSynthesizer().fit(None, seeed=1)  # type: ignore[arg-type,call-arg]
    with pytest.raises(TypeError, match="sample has no argument 'colour'; it has"):
        ts.MaskedSynthesizer().sample(colour=1)  # type: ignore[call-arg]


def test_signatures_and_clones_are_kept() -> None:
    assert list(inspect.signature(ts.MaskedSynthesizer).parameters) == ["epochs", "min_group", "device"]
    assert clone(ts.MaskedSynthesizer(epochs=3)).get_params()["epochs"] == 3


def test_functions_of_any_keyword_are_left_alone() -> None:
    def collect(**options: int) -> int:
        return len(options)

    assert checked_arguments(collect) is collect
    assert issubclass(ArgumentError, InputError)


def test_tune_is_a_module_that_can_be_called() -> None:
    import tabsynth.tune
    from tabsynth.tune import tune

    assert ts.tune is tabsynth.tune
    assert ts.tune.tune is tune
    with pytest.raises(InputError, match="trials must be a whole number"):
        ts.tune([[1]], trials=0)  # type: ignore[operator]
