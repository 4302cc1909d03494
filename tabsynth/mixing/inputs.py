"""Load a plan's inputs and verify their content hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tabsynth.data.batch_reader import Batches
from tabsynth.data.provenance import file_hash
from tabsynth.data.read_write import read
from tabsynth.errors import DataError, InputError, TabsynthError, quote
from tabsynth.mixing.plan.entries import Input
from tabsynth.mixing.plan.plan import Plan
from tabsynth.schema.cell_types import to_pandas
from tabsynth.schema.validation import check_frame


def load_source(table: pd.DataFrame | str | Path, name: str) -> tuple[pd.DataFrame, Input]:
    """Load a source and create its input entry.

    Raises:
        InputError: The source is neither a valid frame nor a path.
    """
    table = to_pandas(table)
    if isinstance(table, pd.DataFrame):
        try:
            check_frame(table)
        except TabsynthError as error:
            raise type(error)(f"source {name!r}: {error}") from error
        return table.reset_index(drop=True), Input(sha256=frame_hash(table))
    if not isinstance(table, (str, Path)):
        raise InputError(f"source {name!r}: expected a DataFrame or a path, not {type(table).__name__}")
    frame = read(table).frame
    if frame.empty:
        raise DataError(f"source {name!r}: {str(table)!r} has no rows")
    return frame, Input(uri=str(table), sha256=file_hash(Path(table)))


def load_inputs(plan: Plan, given: Mapping[str, pd.DataFrame] | None = None) -> dict[str, pd.DataFrame]:
    """Load the frames of a plan's inputs.

    Raises:
        DataError: An input has changed since the plan was created.
        InputError: An input without a file was not given, or an unknown one was.
        SourceError: A file cannot be read.
    """
    out = {}
    for name, table in _verified_inputs(plan, given).items():
        out[name] = read(table).frame if isinstance(table, Path) else table
        _check_columns(plan, name, list(out[name].columns))
    return out


def open_inputs(plan: Plan, given: Mapping[str, pd.DataFrame] | None = None) -> dict[str, Batches]:
    """Open a plan's inputs for reading in batches; raises as ``load_inputs``."""
    out = {}
    for name, table in _verified_inputs(plan, given).items():
        out[name] = Batches(table)
        _check_columns(plan, name, out[name].names)
    return out


def _verified_inputs(plan: Plan, given: Mapping[str, pd.DataFrame] | None) -> dict[str, pd.DataFrame | Path]:
    """Return each input's frame or path, after verifying its hash."""
    tables = {**plan.tables, **(given or {})}
    unknown = [name for name in tables if name not in plan.inputs]
    if unknown:
        raise InputError(f"the plan has no input {quote(unknown)}; its inputs are {quote(plan.inputs)}")
    out: dict[str, pd.DataFrame | Path] = {}
    for name, item in plan.inputs.items():
        if name in tables:
            out[name], now = tables[name].reset_index(drop=True), frame_hash(tables[name])
        elif item.uri is None:
            raise InputError(f"input {name!r} was a frame, not a file: pass it in tables={{{name!r}: frame}}")
        else:
            out[name] = path = plan.folder / item.uri
            now = file_hash(path)
        if now != item.sha256:
            raise DataError(
                f"input {name!r} has changed since the plan was created (its SHA-256 was {item.sha256[:12]}…, it is "
                f"{now[:12]}…): review it, or create the plan again with suggest"
            )
    return out


def _check_columns(plan: Plan, name: str, columns: Sequence[str]) -> None:
    named = [column for item in plan.map for column in item.sources.get(name, ())]
    named += [*plan.inputs[name].key, *plan.inputs[name].na]
    absent = [column for column in named if column not in columns]
    if absent:
        raise InputError(f"input {name!r} has no column {quote(absent)}; it has {quote(columns, 12)}")


def frame_hash(frame: pd.DataFrame) -> str:
    """Return the SHA-256 of a frame's columns, dtypes and values, without its index."""
    digest = hashlib.sha256(repr([(str(name), str(kind)) for name, kind in frame.dtypes.items()]).encode())
    for name in frame.columns:
        digest.update(np.ascontiguousarray(pd.util.hash_pandas_object(frame[name], index=False).to_numpy()).tobytes())
    return digest.hexdigest()
