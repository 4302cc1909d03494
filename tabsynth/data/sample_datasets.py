"""Small public tables that ship with scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from tabsynth.data.table import Table
from tabsynth.errors import SourceError, quote
from tabsynth.schema.schema import Schema

PREFIX = "sklearn:"

TARGETS = {"diabetes": "progression", "breast_cancer": "diagnosis", "wine": "cultivar", "iris": "species"}
"""The target column of each table."""


def open_table(name: str | Path, schema: Schema | None = None, options: Mapping[str, Any] | None = None) -> Table:
    """Read a file, or with ``sklearn:NAME`` a table that ships with scikit-learn.

    Args:
        name: The file or table.
        schema: Its schema; columns that it does not declare are inferred.
        options: Keyword arguments of ``read``.

    Raises:
        SourceError: The file cannot be read, or no such table ships.
        InputError: The table is unusable, or the schema does not fit it.
    """
    if is_shipped(name):
        if options:
            raise SourceError(f"{name} is not a file: remove the options {quote(options)}")
        return Table.of(load_shipped(str(name).removeprefix(PREFIX)), schema)
    from tabsynth.data.read_write import read, read_partial

    return read(name, **(options or {})) if schema is None else read_partial(name, schema, options)


def is_shipped(name: str | Path) -> bool:
    """Return whether a name is that of a shipped table, not of a file."""
    return str(name).startswith(PREFIX)


def load_shipped(name: str) -> pd.DataFrame:
    """Load a table that ships with scikit-learn, with class names and the target last.

    Example:
        >>> load_shipped("breast_cancer")["diagnosis"].value_counts().to_dict()
        {'benign': 357, 'malignant': 212}
    """
    from sklearn import datasets

    if name not in TARGETS:
        raise SourceError(f"no table {name!r} ships with scikit-learn; there are {quote(TARGETS)}")
    if name == "diabetes":
        bunch = datasets.load_diabetes(scaled=False, as_frame=True)
    else:
        bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    whole = {column: "int64" for column in bunch.data if (bunch.data[column] % 1 == 0).all()}
    frame: pd.DataFrame = bunch.data.astype(whole)
    target: pd.Series = bunch.target
    if "target_names" in bunch:
        target = target.map(dict(enumerate(str(n) for n in bunch.target_names)))
    frame[TARGETS[name]] = target.astype(object if "target_names" in bunch else "int64")
    return frame
