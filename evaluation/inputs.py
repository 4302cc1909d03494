"""Inputs of an evaluation: three tables with the same columns, validated before any computation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tabsynth.common.installed_versions import installed_versions
from tabsynth.data.table import Table, TableLike
from tabsynth.errors import DataError, InputError, SchemaError, quote, warn_caller
from tabsynth.evaluation.stats.encoded_table import scored_columns
from tabsynth.schema.cell_types import is_text
from tabsynth.schema.columns import Categorical, Column, Datetime, Numeric
from tabsynth.schema.schema import Schema

PACKAGES = ("numpy", "pandas", "scikit-learn", "scipy", "sdmetrics")

HASH_CHUNK_ROWS = 1_000_000
"""Number of rows per chunk of the fingerprint."""

MAX_CELLS = 400_000_000
"""Maximum number of cells of a table that is evaluated in memory."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Tables with columns in the schema's order.

    Attributes:
        train: The training table.
        synthetic: The synthetic table.
        holdout: The holdout.
        schema: Schema of the training table.
        target: Target column.
        sources: File names of tables passed as paths.
        retyped: Columns that are text in one of the training and synthetic frames and numbers in the other, described.
    """

    train: pd.DataFrame
    synthetic: pd.DataFrame
    holdout: pd.DataFrame | None
    schema: Schema
    target: str | None
    sources: dict[str, str]
    retyped: dict[str, str] = field(default_factory=dict)

    def named(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Yield the name and frame of each available table."""
        yield "train", self.train
        yield "synthetic", self.synthetic
        if self.holdout is not None:
            yield "holdout", self.holdout


def check_inputs(
    train: TableLike,
    synthetic: TableLike,
    holdout: TableLike | None,
    target: str | None,
    schema: Schema | None,
) -> Inputs:
    """Read and validate the tables.

    The tables need the columns and types of the schema. Values that it does not allow are compared as they are: an
    evaluation measures how far synthetic rows violate the schema, and a private fit replaces such real values.

    Raises:
        SchemaError: Columns differ, the schema does not fit the training table, or the target is unknown.
        DataError: A table is empty, or a value has another type than in the schema.
    """
    for title, data in (("the training table", train), ("the synthetic table", synthetic), ("the holdout", holdout)):
        _check_size(title, data)
    schema = None if schema is None else relax_measured(Schema.of(schema))
    train_table = _read_training(train, schema)
    loose = relax_schema(train_table.schema)
    tables = {"train": train_table.frame}
    for name, title, data in (("synthetic", "the synthetic table", synthetic), ("holdout", "the holdout", holdout)):
        if data is not None:
            if isinstance(data, pd.DataFrame | Table):
                _check_columns(title, data if isinstance(data, pd.DataFrame) else data.frame, loose)
            tables[name] = _read_table(title, data, loose, " beside the training table").frame
    tables = {name: _with_measured_texts(frame, loose) for name, frame in tables.items()}
    names = list(train_table.schema)
    target_columns = train_table.schema.with_role("target")
    target = target if target is not None else target_columns[0] if target_columns else None
    if target is not None and target not in train_table.schema:
        raise SchemaError(f"the target {target!r} is not a column of the tables; there are {quote(names)}")
    if target is not None and target not in scored_columns(train_table.schema):
        kind = train_table.schema[target].kind
        raise SchemaError(f"the target {target!r} is of kind {kind}, which cannot be predicted; choose another column")
    given = {"train": train, "synthetic": synthetic, "holdout": holdout}
    sources = {name: Path(data).name for name, data in given.items() if isinstance(data, (str, Path))}
    return Inputs(
        train=tables["train"][names],
        synthetic=tables["synthetic"][names],
        holdout=tables["holdout"][names] if "holdout" in tables else None,
        schema=train_table.schema,
        target=target,
        sources=sources,
        retyped=_retyped_columns(train, synthetic, train_table.schema),
    )


def _retyped_columns(train: TableLike, synthetic: TableLike, schema: Schema) -> dict[str, str]:
    """Describe numbers in the form of text in one of two frames only; reading them removes the difference."""
    if not isinstance(train, pd.DataFrame) or not isinstance(synthetic, pd.DataFrame):
        return {}
    out = {}
    for name, column in schema.items():
        if isinstance(column, Numeric):
            kinds = [_number_form(frame[name]) for frame in (train, synthetic)]
            if sorted(kinds) == ["numbers", "text"]:
                out[name] = f"{name}: real values are {kinds[0]}, synthetic ones {kinds[1]}"
    return out


def _number_form(values: pd.Series) -> str:
    """Return whether the values of a numeric column are numbers or text; empty for another type."""
    if pd.api.types.is_numeric_dtype(values.dtype):
        return "numbers"
    return "text" if pd.api.types.is_string_dtype(values.dtype) and is_text(values) else ""


