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
        index: Number of the charge in the ledger.
        purpose: What the data was read for.
        columns: The columns that were read.
        event: The dp-accounting event as data.
        delta: Probability, in addition to the event's, that the guarantee fails (0 except for thresholds).
        sensitivity: Maximum change of the read values by one unit, in the norm of the event.
        neighbours: The neighbouring relation.
        code: Version of tabsynth.
        rng: Kind of the random source.
        date: The day, UTC; only in the file of a data set's ledger, because the time of a charge depends on the rows.
        output: SHA-256 of the output, once it is known.
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
    copied = ("purpose", "event", "delta", "sensitivity", "neighbours", "code", "rng")
    charges = (record for record in records if record["kind"] == "charge")
    return tuple(
        Entry(
            i,
            columns=tuple(r["columns"]),
            date=r.get("date", ""),
            output=outputs.get(i),
            **{key: r[key] for key in copied},
        )
        for i, r in enumerate(charges)
    )


def spent_records(records: Sequence[Record], own: int | None = None) -> list[Record]:
    """Return the records that count as spent: each open reservation in place of its charges, and all other charges.

    Args:
        records: Records of a ledger.
        own: A reservation that counts by its charges instead.
    """
    released = {record["reservation"] for record in records if record["kind"] == "release"}
    reserved = [record for record in records if record["kind"] == "reservation"]
    open_ = {i for i in range(len(reserved)) if i not in released and i != own}
    charges = [record for record in records if record["kind"] == "charge"]
    return [charge for charge in charges if charge.get("reservation") not in open_] + [reserved[i] for i in open_]


def compose_charges(charges: Sequence[Mapping[str, Any]], delta: float, quick: bool = False) -> float:
    """Return the composed epsilon of charges at a delta, an upper bound; ``quick`` as in ``compose_epsilon``."""
    # The failure probabilities of the charges add up, and the events are composed at the rest of delta (approximate
    # zCDP, Lemma 8.2 of Bun and Steinke, arXiv 1605.02065).
    event_delta = delta - sum(charge["delta"] for charge in charges)
    if event_delta < 0 or (event_delta == 0 and delta > 0):
        return math.inf
    return compose_epsilon([charge["event"] for charge in charges], event_delta, quick=quick)


def parse_head(head: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``PrivacyLedger`` from a head."""
    if set(head) != {"epsilon", "delta", "unit", "neighbours"}:
        raise PrivacyError(
            f"the head of the ledger has the keys {sorted(head)}, which this version cannot read; upgrade tabsynth"
        )
    return {**head, "epsilon": math.inf if head["epsilon"] is None else head["epsilon"]}
