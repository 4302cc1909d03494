"""Model files whose content was edited, with hashes that fit: refused when they are loaded, or as good as before."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from tabsynth.common.arrays import Arrays
from tabsynth.common.model_file import ModelFile, save
from tabsynth.errors import ModelFileError, TabsynthError
from tabsynth.synthesizers import registry

VALUES: tuple[Any, ...] = (None, -1, 10**9, "x", [], {}, True, 1.5)


@pytest.fixture(scope="module", params=["marginal", "masked"])
def file(request: pytest.FixtureRequest) -> ModelFile:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=120).round(2), "b": rng.choice(list("xyz"), 120)})
    options = {"epochs": 1} if request.param == "masked" else {}
    return registry.create(request.param, **options).fit(frame, seed=0).to_file()


def places(data: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside nested dictionaries and lists."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path for key, value in inner for path in [(*above, key), *places(value, (*above, key))]]


def edited(config: dict[str, Any], path: tuple[Any, ...], value: Any = None, *, delete: bool = False) -> dict[str, Any]:
    config = copy.deepcopy(config)
    part: Any = config
    for key in path[:-1]:
        part = part[key]
    if delete:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return config


def sampled(file: ModelFile, config: dict[str, Any], folder: Path, arrays: Arrays | None = None) -> pd.DataFrame:
    save(folder / "m.tabsynth", ModelFile(file.kind, config, file.arrays if arrays is None else arrays))
    return registry.load(folder / "m.tabsynth").sample(3, seed=0)


def test_an_edit_raises_our_error_or_none(file: ModelFile, tmp_path: Path) -> None:
    rng, paths, refused = np.random.default_rng(5), places(file.config), 0
    for _ in range(120):
        path, how = paths[rng.integers(len(paths))], int(rng.integers(len(VALUES) + 1))
        delete = how == len(VALUES)
        try:
            sampled(file, edited(file.config, path, None if delete else VALUES[how], delete=delete), tmp_path)
        except TabsynthError:
            refused += 1
    assert refused > 40


@pytest.mark.parametrize(
    "path",
    [
        ("model", "codec", "coders", 1, "values"),
        ("model", "codec", "coders"),
        ("model", "codec", "dtypes"),
        ("model", "codec", "dtypes", "a"),
        ("model", "codec", "patterns"),
    ],
)
def test_a_vocabulary_of_other_columns_is_refused_at_once(
    file: ModelFile, path: tuple[Any, ...], tmp_path: Path
) -> None:
    assert len(sampled(file, file.config, tmp_path)) == 3
    with pytest.raises(ModelFileError, match="does not contain a"):
        sampled(file, edited(file.config, path, []), tmp_path)


def test_networks_of_any_size_are_not_built(file: ModelFile, tmp_path: Path) -> None:
    if file.kind == "masked":
        path = ("model", "learned", "sizing", "blocks")
        with pytest.raises(ModelFileError, match="weights of 1000000000 blocks"):
            sampled(file, edited(file.config, path, 10**9), tmp_path)


def test_an_edit_of_a_rule_raises_our_error_or_none(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.integers(0, 50, 200), "b": rng.integers(0, 50, 200), "g": rng.choice(list("xyz"), 200)}
    )
    frame["most"] = frame[["a", "b"]].max(axis=1)
    frame["fee"] = frame["g"].map({"x": 1, "y": 2, "z": 3}) * frame["a"] + 5
    model = registry.create("marginal").fit(frame, seed=0).to_file()
    paths = [path for path in places(model.config) if "rules" in path[:-1]]
    assert any("formula" in path for path in paths)
    refused = 0
    for at in rng.integers(len(paths), size=80):
        try:
            sampled(model, edited(model.config, paths[at], VALUES[rng.integers(len(VALUES))]), tmp_path)
        except TabsynthError:
            refused += 1
    assert refused > 40


@pytest.mark.parametrize("name", ["low", "high", "mass", "token", "edges", "counts", "emit"])
def test_bins_that_do_not_fit_are_refused(file: ModelFile, name: str, tmp_path: Path) -> None:
    key = next(key.replace(".edges", f".{name}") for key in file.arrays if key.endswith(".edges"))
    arrays = {**file.arrays, key: file.arrays[key][:-1]}
    with pytest.raises(ModelFileError, match="of a number"):
        sampled(file, file.config, tmp_path, arrays)
    if name in ("mass", "token"):
        arrays[key] = np.full_like(file.arrays[key], {"mass": -1, "token": 10**9}[name])
        with pytest.raises(ModelFileError, match="of a number"):
            sampled(file, file.config, tmp_path, arrays)


def test_outermost_bins_without_rows_are_read(tmp_path: Path) -> None:
    values = [6573.716872723434, 0.04981799625935313, 3796010.2065570513, 1607.3453244787731, 0.00371399365497413]
    values += [8.40508997640922e-06, 2656.294506145985, 65545.67949909685, 452.84639850760806, 300.2446249870363]
    values += [28.510429246203458, 6.379642710963761]
    model = registry.create("marginal", components=2).fit(pd.DataFrame({"x": values}), seed=1)
    model.save(tmp_path / "m.tabsynth")
    loaded = registry.load(tmp_path / "m.tabsynth")
    pd.testing.assert_frame_equal(loaded.sample(9, seed=0), model.sample(9, seed=0))


def changed(array: npt.NDArray[Any], how: int) -> npt.NDArray[Any]:
    """Return an array of another shape or type, or with numbers that are not possible."""
    if how < 4 or not array.size or array.dtype.kind == "b":
        return [array[:0], array[:-1], np.concatenate([array, array]), array[None]][how % 4]
    if how == 4:
        return -array.astype(np.float64)
    out = array.copy()
    worst = (np.nan, np.inf, -1) if array.dtype.kind == "f" else (-1, np.iinfo(array.dtype).max, 0)
    out.flat[how % out.size] = worst[how % 3]
    return out


@pytest.mark.parametrize("kind", ["marginal", "masked", "vae", "gan"])
def test_another_array_raises_our_error_or_none(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"a": rng.integers(0, 30, 90), "b": rng.choice(list("xyz"), 90)})
    frame["c"] = frame["b"].str.upper()
    options = {} if kind == "marginal" else {"epochs": 1}
    file, refused = registry.create(kind, **options).fit(frame, seed=0).to_file(), 0
    names = [name for name, array in file.arrays.items() if array.ndim]
    for at in rng.integers(len(names), size=60):
        arrays = {**file.arrays, names[at]: changed(file.arrays[names[at]], int(rng.integers(12)))}
        try:
            sampled(file, file.config, tmp_path, arrays)
        except TabsynthError:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("rules",), "x"),
        (("rules", "violations"), 1.5),
        (("rules", "repaired"), [None]),
        (("source_rows",), "x"),
        (("mixed",), [1]),
        (("model", "codec", "patterns", "k", "forms", 0, "parts", 0, 1), 10**9),
    ],
)
def test_facts_and_patterns_are_checked_when_a_file_is_read(path: tuple[Any, ...], value: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.arange(60) % 7, "k": [f"K{i:04d}" for i in range(60)]})
    file = registry.create("marginal", components=2).fit(frame, seed=0).to_file()
    with pytest.raises(ModelFileError):
        sampled(file, edited(file.config, path, value), tmp_path)


def test_weights_and_covariances_are_checked_when_a_file_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=150)
    frame = pd.DataFrame({"a": x.round(2), "b": (x + rng.normal(size=150)).round(2), "c": rng.choice(list("uv"), 150)})
    file = registry.create("masked", epochs=1).fit(frame, seed=0).to_file()
    covariance = file.arrays["net.copula.covariance"]
    weights = next(name for name in file.arrays if name.startswith("net.pull."))
    wrong = {
        "copula": ("net.copula.covariance", np.ones_like(covariance)),
        "between": ("net.copula.covariance", covariance.astype(np.int64)),
        "not finite": ("net.copula.covariance", covariance * np.nan),
        "weights of tokens": (weights, file.arrays[weights][:-1]),
    }
    for said, (name, array) in wrong.items():
        with pytest.raises(ModelFileError, match=said.replace("between", "copula")):
            sampled(file, file.config, tmp_path, {**file.arrays, name: array})
    for size in ("width", "blocks"):
        with pytest.raises(ModelFileError, match=f"weights of 1000000000 {size}"):
            sampled(file, edited(file.config, ("model", "learned", "sizing", size), 10**9), tmp_path)