def relax_schema(schema: Schema) -> Schema:
    """Return the schema with columns and types only: nullable, without bounds, values and constraints."""
    return Schema({name: _relax_column(column) for name, column in schema.items()})


def relax_measured(schema: Schema) -> Schema:
    """Return the schema without the values and bounds that were measured under differential privacy.

    The real table does not satisfy them: a private fit pools rare values and clamps what is out of bounds.
    """
    return replace(
        schema,
        columns={
            name: _relax_column(column) if column.origin == "measured" else column for name, column in schema.items()
        },
    )


def fingerprint(frame: pd.DataFrame) -> str:
    """Return the SHA-256 of ``frame.to_csv(index=False)``, which others can reproduce."""
    digest = hashlib.sha256()
    for start in range(0, len(frame), HASH_CHUNK_ROWS):
        text = frame.iloc[start : start + HASH_CHUNK_ROWS].to_csv(index=False, header=start == 0)
        digest.update(text.encode("utf-8"))
    return digest.hexdigest()


def describe_frame(frame: pd.DataFrame) -> dict[str, Any]:
    """Return what identifies a table: its number of rows and fingerprint."""
    return {"rows": len(frame), "sha256": fingerprint(frame)}


def _with_measured_texts(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Return a table whose measured categories are text, as those of a private sample are: code 1 is ``"1"``."""
    from tabsynth.privacy.mechanisms.canonical_cells import to_text

    measured = [
        name for name, column in schema.items() if column.origin == "measured" and isinstance(column, Categorical)
    ]
    if not measured:
        return frame
    return frame.assign(**{name: pd.Series(to_text(frame[name]), frame.index, dtype="object") for name in measured})


def _relax_column(column: Column) -> Column:
    if isinstance(column, (Numeric, Datetime)):
        return replace(column, nullable=True, low=None, high=None)
    if isinstance(column, Categorical) and not column.ordered:
        return replace(column, nullable=True, values=None)
    return replace(column, nullable=True)


def _check_size(title: str, data: TableLike | None) -> None:
    """Reject a table that is too large for memory, before it is read if it is a Parquet file."""
    if isinstance(data, pd.DataFrame | Table):
        frame = data if isinstance(data, pd.DataFrame) else data.frame
        rows, columns = frame.shape
    elif isinstance(data, str | Path) and Path(data).suffix.lower() == ".parquet" and Path(data).is_file():
        try:
            footer = pq.ParquetFile(data).metadata
        except (pa.ArrowInvalid, OSError):
            return  # reading the file raises the error
        rows, columns = footer.num_rows, footer.num_columns
    else:
        return
    if rows * columns > MAX_CELLS:
        raise DataError(
            f"{title} has {rows:,} rows of {columns} columns, more than is evaluated in memory ({MAX_CELLS:,} cells): "
            "pass a sample of its rows, or compare Parquet files with tabsynth.evaluation.out_of_core.file_fidelity"
        )


def _check_columns(title: str, frame: Any, schema: Schema) -> None:
    """Check that a frame has the columns of the training table."""
    absent = [name for name in schema if name not in frame.columns]
    extra = [name for name in frame.columns if name not in schema]
    if absent or extra:
        differences = [f"{quote(absent)} are missing"] if absent else []
        differences += [f"{quote(extra)} are extra"] if extra else []
        raise SchemaError(f"{title} has other columns than the training table: {' and '.join(differences)}; align them")


def _read_training(data: TableLike, schema: Schema | None) -> Table:
    """Read the training table; a warning names values that the schema does not allow."""
    title = "the training table"
    try:
        return _read_table(title, data, schema)
    except DataError as error:
        if schema is None:
            raise
        fault = error
    table = _read_table(title, data, relax_schema(schema))
    warn_caller(f"{fault}. The rows are compared as they are (a private fit replaces such values)")
    return Table(table.frame, schema)


def _read_table(title: str, data: TableLike, schema: Schema | None, beside: str = "") -> Table:
    """Call ``Table.of``, with errors that name the table."""
    try:
        table = Table.of(data, schema)
    except SchemaError as error:
        raise type(error)(f"{title}{beside}: {error}") from error
    except InputError as error:
        raise type(error)(f"{title}: {error}") from error
    if not len(table):
        raise DataError(f"{title} has no rows; pass a table with rows")
    return table


def collect_provenance(inputs: Inputs, seed: int) -> dict[str, Any]:
    """Return the provenance of an evaluation or an audit: hashes of the tables, column kinds, seed and versions."""
    tables = {}
    for name, frame in inputs.named():
        tables[name] = describe_frame(frame)
        if name in inputs.sources:
            tables[name]["file"] = inputs.sources[name]
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "columns": {name: column.kind for name, column in inputs.schema.items()},
        "tables": tables,
        "packages": installed_versions(PACKAGES),
    }
