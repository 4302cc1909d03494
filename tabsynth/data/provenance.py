"""Provenance of mixed tables.

It is kept in ``frame.attrs``, in the metadata of a Parquet file, in a sidecar file beside other formats, bound to their
content, and in every model that is fitted on the table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from tabsynth.common.atomic_files import write_text
from tabsynth.common.input_files import parse_json, read_json
from tabsynth.errors import DataError, PrivacyError, SourceError

KEY = "tabsynth.mixed"
SIDECAR_SUFFIX = ".mixed.json"

Provenance = dict[str, Any]
"""``plan_hash``, ``decisions_hash`` (without the inputs' contents), ``sources`` (rows by name), ``rows``, ``person``
(what a promise by row means for a person) and ``void`` (why no promise of differential privacy can be given)."""


def attach_provenance(frame: pd.DataFrame, provenance: Mapping[str, Any] | None) -> pd.DataFrame:
    """Attach provenance to a frame, in place."""
    if provenance:
        frame.attrs[KEY] = dict(provenance)
    return frame


def get_provenance(frame: Any) -> Provenance | None:
    """Return the provenance of a frame; None if it was not mixed."""
    found = frame.attrs.get(KEY) if isinstance(frame, pd.DataFrame) else None
    return dict(found) if isinstance(found, Mapping) else None


def add_to_metadata(schema: pa.Schema, provenance: Mapping[str, Any] | None) -> pa.Schema:
    """Add provenance to the metadata of an Arrow schema."""
    if not provenance:
        return schema
    return schema.with_metadata({**(schema.metadata or {}), KEY: json.dumps(provenance)})


def from_metadata(schema: pa.Schema) -> Provenance | None:
    """Return the provenance in the metadata of an Arrow schema."""
    text = (schema.metadata or {}).get(KEY.encode())
    try:
        found = parse_json(text) if text else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def write_sidecar(path: str | Path, provenance: Mapping[str, Any]) -> None:
    """Write provenance beside a file without metadata."""
    write_text(f"{path}{SIDECAR_SUFFIX}", json.dumps({"sha256": file_hash(path), KEY: provenance}, indent=1) + "\n")


def read_sidecar(path: str | Path) -> Provenance | None:
    """Read the provenance beside a table; None if there is none.

    Raises:
        DataError: The table was changed after it was mixed.
    """
    beside = Path(f"{path}{SIDECAR_SUFFIX}")
    try:
        data = read_json(beside, "provenance") if beside.is_file() else None
    except SourceError as error:
        raise SourceError(f"cannot read {str(beside)!r}: {error}; fix or remove it") from error
    if not isinstance(data, dict) or not isinstance(data.get(KEY), dict):
        return None
    if data.get("sha256") != file_hash(path):
        raise DataError(
            f"{str(path)!r} has changed since it was mixed; mix it again, or remove {beside.name!r} if this is another "
            "table"
        )
    found: Provenance = data[KEY]
    return found


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises:
        SourceError: The file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def public_part(provenance: Mapping[str, Any] | None, unit: str) -> Provenance | None:
    """Return the provenance that a private model may keep: nothing that depends on the rows.

    Args:
        provenance: Provenance of the table.
        unit: The unit of privacy: ``row``, or the column of persons.

    Raises:
        PrivacyError: Rows of the mixed table depend on each other.
    """
    if provenance is None:
        return None
    if provenance.get("void"):
        raise PrivacyError(
            f"no privacy can be promised for this mixed table: {'; '.join(provenance['void'])}. Mix it without, or "
            "fit it without privacy="
        )
    return {
        "decisions_hash": provenance.get("decisions_hash"),
        "sources": sorted(provenance.get("sources", {})),
        "uncharged": "the plan (which columns, units and codes belong together, and who is who) is taken as public; "
        "what was read to make it is not charged",
        "person": "row-level: a person with k rows has up to k times the epsilon"
        if unit == "row"
        else "by person, as the plan distinguishes persons: a missed link makes two persons of one",
    }
