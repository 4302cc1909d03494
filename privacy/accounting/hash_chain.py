"""A hash-chained, append-only list of records, in memory or in a file that several processes may append to.

Each record contains the SHA-256 of the previous one, so an edit, a swap or a removal in the middle is detected. A
rewrite
of the whole chain is not: compare ``tip`` with a copy stored elsewhere (each model file contains the tip of its
    ledger).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tabsynth.common.atomic_files import check_writable, replace_atomically
from tabsynth.common.input_files import check_regular_file
from tabsynth.errors import PrivacyError, SourceError

FORMAT = "tabsynth-ledger"
VERSION = 1

MAX_WAIT_SECONDS = 30.0
"""Seconds to wait for a process that holds the file."""

Record = dict[str, Any]


def canonical(data: Any) -> bytes:
    """Return the canonical JSON of a record, the input of its hash."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def hash_record(previous: str, body: Mapping[str, Any]) -> str:
    """Return the hash of a record that follows ``previous``."""
    return hashlib.sha256(previous.encode() + canonical(body)).hexdigest()


def hash_head(head: Mapping[str, Any]) -> str:
    """Return the hash of a head, which the first record follows."""
    return hash_record("", head)


def link_record(head: Mapping[str, Any], records: list[Record], body: Mapping[str, Any]) -> Record:
    """Return a record with its hashes, to be appended to a chain."""
    previous = get_tip(head, records)
    return {**body, "previous": previous, "hash": hash_record(previous, body)}


def check_chain(head: Mapping[str, Any], records: list[Record], tip: str, where: str) -> None:
    """Raise if a chain was changed after it was written.

    Raises:
        PrivacyError: A record was changed, moved or removed; the message names the first one.
    """
    previous = hash_head(head)
    for number, record in enumerate(records):
        body = {key: value for key, value in record.items() if key not in ("previous", "hash")}
        if record.get("previous") != previous or record.get("hash") != hash_record(previous, body):
            raise PrivacyError(
                f"{where}: record {number} was changed after it was written, so the ledger is not valid evidence; "
                "restore the file from a copy"
            )
        previous = record["hash"]
    if tip != previous:
        raise PrivacyError(f"{where}: records at the end are missing; restore the file from a copy")


def get_tip(head: Mapping[str, Any], records: list[Record]) -> str:
    """Return the hash at the end of a chain."""
    return str(records[-1]["hash"]) if records else hash_head(head)


def to_data(head: Mapping[str, Any], records: list[Record]) -> dict[str, Any]:
    """Return a chain as plain data."""
    tip = get_tip(head, records)
    return {"format": FORMAT, "version": VERSION, "head": dict(head), "records": list(records), "tip": tip}


def from_data(data: Any, where: str) -> tuple[dict[str, Any], list[Record]]:
    """Validate and parse the output of ``to_data``.

    Raises:
        PrivacyError: Not a ledger, of a later version, or changed.
    """
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise PrivacyError(f"{where} is not a privacy ledger; name a file that PrivacyLedger wrote")
    if not isinstance(data.get("version"), int) or data["version"] > VERSION:
        raise PrivacyError(f"{where} has version {data.get('version')!r}, later than {VERSION}: upgrade tabsynth")
    try:
        head, records = dict(data["head"]), [dict(record) for record in data["records"]]
        check_chain(head, records, data["tip"], where)
    except (KeyError, TypeError, ValueError) as error:
        raise PrivacyError(f"{where} is damaged: {error!r}; restore it from a copy") from error
    return head, records


def read(path: Path) -> tuple[dict[str, Any], list[Record]]:
    """Read and validate a ledger's file: its head and records.

    Raises:
        PrivacyError: The file cannot be read, has several hard links, or is not an unchanged ledger.
    """
    try:
        check_regular_file(path, "ledger")
    except SourceError as error:
        raise PrivacyError(str(error)) from error
    try:
        if path.stat().st_nlink > 1:
            raise PrivacyError(
                f"the ledger {str(path)!r} has several names (hard links), and a charge under one of them would be "
                "missing under the others: keep one and remove the rest"
            )
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PrivacyError(f"cannot read the ledger {str(path)!r}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise PrivacyError(f"the ledger {str(path)!r} is damaged: {error}; restore it from a copy") from error
    return from_data(data, f"the ledger {str(path)!r}")


def write(path: Path, head: Mapping[str, Any], records: list[Record]) -> None:
    """Write a chain atomically and flush it to the disk: a charge must survive a crash after the read."""
    with replace_atomically(path, private=True) as temporary:
        data = to_data(head, records)
        temporary.write_bytes(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False).encode())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a ledger's file against other processes; the operating system releases the lock when the process ends.

    Raises:
        PrivacyError: Another process held it for too long.
        SourceError: The folder is missing or not writable.
    """
    check_writable(path)
    with path.with_name(f".{path.name}.lock").open("a+b") as file:
        began = time.monotonic()
        while not _try_lock(file.fileno()):
            if time.monotonic() - began > MAX_WAIT_SECONDS:
                raise PrivacyError(
                    f"another process has held the ledger {str(path)!r} for {MAX_WAIT_SECONDS:.0f} s; try again"
                )
            time.sleep(0.02)
        try:
            yield
        finally:
            _unlock(file.fileno())


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> bool:
        try:
            os.lseek(handle, 0, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(handle: int) -> None:
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _unlock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)
