"""Objects of other packages as plain data: round trips and refused objects."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import ModelFileError
from tabsynth.synthesizers.adapters.object_state import CLASSES, from_state, to_state


@pytest.mark.parametrize(
    "value",
    [
        None,
        [1, 2.5, "x", True],
        (1, (2,)),
        {"a": 1, None: 2, 3: (4,)},
        float("inf"),
        np.float64(0.1),
        np.arange(6).reshape(2, 3),
        np.array(7),
        np.array(["a", None], dtype=object),
        np.dtype("float32"),
    ],
    ids=repr,
)
def test_plain_values_thaw_as_they_were(value: Any) -> None:
    arrays: dict[str, Any] = {}
    again = from_state(json.loads(json.dumps(to_state(value, arrays))), arrays)
    assert type(again) is type(value)
    np.testing.assert_equal(again, value)


def test_pandas_objects_thaw_as_they_were() -> None:
    arrays: dict[str, Any] = {}
    frame = pd.DataFrame([[1.0, 0.5], [0.5, 1.0]], index=["a", "b"], columns=["a", "b"])
    dtypes = pd.Series({"a": np.dtype("int64"), "b": np.dtype("float64")})
    again = from_state(json.loads(json.dumps(to_state([frame, dtypes], arrays))), arrays)
    pd.testing.assert_frame_equal(again[0], frame)
    pd.testing.assert_series_equal(again[1], dtypes)


def test_an_object_of_another_class_is_not_saved() -> None:
    with pytest.raises(TypeError, match="pathlib"):
        to_state(Path("x"), {})
    impostor = type("FloatFormatter", (), {})()
    pytest.importorskip("rdt")
    with pytest.raises(TypeError, match="FloatFormatter"):
        to_state(impostor, {})


@pytest.mark.parametrize("name", ["Popen", "subprocess.Popen", "os.system", ""])
def test_an_unlisted_class_is_not_made(name: str) -> None:
    with pytest.raises(ModelFileError, match="names the class"):
        from_state({"!": "object", "class": name, "of": {}}, {})


@pytest.mark.parametrize(
    "data", [{"!": "pickle", "of": ""}, {"no": "tag"}, {"!": "array", "name": "gone", "shape": [1]}]
)
def test_damaged_data_is_refused(data: Any) -> None:
    with pytest.raises(ModelFileError):
        from_state(data, {})


def test_every_listed_class_exists() -> None:
    pytest.importorskip("ctgan")
    pytest.importorskip("sdv")
    assert all(isinstance(getattr(import_module(module), name), type) for name, module in CLASSES.items())
