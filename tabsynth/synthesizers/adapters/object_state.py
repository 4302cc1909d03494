"""Fitted objects of other packages as plain data and arrays, and back: pickle's work, for a short list of classes.

``freeze`` walks an object attribute by attribute; ``thaw`` makes an empty instance and sets the attributes again. Only
the classes of ``CLASSES`` are ever made or imported, no constructor and no other code of the file's choosing runs, and
the attributes of ``LEFT_OUT`` (training rows, random states, constructor arguments) come back as None.
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
"""The classes that may be thawed, and where each is imported from."""

LEFT_OUT = frozenset(
    {
        "_rid_by_cat_cols",  # which training row holds which category
        "random_state",
        "random_states",
        "distribution",  # what the constructor was given
        "_distribution",
        "_distributions",
        "__args__",
        "__kwargs__",
    }
)
"""Attributes that drawing rows does not need, and that a model file should not hold."""

TAG = "!"


def freeze(value: Any, arrays: Arrays) -> Any:
    """Plain data of a value; its arrays are added to ``arrays`` and named in the data.

    Raises:
        TypeError: The value holds an object of a class that is not in ``CLASSES``.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if np.isfinite(value) else {TAG: "float", "is": repr(value)}
    if type(value) is list:
        return [freeze(item, arrays) for item in value]
    if type(value) is tuple:
        return {TAG: "tuple", "of": [freeze(item, arrays) for item in value]}
    if isinstance(value, dict):
        pairs = [[freeze(key, arrays), freeze(item, arrays)] for key, item in value.items()]
        return {TAG: "dict", "of": pairs}
    if isinstance(value, np.generic):
        return {TAG: "scalar", "of": freeze(np.asarray(value), arrays)}
    if isinstance(value, np.ndarray):
        return _freeze_array(value, arrays)
    if isinstance(value, np.dtype):
        return {TAG: "dtype", "is": value.str}
    if isinstance(value, pd.Series):
        index, items = freeze(list(value.index), arrays), freeze(value.to_numpy(), arrays)
        return {TAG: "series", "index": index, "of": items}
    if isinstance(value, pd.DataFrame):
        index, columns = freeze(list(value.index), arrays), freeze(list(value.columns), arrays)
        return {TAG: "frame", "index": index, "columns": columns, "of": freeze(value.to_numpy(), arrays)}
    name = type(value).__name__
    if name not in CLASSES or type(value) is not _class(name):
        raise TypeError(f"cannot save an object of the class {type(value).__module__}.{name}")
    if isinstance(value, tuple):  # a named tuple
        return {TAG: "object", "class": name, "of": [freeze(item, arrays) for item in value]}
    held = {key: None if key in LEFT_OUT else freeze(item, arrays) for key, item in vars(value).items()}
    return {TAG: "object", "class": name, "of": held}


def thaw(data: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    """The value that ``freeze`` gave the data of.

    Raises:
        ModelFileError: The data names a class that is not in ``CLASSES``, or is not what ``freeze`` writes.
    """
    if data is None or isinstance(data, (bool, int, float, str)):
        return data
    if isinstance(data, list):
        return [thaw(item, arrays) for item in data]
    if not isinstance(data, Mapping) or data.get(TAG) not in _THAW:
        raise ModelFileError(f"the model file holds something unknown where plain data should be: {str(data)[:80]!r}")
    try:
        return _THAW[data[TAG]](data, arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(f"the model file holds a damaged {data[TAG]}: {error!r}") from error


def _freeze_array(value: npt.NDArray[Any], arrays: Arrays) -> dict[str, Any]:
    """An array by its name; one of objects or text value by value."""
    if value.dtype.kind not in "biuf":
        return {TAG: "objects", "shape": list(value.shape), "of": [freeze(item, arrays) for item in value.ravel()]}
    name = f"frozen.{len(arrays)}"
    arrays[name] = np.ascontiguousarray(value)
    return {TAG: "array", "shape": list(value.shape), "name": name}


def _thaw_objects(data: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.object_]:
    out = np.empty(len(data["of"]), dtype=object)
    for i, item in enumerate(data["of"]):
        out[i] = thaw(item, arrays)
    return out.reshape(data["shape"])


def _thaw_object(data: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    cls = _class(data["class"])
    if issubclass(cls, tuple):
        return cls(*(thaw(item, arrays) for item in data["of"]))
    made = object.__new__(cls)
    for key, item in data["of"].items():
        vars(made)[key] = thaw(item, arrays)
    return made


def _class(name: str) -> type[Any]:
    """A class of the list, from the place that the list says."""
    if name not in CLASSES:
        raise ModelFileError(f"the model file names the class {name!r}, which no model of tabsynth is made of")
    found: type[Any] = getattr(import_module(CLASSES[name]), name)
    return found


_THAW: dict[str, Callable[[Mapping[str, Any], Mapping[str, npt.NDArray[Any]]], Any]] = {
    "float": lambda data, arrays: {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}[data["is"]],
    "tuple": lambda data, arrays: tuple(thaw(item, arrays) for item in data["of"]),
    "dict": lambda data, arrays: {thaw(key, arrays): thaw(item, arrays) for key, item in data["of"]},
    "scalar": lambda data, arrays: thaw(data["of"], arrays)[()],
    "array": lambda data, arrays: arrays[data["name"]].reshape(data["shape"]),
    "objects": _thaw_objects,
    "dtype": lambda data, arrays: np.dtype(data["is"]),
    "series": lambda data, arrays: pd.Series(thaw(data["of"], arrays), index=thaw(data["index"], arrays)),
    "frame": lambda data, arrays: pd.DataFrame(
        thaw(data["of"], arrays), index=thaw(data["index"], arrays), columns=thaw(data["columns"], arrays)
    ),
    "object": _thaw_object,
}
