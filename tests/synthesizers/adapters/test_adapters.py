"""Adapters of other packages: files without pickle, constraints, refused arguments, and the registry."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.common import model_file
from tabsynth.errors import (
    ConditionError,
    DataError,
    InputError,
    MissingDependencyError,
    ModelFileError,
)
from tabsynth.schema import Schema
from tabsynth.schema.constraints import Inequality
from tabsynth.schema.validation import satisfies
from tabsynth.synthesizers import registry
from tabsynth.synthesizers.adapters.base import WrappedSynthesizer
from tabsynth.synthesizers.adapters.ctgan import CTGANSynthesizer, TVAESynthesizer, check_batch
from tabsynth.synthesizers.adapters.sdv import CopulaGANSynthesizer, GaussianCopulaSynthesizer

SCHEMA = Schema.from_dict(
    {
        "columns": {
            "start": {"kind": "numeric", "decimals": 1},
            "stop": {"kind": "numeric", "decimals": 1, "nullable": True},
            "group": {"kind": "categorical", "nullable": True},
        }
    }
)

Fitted = Callable[[str], WrappedSynthesizer]

ADAPTERS: list[WrappedSynthesizer] = [
    CTGANSynthesizer(epochs=1),
    TVAESynthesizer(epochs=1),
    GaussianCopulaSynthesizer(),
    CopulaGANSynthesizer(epochs=1),
]


@pytest.fixture(scope="module")
def packages() -> None:
    pytest.importorskip("ctgan")
    pytest.importorskip("sdv")


@pytest.fixture(
    params=[*ADAPTERS[:3], pytest.param(ADAPTERS[3], marks=pytest.mark.slow)],  # the first and the third in one
    ids=lambda model: model.kind,
)
def adapter(request: pytest.FixtureRequest, packages: None) -> WrappedSynthesizer:
    model: WrappedSynthesizer = request.param
    return registry.create(model.kind, **model.get_params())


@pytest.fixture(scope="module")
def fitted(frame: pd.DataFrame) -> Fitted:
    """The model of each kind, fitted once."""

    @cache
    def fit(kind: str) -> WrappedSynthesizer:
        (model,) = (adapter for adapter in ADAPTERS if adapter.kind == kind)
        own: WrappedSynthesizer = registry.create(kind, **model.get_params())
        return own.fit(frame, schema=SCHEMA, seed=0)

    return fit


def test_a_file_that_names_another_class_is_refused(
    adapter: WrappedSynthesizer, fitted: Fitted, tmp_path: Path
) -> None:
    fitted(adapter.kind).save(tmp_path / "m.tabsynth")
    file = model_file.load(tmp_path / "m.tabsynth")
    text = json.dumps(file.config["model"]["parts"])
    name = "DataTransformer" if "DataTransformer" in text else "GaussianMultivariate"
    file.config["model"]["parts"] = json.loads(text.replace(f'"{name}"', '"Popen"'))
    model_file.save(tmp_path / "evil.tabsynth", file)
    with pytest.raises(ModelFileError, match="Popen"):
        registry.load(tmp_path / "evil.tabsynth")


def test_a_file_holds_no_column_of_the_training_table(
    adapter: WrappedSynthesizer, fitted: Fitted, frame: pd.DataFrame, tmp_path: Path
) -> None:
    fitted(adapter.kind).save(tmp_path / "m.tabsynth")
    file = model_file.load(tmp_path / "m.tabsynth")
    assert not [name for name, array in file.arrays.items() if len(frame) in array.shape]
    assert str(frame["start"].max()) not in json.dumps(file.config)


def test_reading_a_file_leaves_no_pickle_behind(
    adapter: WrappedSynthesizer, frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle

    import torch

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("pickle was used")

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "dump"), (pickle, "dumps"), (torch, "load")):
        monkeypatch.setattr(module, name, refuse)
    adapter.fit(frame, schema=SCHEMA, seed=0).save(tmp_path / "m.tabsynth")
    registry.load(tmp_path / "m.tabsynth").sample(5)


def test_conditions_are_refused_with_the_one_that_can(adapter: WrappedSynthesizer, fitted: Fitted) -> None:
    with pytest.raises(ConditionError, match="MaskedSynthesizer"):
        fitted(adapter.kind).sample(3, given={"group": "late"})


def test_constraints_hold_in_every_row(adapter: WrappedSynthesizer, frame: pd.DataFrame) -> None:
    schema = Schema(SCHEMA.columns, (Inequality(low="start", high="stop"),))
    drawn = adapter.fit(frame, schema=schema, seed=0).sample(150, seed=0)
    assert len(drawn) == 150
    assert satisfies(schema.constraints[0], drawn, schema).all()


def test_constraints_that_contradict_each_other_are_named_before_the_fit(
    adapter: WrappedSynthesizer, frame: pd.DataFrame
) -> None:
    low, high = Inequality(low="start", high="stop"), Inequality(low="stop", high="start", strict=True)
    schema = Schema(SCHEMA.columns, (low, high))
    with pytest.raises(InputError, match="no row can satisfy all of these: .*start <= stop"):
        adapter.fit(frame, schema=schema, seed=0)


def test_a_table_of_identifiers_and_text_has_nothing_to_learn(adapter: WrappedSynthesizer) -> None:
    frame = pd.DataFrame({"id": [f"K{number}" for number in range(20)], "note": ["hello there"] * 20})
    schema = Schema.from_dict({"columns": {"id": {"kind": "identifier"}, "note": {"kind": "text"}}})
    with pytest.raises(DataError, match="identifier or text"):
        adapter.fit(frame, schema=schema)


def test_a_table_of_constants_needs_no_model(adapter: WrappedSynthesizer, tmp_path: Path) -> None:
    frame = pd.DataFrame({"one": [1] * 20, "same": ["a"] * 20, "none": [np.nan] * 20})
    kinds = {"one": "numeric", "same": "categorical", "none": "numeric"}
    schema = Schema.from_dict({"columns": {name: {"kind": kind, "nullable": True} for name, kind in kinds.items()}})
    adapter.fit(frame, schema=schema, seed=0).save(tmp_path / "m.tabsynth")
    pd.testing.assert_frame_equal(registry.load(tmp_path / "m.tabsynth").sample(seed=0), frame)


def test_what_the_package_cannot_do_is_refused(
    adapter: WrappedSynthesizer, frame: pd.DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="checkpoint"):
        adapter.fit(frame, schema=SCHEMA, checkpoint=tmp_path / "c")
    with pytest.raises(InputError, match="callbacks"):
        adapter.fit(frame, schema=SCHEMA, callbacks=(print,))


def test_a_missing_package_is_named(
    adapter: WrappedSynthesizer, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, adapter.package, None)
    with pytest.raises(MissingDependencyError, match=rf"{adapter.package}: run pip install \'\.\[sdv\]\'"):
        adapter.fit(frame, schema=SCHEMA)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (CTGANSynthesizer(epochs=0), "epochs must be"),
        (CTGANSynthesizer(batch_size=33), "multiple of pac=10"),
        (CTGANSynthesizer(pac=0), "pac must be"),
        (TVAESynthesizer(embedding_dim=0), "embedding_dim must be"),
        (GaussianCopulaSynthesizer(default_distribution="gaussian_kde"), "gaussian_kde"),
        (GaussianCopulaSynthesizer(numerical_distributions={"group": "norm"}), "names 'group'"),
        (CopulaGANSynthesizer(batch_size=0), "batch_size must be"),
        (CopulaGANSynthesizer(numerical_distributions={"start": "normal"}), "'normal' is not one of"),
    ],
    ids=repr,
)
def test_unusable_options_are_named(
    model: WrappedSynthesizer, message: str, frame: pd.DataFrame, packages: None
) -> None:
    with pytest.raises(InputError, match=message):
        model.fit(frame, schema=SCHEMA)


def test_an_unknown_device_is_named(packages: None, frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="device 'abacus'"):
        TVAESynthesizer(epochs=1, device="abacus").fit(frame, schema=SCHEMA)


@pytest.mark.parametrize("kind", ["ctgan", "tvae", "copula_gan"])
def test_a_model_fitted_elsewhere_samples_without_its_device(
    packages: None, frame: pd.DataFrame, kind: str, tmp_path: Path
) -> None:
    model = registry.create(kind, epochs=1).fit(frame, schema=SCHEMA, seed=0)
    model.set_params(device="abacus").save(tmp_path / "m.tabsynth")
    drawn = registry.load(tmp_path / "m.tabsynth").sample(30, seed=1)
    pd.testing.assert_frame_equal(drawn, model.sample(30, seed=1))


@pytest.mark.parametrize(("batch_size", "pac", "nearest"), [(33, 10, 30), (5, 10, 10), (50, 7, 56), (9, 3, 12)])
def test_the_nearest_usable_batch_is_named(batch_size: int, pac: int, nearest: int) -> None:
    with pytest.raises(InputError, match=f"nearest is {nearest}$"):
        check_batch(batch_size, pac)
    check_batch(nearest, pac)


def test_distributions_are_chosen_by_the_tables_own_names(packages: None, frame: pd.DataFrame) -> None:
    model = GaussianCopulaSynthesizer(numerical_distributions={"stop": "gamma"}, default_distribution="norm")
    model.fit(frame, schema=SCHEMA, seed=0)
    univariates = {type(univariate).__name__ for univariate in (model._model or {})["copula"].univariates}
    assert univariates == {"GaussianUnivariate", "GammaUnivariate"}


def test_the_copula_learns_dependence(packages: None, frame: pd.DataFrame) -> None:
    drawn = GaussianCopulaSynthesizer().fit(frame, schema=SCHEMA, seed=0).sample(2000, seed=0)
    assert drawn["start"].corr(drawn["stop"]) > 0.5
    assert drawn.groupby("group")["start"].mean().diff()["late"] > 5
    np.testing.assert_allclose(drawn.isna().mean(), frame.isna().mean(), atol=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ctgan", "tvae", "copula_gan"])
def test_a_longer_fit_is_one_model_for_one_seed(packages: None, frame: pd.DataFrame, kind: str) -> None:
    many = pd.concat([frame] * 4, ignore_index=True)  # from 500 rows on ctgan would start worker processes
    model = registry.create(kind, epochs=20, batch_size=100).fit(many, schema=SCHEMA, seed=0)
    drawn = model.sample(2000, seed=0)
    assert drawn["start"].mean() == pytest.approx(frame["start"].mean(), abs=15)
    np.testing.assert_allclose(drawn.isna().mean(), frame.isna().mean(), atol=0.04)
    again = registry.create(kind, epochs=20, batch_size=100).fit(many, schema=SCHEMA, seed=0)
    pd.testing.assert_frame_equal(again.sample(50, seed=1), model.sample(50, seed=1))


# The catalog


def test_create_names_what_it_does_not_know() -> None:
    with pytest.raises(InputError, match="choose one of masked"):
        registry.create("quantum")
    with pytest.raises(InputError, match=r"'ctgan' has no option 'epoch' \(did you mean 'epochs'\?\); it has epochs"):
        registry.create("ctgan", epoch=3)


def test_load_refuses_an_unknown_kind(tmp_path: Path) -> None:
    model_file.save(tmp_path / "m.tabsynth", model_file.ModelFile("quantum", {}, {"a": np.zeros(1)}))
    with pytest.raises(ModelFileError, match="contains a 'quantum'"):
        registry.load(tmp_path / "m.tabsynth")


def test_load_refuses_a_file_of_another_kind(packages: None, frame: pd.DataFrame, tmp_path: Path) -> None:
    TVAESynthesizer(epochs=1).fit(frame, schema=SCHEMA, seed=0).save(tmp_path / "m.tabsynth")
    file = model_file.load(tmp_path / "m.tabsynth")
    model_file.save(tmp_path / "other.tabsynth", model_file.ModelFile("copula_gan", file.config, file.arrays))
    with pytest.raises(ModelFileError):
        registry.load(tmp_path / "other.tabsynth")


def test_synthesize_goes_from_table_to_table(frame: pd.DataFrame) -> None:
    few = frame.head(60)
    drawn = registry.synthesize(few, schema=SCHEMA, seed=0)
    assert len(drawn) == 60
    assert drawn.dtypes.to_dict() == frame.dtypes.to_dict()
    assert len(registry.synthesize(few, 7, schema=SCHEMA, seed=0)) == 7


def test_fits_in_threads_do_not_draw_from_each_others_seeds(packages: None, frame: pd.DataFrame) -> None:
    def draw(seed: int) -> pd.DataFrame:
        return CTGANSynthesizer(epochs=1).fit(frame, schema=SCHEMA, seed=seed).sample(50, seed=seed)

    alone = [draw(0), draw(1)]
    before = np.random.get_state()[1]  # noqa: NPY002
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(draw, [0, 1]))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    for one, other in zip(alone, together, strict=True):
        pd.testing.assert_frame_equal(one, other)
