"""Files of linked tables whose content was edited, with hashes that fit: our errors only, when read or when sampled."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from tabsynth.common.model_file import ModelFile, load, save
from tabsynth.errors import ModelFileError, TabsynthError
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

VALUES: tuple[Any, ...] = (None, -1, 10**9, "x", [], {}, True, 1.5)
N_PARENTS, N_CHILDREN = 40, 120


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    rng = np.random.default_rng(0)
    keys = [f"K{i}" for i in range(N_PARENTS)]
    parents = pd.DataFrame({"id": keys, "age": rng.integers(20, 80, N_PARENTS)})
    days = pd.to_timedelta(rng.integers(0, 500, N_CHILDREN), "D")
    children = pd.DataFrame({"id": rng.choice(keys, N_CHILDREN), "t": pd.Timestamp("2020-01-01") + days})
    children["x"], children["c"] = rng.normal(size=N_CHILDREN).round(2), rng.choice(list("abc"), N_CHILDREN)
    schema = DatabaseSchema(
        {"parents": Schema.infer(parents), "children": Schema.infer(children)},
        {"parents": "id"},
        (ForeignKey("children", "id", "parents"),),
        {"children": "t"},
    )
    model = RelationalSynthesizer(epochs=1).fit({"parents": parents, "children": children}, schema=schema, seed=0)
    path = tmp_path_factory.mktemp("model") / "m.tabsynth"
    model.save(path)
    return load(path)


def places(data: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside nested dictionaries and lists."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path for key, value in inner for path in [(*above, key), *places(value, (*above, key))]]


def edited(file: ModelFile, path: tuple[Any, ...], value: Any) -> ModelFile:
    config = copy.deepcopy(file.config)
    part: Any = config
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return ModelFile(file.kind, config, file.arrays)


def changed(array: npt.NDArray[Any], how: int) -> npt.NDArray[Any]:
    """Return an array that was cut, repeated, folded, or filled with another number."""
    if how == 4 and array.dtype.kind in "if":
        return np.full_like(array, 10**9 if array.itemsize > 1 else 99)
    return [array[:0], array[:-1], np.concatenate([array, array]), array[None], -array.astype(np.float64)][how]


def sampled(file: ModelFile, folder: Path) -> dict[str, pd.DataFrame]:
    save(folder / "m.tabsynth", file)
    return RelationalSynthesizer.load(folder / "m.tabsynth").sample(5, seed=0)


@pytest.mark.parametrize(
    ("path", "values"),
    [
        (("keys", "makers", "parents", "dtype"), ([], {}, 1e300, "x")),
        (("timelines", "children", "axis", "dtype"), ([], {}, None, "x")),
        (("timelines", "children", "axis", "seconds"), (1.5, 0, "x")),
        (("timelines", "children", "offsets"), (True, 0, "x", {"x": 1})),
    ],
    ids=str,
)
def test_data_types_and_units_are_checked(
    file: ModelFile, path: tuple[str, ...], values: tuple[Any, ...], tmp_path: Path
) -> None:
    for value in values:
        save(tmp_path / "m.tabsynth", edited(file, path, value))
        with pytest.raises(ModelFileError):
            RelationalSynthesizer.load(tmp_path / "m.tabsynth")


def test_an_edit_raises_our_error_or_none(file: ModelFile, tmp_path: Path) -> None:
    rng, paths, refused = np.random.default_rng(1), places(file.config), 0
    for at in rng.integers(len(paths), size=25):
        try:
            sampled(edited(file, paths[at], VALUES[rng.integers(len(VALUES))]), tmp_path)
        except TabsynthError:
            refused += 1
    assert refused > 8


def test_another_array_raises_our_error_or_none(file: ModelFile, tmp_path: Path) -> None:
    rng, names, refused = np.random.default_rng(2), [n for n, a in file.arrays.items() if a.ndim], 0
    for at in rng.integers(len(names), size=14):
        name = names[at]
        try:
            other = changed(file.arrays[name], int(rng.integers(5)))
            sampled(ModelFile(file.kind, file.config, {**file.arrays, name: other}), tmp_path)
        except TabsynthError:
            refused += 1
    assert refused > 4


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("facts", "parameters", "min_group"), 1, "other values of min_group"),
        (("parts", "context.parents", "min_group"), 1, "other values of min_group"),
        (("parts", "history.children", "width"), 10**9, "weights of a network of width 1000000000"),
        (("parts", "history.children", "memory"), 10**9, "weights of a network"),
        (("parts", "history.children", "parents", 0), 10**9, "known tokens"),
        (("facts", "rows", "parents"), 10**9, "several numbers of rows"),
        (("facts", "rows", "children"), 1, "more rows than the table"),
        (("columns", "parents"), ["age"], "columns of the table 'parents'"),
        (("keys", "makers"), {}, "no maker of its keys"),
        (("facts", "seed"), None, "was damaged or edited"),
        (("facts", "steps"), 1.5, "was damaged or edited"),
    ],
)
def test_what_an_edit_would_change_silently_is_refused(
    file: ModelFile, path: tuple[Any, ...], value: Any, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelFileError, match=said):
        sampled(edited(file, path, value), tmp_path)


def test_a_file_that_fails_later_is_named(file: ModelFile, tmp_path: Path) -> None:
    name = "history.children/running.edges.0"
    folded = {**file.arrays, name: file.arrays[name][None]}
    with pytest.raises(ModelFileError, match=r"m\.tabsynth"):
        sampled(ModelFile(file.kind, file.config, folded), tmp_path)
    assert len(sampled(file, tmp_path)["parents"]) == 5


def test_too_little_memory_and_faults_of_the_program_are_no_damage_of_the_file(
    file: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "m.tabsynth", file)
    model = RelationalSynthesizer.load(tmp_path / "m.tabsynth")
    for error in (MemoryError, AttributeError, NotImplementedError):

        def fail(*_: object, error: type[Exception] = error) -> None:
            raise error

        monkeypatch.setattr(type(model._model), "sample", fail)
        with pytest.raises(error):
            model.sample(5, seed=0)
