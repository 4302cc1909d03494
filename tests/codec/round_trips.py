"""Schemas, and round trips through a codec."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.schema import Schema


def round_trip(frame: pd.DataFrame, schema: Schema, min_group: int = 5, seed: int = 0) -> pd.DataFrame:
    codec = Codec.measure(Table.of(frame, schema), min_group=min_group)
    state = Codec.from_state(*codec.state())  # what a model file keeps must suffice
    return state.decode(codec.encode(frame), np.random.default_rng(seed))


def schema_of(**kinds: dict[str, object]) -> Schema:
    return Schema.from_dict({"columns": {name: {"origin": "inferred", **facts} for name, facts in kinds.items()}})


def numeric(nullable: bool = False, **facts: object) -> dict[str, object]:
    return {"kind": "numeric", "nullable": nullable, **facts}


def categorical(**facts: object) -> dict[str, object]:
    return {"kind": "categorical", "nullable": True, **facts}
