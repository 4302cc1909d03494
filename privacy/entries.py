"""The charges of a ledger, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tabsynth.privacy.records import Record


@dataclass(frozen=True)
class Entry:
    """One charge.

    Attributes:
        index: Its number in the ledger.
        purpose: What the read was for.
        columns: The columns that were read.
        event: The dp-accounting event as data.
        delta: Probability, on top of the event, that its guarantee fails (a threshold's; 0 for most).
        sensitivity: The most by which one unit moves what was read, in the norm that the event speaks of.
        neighbours: The neighbouring relation.
        code: Version of tabsynth.
        rng: Where the noise came from.
        time: When, UTC.
        output: SHA-256 of what was produced, once it is known.
    """

    index: int
    purpose: str
    columns: tuple[str, ...]
    event: dict[str, Any]
    delta: float
    sensitivity: float
    neighbours: str
    code: str
    rng: str
    time: str
    output: str | None = None


def entries_of(records: Sequence[Record]) -> tuple[Entry, ...]:
    """The charges among a ledger's records, each with the hash that a later record gave of its output."""
    outputs = {record["entry"]: record["sha256"] for record in records if record["kind"] == "output"}
    kept = ("purpose", "event", "delta", "sensitivity", "neighbours", "code", "rng", "time")
    charges = (record for record in records if record["kind"] == "charge")
    return tuple(
        Entry(i, columns=tuple(r["columns"]), output=outputs.get(i), **{key: r[key] for key in kept})
        for i, r in enumerate(charges)
    )
