"""Where a mixed table comes from: told by its frame and its file, and kept by every model that is fitted on it.

What ``mix`` tells travels in ``frame.attrs``, which pandas keeps when rows or columns are chosen, in the metadata of a
Parquet file, and beside a file that has none, bound to its content.
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
from tabsynth.errors import DataError, PrivacyError, SourceError

KEY = "tabsynth.mixed"
SIDECAR_SUFFIX = ".mixed.json"
"""What the name of the file beside a table ends with."""

Provenance = dict[str, Any]
"""``plan_hash``, ``decisions_hash`` (without the inputs' contents), ``sources`` (rows by name), ``rows``, ``person``
(what a promise by row means for a person) and ``void`` (why no promise of differential privacy can be given)."""


def attach_provenance(frame: pd.DataFrame, told: Mapping[str, Any] | None) -> pd.DataFrame:
    """The same frame, which now tells where it comes from; nothing is copied."""
    if told:
        frame.attrs[KEY] = dict(told)
    return frame


def get_provenance(frame: Any) -> Provenance | None:
    """What a frame tells; None where it was not mixed."""
    found = frame.attrs.get(KEY) if isinstance(frame, pd.DataFrame) else None
    return dict(found) if isinstance(found, Mapping) else None


def add_to_metadata(schema: pa.Schema, told: Mapping[str, Any] | None) -> pa.Schema:
    """An Arrow schema whose metadata tell it."""
    return schema.with_metadata({**(schema.metadata or {}), KEY: json.dumps(told)}) if told else schema


def from_metadata(schema: pa.Schema) -> Provenance | None:
    """What an Arrow schema's metadata tell."""
    text = (schema.metadata or {}).get(KEY.encode())
    try:
        found = json.loads(text) if text else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def write_sidecar(path: str | Path, told: Mapping[str, Any]) -> None:
    """Tell of a file that has no metadata, in a small file beside it."""
    write_text(f"{path}{SIDECAR_SUFFIX}", json.dumps({"sha256": file_hash(path), KEY: told}, indent=1) + "\n")


def read_sidecar(path: str | Path) -> Provenance | None:
    """What the file beside a table tells; None where there is no such file.

    Raises:
        DataError: The table was changed after it was mixed.
    """
    beside = Path(f"{path}{SIDECAR_SUFFIX}")
    try:
        data = json.loads(beside.read_text("utf-8")) if beside.is_file() else None
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read {str(beside)!r}: {error}; mend or remove it") from error
    if not isinstance(data, dict) or not isinstance(data.get(KEY), dict):
        return None
    if data.get("sha256") != file_hash(path):
        raise DataError(
            f"{str(path)!r} has changed since it was mixed; mix it anew, or remove {beside.name!r} if this is another "
            "table"
        )
    found: Provenance = data[KEY]
    return found


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        SourceError: The file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def public_part(told: Mapping[str, Any] | None, unit: str) -> Provenance | None:
    """What a private model may tell: nothing that hangs on the rows.

    Args:
        told: What the table tells.
        unit: The unit of privacy: ``row``, or the column of persons.

    Raises:
        PrivacyError: The way in which the table was mixed lets rows into each other.
    """
    if told is None:
        return None
    if told.get("void"):
        raise PrivacyError(
            f"no privacy can be promised for this mixed table: {'; '.join(told['void'])}. Mix it without, or fit it "
            "without privacy="
        )
    return {
        "decisions_hash": told.get("decisions_hash"),
        "sources": sorted(told.get("sources", {})),
        "uncharged": "the plan (which columns, units and codes belong together, and who is who) is taken as public; "
        "what was read to make it is not charged",
        "person": "row-level: a person with k rows has up to k times the epsilon"
        if unit == "row"
        else "by person, as the plan tells persons apart: a link that it missed makes two persons of one",
    }
