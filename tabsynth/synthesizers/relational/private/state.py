"""The model file of a privately fitted database: the files of its parts under one manifest."""

from __future__ import annotations

import io
from itertools import product
from typing import Any

import pandas as pd

from tabsynth.common.arrays import Arrays
from tabsynth.common.model_file import ModelFile
from tabsynth.errors import ModelFileError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.relational.database_keys import DatabaseKeys
from tabsynth.synthesizers.relational.plan import plan_columns
from tabsynth.synthesizers.relational.private.database_model import PrivateDatabase
from tabsynth.synthesizers.relational.private.history_model import HistoryMarginals
from tabsynth.synthesizers.relational.timeline import Timeline

KIND = "relational"


def to_private_file(model: PrivateDatabase, facts: dict[str, Any]) -> ModelFile:
    """Return the content of a model file.

    Args:
        model: The fitted database.
        facts: Plain data of the synthesizer.
    """
    files = {"root": model.root.to_file()}
    files |= {f"history.{name}": history.to_file() for name, history in model.histories.items()}
    config: dict[str, Any] = {
        "facts": facts,
        "private": True,
        "schema": model.schema.to_dict(),
        "visible": {name: schema.to_dict() for name, schema in model.visible.items()},
        "timelines": {name: timeline.to_dict() for name, timeline in model.timelines.items()},
        "caps": model.caps,
        "keys": model.keys.to_dict(),
        "references": {name: frame.to_json(orient="table", index=False) for name, frame in model.references.items()},
        "ledger": model.ledger.to_dict(),
        "parts": {name: file.config for name, file in files.items()},
    }
    arrays: Arrays = {}
    for part, file in files.items():
        arrays |= {f"{part}/{name}": array for name, array in file.arrays.items()}
    return ModelFile(KIND, config, arrays)


def from_private_file(file: ModelFile, path: str) -> tuple[PrivateDatabase, dict[str, Any]]:
    """Read what ``to_private_file`` made.

    Raises:
        ModelFileError: The file is damaged.
    """
    config, parts = file.config, dict[str, ModelFile]()
    try:
        for part, plain in config["parts"].items():
            prefix = f"{part}/"
            part_arrays = {n.removeprefix(prefix): array for n, array in file.arrays.items() if n.startswith(prefix)}
            parts[part] = ModelFile(part, plain, part_arrays)
        root = MarginalSynthesizer.from_file(parts.pop("root"))
        histories = {part.removeprefix("history."): HistoryMarginals.from_file(item) for part, item in parts.items()}
        codecs = [root.codec_, *(history.codec_ for history in histories.values())]
        for (name, cap), codec in product(config["caps"].items(), codecs):
            count = codec.numeric_coders.get(plan_columns(name)[0])
            if count is not None and count.high[-1] > cap:
                raise ValueError(f"a row has more rows of {name!r} than the cap of {cap}")
        model = PrivateDatabase(
            DatabaseSchema.from_dict(config["schema"]),
            {name: Schema.from_dict(item) for name, item in config["visible"].items()},
            {name: Timeline.from_dict(item) for name, item in config["timelines"].items()},
            {name: int(cap) for name, cap in config["caps"].items()},
            DatabaseKeys.from_dict(config["keys"]),
            {name: pd.read_json(io.StringIO(text), orient="table") for name, text in config["references"].items()},
            root,
            histories,
            PrivacyLedger.from_dict(config["ledger"]),
        )
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError, AttributeError) as error:
        raise ModelFileError(f"{path!r} does not contain a private relational model: {error!r}") from error
    return model, dict(config["facts"])
