"""Serialisation of fitted objects of other packages, without pickle and for a fixed list of classes.

``from_state`` creates an empty instance and sets its attributes. It imports the classes of ``CLASSES`` only, runs no
constructor, and restores the attributes of ``EXCLUDED_ATTRIBUTES`` as None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.common.arrays import Arrays
from tabsynth.errors import ModelFileError

CLASSES: dict[str, str] = {
    "DataTransformer": "ctgan.data_transformer",
    "SpanInfo": "ctgan.data_transformer",
    "ColumnTransformInfo": "ctgan.data_transformer",
    "DataSampler": "ctgan.data_sampler",
    "ClusterBasedNormalizer": "rdt.transformers",
    "OneHotEncoder": "rdt.transformers",
    "FloatFormatter": "rdt.transformers",
    "UniformEncoder": "rdt.transformers",
    "GaussianNormalizer": "rdt.transformers",
    "NullTransformer": "rdt.transformers.null",
    "BayesianGaussianMixture": "sklearn.mixture",
    "GaussianMultivariate": "copulas.multivariate",
    "BetaUnivariate": "copulas.univariate",
    "GaussianUnivariate": "copulas.univariate",
    "GammaUnivariate": "copulas.univariate",
    "TruncatedGaussian": "copulas.univariate",
    "UniformUnivariate": "copulas.univariate",
}
"""The classes that may be restored, and where each is imported from."""

EXCLUDED_ATTRIBUTES = frozenset(
    {
        "_rid_by_cat_cols",  # the training rows of each category
        "random_state",
        "random_states",
        "distribution",  # constructor arguments
        "_distribution",
        "_distributions",
        "__args__",
        "__kwargs__",
    }
)
"""Attributes that sampling does not need and a model file should not contain."""

TYPE_KEY = "!"


def to_state(value: Any, arrays: Arrays) -> Any:
    """Return plain data of a value; its arrays are added to ``arrays`` and named in the data.

    Raises:
        TypeError: The value contains an object of a class that is not in ``CLASSES``.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if np.isfinite(value) else {TYPE_KEY: "float", "is": repr(value)}
    if type(value) is list:
        return [to_state(item, arrays) for item in value]
    if type(value) is tuple:
        return {TYPE_KEY: "tuple", "of": [to_state(item, arrays) for item in value]}
    if isinstance(value, dict):
        pairs = [[to_state(key, arrays), to_state(item, arrays)] for key, item in value.items()]
        return {TYPE_KEY: "dict", "of": pairs}
    if isinstance(value, np.generic):
        return {TYPE_KEY: "scalar", "of": to_state(np.asarray(value), arrays)}
    if isinstance(value, np.ndarray):
        return _array_to_state(value, arrays)
    if isinstance(value, np.dtype):
        return {TYPE_KEY: "dtype", "is": value.str}
    if isinstance(value, pd.Series):
        index, items = to_state(list(value.index), arrays), to_state(value.to_numpy(), arrays)
        return {TYPE_KEY: "series", "index": index, "of": items}
    if isinstance(value, pd.DataFrame):
        index, columns = to_state(list(value.index), arrays), to_state(list(value.columns), arrays)
        return {TYPE_KEY: "frame", "index": index, "columns": columns, "of": to_state(value.to_numpy(), arrays)}
    name = type(value).__name__
    if name not in CLASSES or type(value) is not _class(name):
        raise TypeError(f"cannot save an object of the class {type(value).__module__}.{name}")
    if isinstance(value, tuple):  # a named tuple
        return {TYPE_KEY: "object", "class": name, "of": [to_state(item, arrays) for item in value]}
    attributes = {
        key: None if key in EXCLUDED_ATTRIBUTES else to_state(item, arrays) for key, item in vars(value).items()
    }
    return {TYPE_KEY: "object", "class": name, "of": attributes}


def from_state(data: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    """Rebuild a value from the result of ``to_state``.

    Raises:
        ModelFileError: The data names a class that is not in ``CLASSES``, or is not what ``to_state`` writes.
    """
    if data is None or isinstance(data, (bool, int, float, str)):
        return data
    if isinstance(data, list):
        return [from_state(item, arrays) for item in data]
    if not isinstance(data, Mapping) or data.get(TYPE_KEY) not in _READERS:
        raise ModelFileError(f"the model file holds something unknown where plain data should be: {str(data)[:80]!r}")
    try:
        return _READERS[data[TYPE_KEY]](data, arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(f"the model file contains a damaged {data[TYPE_KEY]}: {error!r}") from error


def _array_to_state(value: npt.NDArray[Any], arrays: Arrays) -> dict[str, Any]:
    """Return the state of an array: its name, or its values if it has objects or text."""
    if value.dtype.kind not in "biuf":
        return {
            TYPE_KEY: "objects",
            "shape": list(value.shape),
            "of": [to_state(item, arrays) for item in value.ravel()],
        }
    name = f"frozen.{len(arrays)}"
    arrays[name] = np.ascontiguousarray(value)
    return {TYPE_KEY: "array", "shape": list(value.shape), "name": name}


def _objects_from_state(data: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.object_]:
    out = np.empty(len(data["of"]), dtype=object)
    for i, item in enumerate(data["of"]):
        out[i] = from_state(item, arrays)
    return out.reshape(data["shape"])


def _object_from_state(data: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    cls = _class(data["class"])
    if issubclass(cls, tuple):
        return cls(*(from_state(item, arrays) for item in data["of"]))
    instance = object.__new__(cls)
    for key, item in data["of"].items():
        vars(instance)[key] = from_state(item, arrays)
    return instance


def _class(name: str) -> type[Any]:
    """Import a class of ``CLASSES``."""
    if name not in CLASSES:
        raise ModelFileError(f"the model file names the class {name!r}, which no model of tabsynth contains")
    loaded: type[Any] = getattr(import_module(CLASSES[name]), name)
    return loaded


_READERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, npt.NDArray[Any]]], Any]] = {
    "float": lambda data, arrays: {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}[data["is"]],
    "tuple": lambda data, arrays: tuple(from_state(item, arrays) for item in data["of"]),
    "dict": lambda data, arrays: {from_state(key, arrays): from_state(item, arrays) for key, item in data["of"]},
    "scalar": lambda data, arrays: from_state(data["of"], arrays)[()],
    "array": lambda data, arrays: arrays[data["name"]].reshape(data["shape"]),
    "objects": _objects_from_state,
    "dtype": lambda data, arrays: np.dtype(data["is"]),
    "series": lambda data, arrays: pd.Series(from_state(data["of"], arrays), index=from_state(data["index"], arrays)),
    "frame": lambda data, arrays: pd.DataFrame(
        from_state(data["of"], arrays),
        index=from_state(data["index"], arrays),
        columns=from_state(data["columns"], arrays),
    ),
    "object": _object_from_state,
}
