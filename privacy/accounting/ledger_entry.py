"""Entries of a ledger: parsing its records and composing their charges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.accountant import compose_epsilon
from tabsynth.privacy.accounting.hash_chain import Record


@dataclass(frozen=True)
class Entry:
    """One charge.

    Attributes:
        index: Its number in the ledger.
        purpose: Purpose of the read.
        columns: The columns that were read.
        event: The dp-accounting event as data.
        delta: Probability, on top of the event, that its guarantee fails (a threshold's; 0 for most).
        sensitivity: The most by which one unit moves what was read, in the norm that the event speaks of.
        neighbours: The neighbouring relation.
        code: Version of tabsynth.
        rng: Where the noise came from.
        date: The day, UTC; only in the file of a data set's ledger, for how long a fit took depends on the rows.
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
    date: str = ""
    output: str | None = None


def parse_entries(records: Sequence[Record]) -> tuple[Entry, ...]:
    """Return the charges among a ledger's records, each with the hash of its output."""
    outputs = {record["entry"]: record["sha256"] for record in records if record["kind"] == "output"}
    kept = ("purpose", "event", "delta", "sensitivity", "neighbours", "code", "rng")
    charges = (record for record in records if record["kind"] == "charge")
    return tuple(
        Entry(
            i,
            columns=tuple(r["columns"]),
            date=r.get("date", ""),
            output=outputs.get(i),
            **{key: r[key] for key in kept},
        )
        for i, r in enumerate(charges)
    )


def spent_records(records: Sequence[Record], own: int | None = None) -> list[Record]:
    """Return the records that count as spent: charges, and every open reservation in place of its charges.

    Args:
        records: A ledger's.
        own: A reservation of which only the charges count.
    """
    released = {record["reservation"] for record in records if record["kind"] == "release"}
    reserved = [record for record in records if record["kind"] == "reservation"]
    open_ = {i for i in range(len(reserved)) if i not in released and i != own}
    charges = [record for record in records if record["kind"] == "charge"]
    return [charge for charge in charges if charge.get("reservation") not in open_] + [reserved[i] for i in open_]


def compose_charges(charges: Sequence[Mapping[str, Any]], delta: float, quick: bool = False) -> float:
    """Return the composed epsilon of charges at a delta, an upper bound; ``quick`` as in ``compose_epsilon``."""
    # A guarantee that may fail with probability delta_i adds up over charges: what is left is the events' own
    # (approximate zCDP, Lemma 8.2 of Bun and Steinke, arXiv 1605.02065).
    left = delta - sum(charge["delta"] for charge in charges)
    if left < 0 or (left == 0 and delta > 0):
        return math.inf
    return compose_epsilon([charge["event"] for charge in charges], left, quick=quick)


def parse_head(head: Mapping[str, Any]) -> dict[str, Any]:
    """Return a head as the constructor's arguments."""
    if set(head) != {"epsilon", "delta", "unit", "neighbours"}:
        raise PrivacyError(f"the ledger's head has {sorted(head)}; it is not one of this version")
    return {**head, "epsilon": math.inf if head["epsilon"] is None else head["epsilon"]}
