"""The model file of a fitted database: the files of its parts under one manifest."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch

from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Arrays
from tabsynth.common.model_file import ModelFile
from tabsynth.errors import ModelFileError, TabsynthError
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.synthesizers.relational.database_keys import DatabaseKeys
from tabsynth.synthesizers.relational.database_model import DatabaseModel
from tabsynth.synthesizers.relational.histories.history import History
from tabsynth.synthesizers.relational.occurrences.plan_selection import PlanSelection
from tabsynth.synthesizers.relational.orphans import Orphans
from tabsynth.synthesizers.relational.plan import plan_columns
from tabsynth.synthesizers.relational.timeline import Timeline

KIND = "relational"

DAMAGES = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError)
"""Exceptions that the content of a damaged file raises."""

NO_DAMAGES = (MemoryError, AttributeError, NotImplementedError, RecursionError, torch.OutOfMemoryError)
"""Exceptions that no damage of a file raises once it was read: too little memory, or a fault of the program."""


def to_file(model: DatabaseModel, facts: dict[str, Any]) -> ModelFile:
    """Return the content of a model file.

    Args:
        model: The fitted database.
        facts: Plain data of the synthesizer.
    """
    config: dict[str, Any] = {
        "facts": facts,
        "schema": model.schema.to_dict(),
        "columns": model.columns,
        "visible": {name: schema.to_dict() for name, schema in model.visible.items()},
        "timelines": {n: None if t is None else t.to_dict() for n, t in model.timelines.items()},
        "keys": model.keys.to_dict(),
        "empty": model.empty,
        "references": {name: frame.to_json(orient="table", index=False) for name, frame in model.references.items()},
        "parts": {},
    }
    arrays: Arrays = {}
    roots = {name: root.to_file() for name, root in model.roots.items()}
    states = {f"root.{name}": (file.config, file.arrays) for name, file in roots.items()}
    states |= {f"context.{name}": codec.state() for name, codec in model.contexts.items()}
    states |= {f"history.{name}": history.state() for name, history in model.histories.items()}
    states |= {f"orphans.{name}": orphans.state() for name, orphans in model.orphans.items()}
    states |= {f"selection.{name}": selection.state() for name, selection in model.selections.items()}
    for key, (plain, part_arrays) in states.items():
        config["parts"][key] = plain
        arrays |= {f"{key}/{name}": array for name, array in part_arrays.items()}
    return ModelFile(KIND, config, arrays)


def from_file(file: ModelFile, path: str) -> tuple[DatabaseModel, dict[str, Any]]:
    """Read what ``to_file`` made.

    Raises:
        ModelFileError: The file is not of this kind, or damaged.
    """
    if file.kind != KIND:
        raise ModelFileError(f"{path!r} contains a {file.kind!r} model; read it with tabsynth.load")
    config = file.config
    try:
        model = DatabaseModel(
            DatabaseSchema.from_dict(config["schema"]),
            config["columns"],
            {name: Schema.from_dict(item) for name, item in config["visible"].items()},
            {n: None if item is None else Timeline.from_dict(item) for n, item in config["timelines"].items()},
            DatabaseKeys.from_dict(config["keys"]),
            {name: pd.read_json(io.StringIO(text), orient="table") for name, text in config["references"].items()},
            empty={name: dict(dtypes) for name, dtypes in config["empty"].items()},
        )
        for key, plain in config["parts"].items():
            kind, name = key.split(".", 1)
            prefix = f"{key}/"
            part_arrays = {n.removeprefix(prefix): a for n, a in file.arrays.items() if n.startswith(prefix)}
            if kind == "root":
                model.roots[name] = MaskedSynthesizer.from_file(ModelFile("masked", plain, part_arrays))
            elif kind == "context":
                model.contexts[name] = Codec.from_state(plain, part_arrays)
            elif kind == "orphans":
                model.orphans[name] = Orphans.from_state(plain, part_arrays)
            elif kind == "selection":
                model.selections[name] = PlanSelection.from_state(part_arrays)
            else:
                model.histories[name] = History.from_state(plain, part_arrays)
        facts = dict(config["facts"])
        _check_parts(model, facts)
    except DAMAGES as error:
        raise ModelFileError(f"{path!r} does not contain a relational model: {error!r}") from error
    return model, facts


def _check_parts(model: DatabaseModel, facts: Mapping[str, Any]) -> None:
    """Raise a ValueError unless the parts are those of the schema, with the release floor that the file states."""
    floor, rows = facts["parameters"]["min_group"], facts["rows"]
    codecs = {name: root.codec_ for name, root in model.roots.items()}
    codecs |= {name: history.codec for name, history in model.histories.items()}
    stated = [codec.min_group for codec in (*codecs.values(), *model.contexts.values())]
    stated += [root.min_group for root in model.roots.values()]
    if isinstance(floor, bool) or any(one != floor for one in stated):
        raise ValueError(f"its parts have other values of min_group than {floor!r}")
    if set(model.visible) | set(model.references) != set(model.schema.tables):
        raise ValueError("it does not contain the tables of its schema")
    for name, own in model.visible.items():
        link, columns = model.schema.main_key(name), model.columns[name]
        if set(columns) != set(model.schema.tables[name]) or not set(own) <= set(columns):
            raise ValueError(f"the columns of the table {name!r} are not those of its schema")
        if (name in model.schema.primary_keys) != (name in model.keys.makers):
            raise ValueError(f"the table {name!r} has no maker of its keys")
        if link is None:
            if model.roots[name].rows_ != rows.get(name, model.roots[name].rows_):
                raise ValueError(f"the table {name!r} has several numbers of rows")
        elif name in model.histories:
            # Tables that the learned form adds have no rows of their own in the file.
            n_rows = rows[name] if name in rows and link.parent in rows else np.inf
            _check_history(model, name, codecs[link.parent], n_rows)
        elif name not in model.empty:
            raise ValueError(f"the table {name!r} has no model")


def _check_history(model: DatabaseModel, name: str, parent: Codec, rows: float) -> None:
    """Raise a ValueError unless the history of a table fits its vocabulary and the number of its rows."""
    history, count = model.histories[name], parent.numeric_coders.get(plan_columns(name)[0])
    if name not in model.orphans or (count is not None and count.high[-1] > rows):
        raise ValueError(f"the parents of {name!r} have more rows than the table")
    if [(mask.shape, mask.dtype) for mask in history.allowed] != [((size,), np.dtype(bool)) for size in history.sizes]:
        raise ValueError(f"the tokens of {name!r} that may be sampled are not those of its vocabulary")
    if history.longest.shape != history.ratio_bias.shape[:1] and history.has_gaps:
        raise ValueError(f"the longest gaps of {name!r} do not fit its classes")


@contextmanager
def report_damage(path: str | None, *, reading: bool = False) -> Iterator[None]:
    """Raise what a model that was read from a file raises as a ModelFileError; None for a model that was fitted.

    Not every edit of a file is found when it is read: numbers that fit each other may make no rows.
    """
    try:
        yield
    except TabsynthError:
        raise
    except DAMAGES as error:
        if path is None or (isinstance(error, NO_DAMAGES) and not reading):
            raise
        raise ModelFileError(f"{path!r} was damaged or edited: its model fails with {error!r}; fit it again") from error
