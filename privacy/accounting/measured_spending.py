"""Charges for measuring a schema, which become part of the ledger of every model fitted with it."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from tabsynth.errors import PrivacyError, quote
from tabsynth.privacy.accounting import hash_chain as chain
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.accounting.ledger_entry import Entry
from tabsynth.schema.schema import Schema


def get_measurement_ledger(schema: Schema) -> PrivacyLedger | None:
    """Return the ledger of the charges for measuring a schema; None if nothing was measured.

    Raises:
        PrivacyError: The schema has measured columns, but not the charges for them.
    """
    if schema.ledger:
        return PrivacyLedger.from_dict(schema.ledger)
    measured = [name for name, column in schema.items() if column.origin == "measured"]
    if measured:
        raise PrivacyError(
            f"columns {quote(measured)} were measured, but the schema does not contain their charges: use the "
            "schema that measure returned (or its JSON file) with its ledger unchanged"
        )
    return None


def check_same_dataset(measured: PrivacyLedger | None, unit: str, dataset: PrivacyLedger | None) -> None:
    """Check that a fit can be composed with the measurements of its schema.

    Args:
        measured: Charges for measuring the schema.
        unit: The fit's unit of privacy.
        dataset: The data set's ledger, where there is one.

    Raises:
        PrivacyError: The schema was measured for another unit, or the data set's ledger does not hold its charges.
    """
    if measured is None:
        return
    if measured.unit != unit:
        raise PrivacyError(
            f"the schema was measured for the unit {measured.unit!r} and this fit is for {unit!r}; use one unit"
        )
    if dataset is not None and _charge_counts(measured) - _charge_counts(dataset):
        raise PrivacyError(
            "the schema was measured under another ledger than this fit's; give the fit the ledger that measure used"
        )


def _charge_counts(ledger: PrivacyLedger) -> Counter[bytes]:
    """Count the charges of a ledger, ignoring their place and date."""
    facts: list[dict[str, Any]] = [
        {"purpose": entry.purpose, "columns": list(entry.columns), "event": entry.event, "delta": entry.delta}
        for entry in ledger.entries
    ]
    return Counter(chain.canonical(fact) for fact in facts)


def compose_ledgers(first: PrivacyLedger | None, second: PrivacyLedger) -> PrivacyLedger:
    """Return the concatenation of two ledgers of one data set; its delta is the larger one."""
    if first is None:
        return second
    data = [first.to_dict(), second.to_dict()]
    epsilon, delta = first.epsilon_budget + second.epsilon_budget, max(first.delta, second.delta)
    head = {**data[1]["head"], "epsilon": None if math.isinf(epsilon) else epsilon, "delta": delta}
    records: list[chain.Record] = []
    for part, offset in zip(data, (0, len(first)), strict=True):
        for record in part["records"]:
            body = {key: value for key, value in record.items() if key not in ("previous", "hash")}
            if body["kind"] == "output":
                body["entry"] += offset
            records.append(chain.link_record(head, records, body))
        if part is data[0]:
            body = {"kind": "measured", "epsilon": data[0]["head"]["epsilon"], "charges": len(first)}
            records.append(chain.link_record(head, records, body))
    return PrivacyLedger.from_dict(chain.to_data(head, records))


def fit_share(ledger: PrivacyLedger) -> tuple[float, tuple[Entry, ...]]:
    """Return the budget and the charges of a fit without those for measuring its schema."""
    marks = [record for record in ledger.to_dict()["records"] if record["kind"] == "measured"]
    if not marks:
        return ledger.epsilon_budget, ledger.entries
    return ledger.epsilon_budget - marks[-1]["epsilon"], ledger.entries[marks[-1]["charges"] :]
