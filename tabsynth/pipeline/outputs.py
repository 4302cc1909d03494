"""Check output paths before long work, stage outputs, and write samples in chunks."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from tabsynth.common.atomic_files import check_writable, write_text
from tabsynth.common.input_files import parse_json
from tabsynth.data.batch_reader import Batches
from tabsynth.data.database.folders import write_folder, write_folder_chunks
from tabsynth.data.parquet_files import arrow_to_frame, open_parquet
from tabsynth.data.read_write import read, write, write_chunks
from tabsynth.data.sql.read_write import Mode, has_token, write_batches
from tabsynth.data.sql.urls import parse_url
from tabsynth.data.table import Table
from tabsynth.errors import SourceError
from tabsynth.pipeline.records import data_hash
from tabsynth.pipeline.status import STATE_FOLDER
from tabsynth.pipeline.step_config import SampleStep
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.base import Synthesizer
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

CHUNK_ROWS = 65_536
"""Rows sampled and written at a time."""


def check_table_output(path: str | Path, table: str | None = None) -> None:
    """Raise SourceError if the suffix is not a table format, the path not writable, or a URL names no table."""
    from tabsynth.data.file_formats import SUFFIXES
    from tabsynth.data.sql.read_write import table_of
    from tabsynth.data.sql.urls import is_database_url, parse_url

    if is_database_url(path):
        table_of(parse_url(str(path)), table)
        return
    if not Path(path).name.lower().endswith(tuple(SUFFIXES)):
        raise SourceError(f"cannot write a table to {str(path)!r}: its name must end in one of {', '.join(SUFFIXES)}")
    check_writable(path)


def is_written_whole(path: str | Path) -> bool:
    """Return whether a file is written at once rather than in chunks: Excel and Arrow."""
    return Path(path).suffix.lower() in (".xlsx", ".xlsm", ".arrow", ".feather")


def write_sample(
    model: Synthesizer,
    path: str | Path,
    rows: int,
    *,
    given: Mapping[str, Any] | None = None,
    seed: int,
    keep: int = 0,
    table: str | None = None,
    mode: Mode | None = None,
    keep_formulas: bool = False,
    separator: str | None = None,
) -> pd.DataFrame:
    """Sample rows into a file in chunks, and return at least the first ``keep`` rows.

    An Excel or Arrow file is written at once, and rows of a schema with declared keys are sampled at once.

    Args:
        model: A fitted model.
        path: The file, or the URL of a database.
        rows: Number of rows.
        given: Conditions.
        seed: The seed.
        keep: Number of rows to return.
        table: Table of a database.
        mode: Write mode of a table of a database.
        keep_formulas: Write text that a spreadsheet would take for a formula as it is.
        separator: Field separator of a CSV file.
    """
    # Chunks are sampled independently, so that declared keys would repeat between them.
    size = max(rows, 1) if RuleSet.of(model.schema_).repeatable_keys else CHUNK_ROWS
    chunks = model.sample_chunks(rows, given=given, chunk=size, seed=seed)
    if is_written_whole(path):
        frame = pd.concat(chunks, ignore_index=True)
        write(frame, path, model.schema_, keep_formulas=keep_formulas)
        return frame
    head: list[pd.DataFrame] = []
    how: dict[str, Any] = {"table": table, "mode": mode, "keep_formulas": keep_formulas, "separator": separator}
    with write_chunks(path, model.schema_, **how) as append:
        for chunk in chunks:
            append(chunk)
            if sum(map(len, head)) < keep:
                head.append(chunk)
    return pd.concat(head, ignore_index=True) if head else pd.DataFrame()


def write_sampled_folder(
    model: RelationalSynthesizer,
    folder: str | Path,
    rows: int | Mapping[str, int] | None,
    *,
    scale: float | None = None,
    given: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int,
    format: str = "parquet",
    keep_formulas: bool = False,
    progress: bool | None = None,
) -> dict[str, int]:
    """Sample a database into a folder, in chunks where no key can repeat between them, and return its rows by table.

    Args:
        model: A fitted model of linked tables.
        folder: The folder to write.
        rows: Rows of the root tables, as for ``RelationalSynthesizer.sample``.
        scale: As for ``RelationalSynthesizer.sample``.
        given: Conditions by table.
        seed: The seed.
        format: ``parquet`` or ``csv``.
        keep_formulas: Write text that a spreadsheet would take for a formula as it is.
        progress: Whether to show a progress bar.
    """
    how: dict[str, Any] = {"scale": scale, "given": given, "seed": seed, "progress": progress}
    chunks = model.sample_chunks(rows, **how) if model.repeatable_key is None else iter([model.sample(rows, **how)])
    first, second = next(chunks), next(chunks, None)
    written = {name: len(frame) for name, frame in first.items()}
    if second is None:
        write_folder(first, folder, model.schema_, format, keep_formulas=keep_formulas)
        return written
    with write_folder_chunks(folder, model.schema_, format, keep_formulas=keep_formulas) as append:
        append(first)
        del first
        for tables in itertools.chain([second], chunks):
            append(tables)
            for name, frame in tables.items():
                written[name] += len(frame)
    return written


def copy_to_database(path: Path, url: str, schema: Schema, mode: Mode, token: str) -> None:
    """Copy a table's file into a database, in batches and in one transaction.

    A write that creates or appends is marked with the token, and not made if the mark is there: its repetition would
    fail, or write each row twice. To replace a table twice does no harm.
    """
    mark = None if mode == "replace" else token
    if mark is not None and parse_url(url).is_there and has_token(url, mark):
        return
    with write_batches(url, mode=mode, schema=schema, token=mark) as append:
        for frame in Batches(path).frames():
            append(frame)


def export_token(output: Path, content: str, step: SampleStep) -> str:
    """Return the name of a write to a database: the same one until the content or the settings change."""
    path, wanted = output / STATE_FOLDER / "export.json", data_hash([content, step.database, step.mode])
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = parse_json(path.read_bytes())
        if found["write"] == wanted and isinstance(found["token"], str):
            return str(found["token"])
    token = uuid.uuid4().hex
    write_text(path, json.dumps({"write": wanted, "token": token}) + "\n")
    return token


def read_head(path: Path, rows: int, schema: Schema, separator: str | None = None) -> pd.DataFrame:
    """Return the first rows of a synthetic table; of a large Parquet file, no others are read."""
    rows = max(rows, CHUNK_ROWS)
    if path.suffix.lower() not in (".parquet", ".pq"):
        return read(path, schema=schema, separator=separator).frame.iloc[:rows]
    parts, count = [], 0
    with open_parquet(path) as file:
        for batch in file.iter_batches(CHUNK_ROWS):
            parts.append(batch)
            count += batch.num_rows
            if count >= rows:
                break
        table = pa.Table.from_batches(parts, file.schema_arrow)
    return Table.of(arrow_to_frame(table), schema).frame.iloc[:rows]


def checkpoint_path(model_path: str | Path) -> Path:
    """Return the checkpoint of a fit, beside its model file."""
    return Path(f"{model_path}.checkpoint")
