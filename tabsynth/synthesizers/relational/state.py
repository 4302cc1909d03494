"""The model file of a fitted database: the files of its parts under one manifest."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Arrays
from tabsynth.common.model_file import ModelFile
from tabsynth.errors import ModelFileError
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.synthesizers.relational.database_keys import DatabaseKeys
from tabsynth.synthesizers.relational.database_model import DatabaseModel
from tabsynth.synthesizers.relational.histories.history import History
from tabsynth.synthesizers.relational.occurrences.plan_selection import PlanSelection
from tabsynth.synthesizers.relational.orphans import Orphans
from tabsynth.synthesizers.relational.timeline import Timeline

KIND = "relational"


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
            {},
            {},
            {},
            {},
            {name: dict(dtypes) for name, dtypes in config["empty"].items()},
            {},
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
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError, AttributeError) as error:
        raise ModelFileError(f"{path!r} does not contain a relational model: {error!r}") from error
    return model, dict(config["facts"])
