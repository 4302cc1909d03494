"""Presentation of a ledger as a frame or text, and its check against the models fitted under it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting import hash_chain as chain

if TYPE_CHECKING:
    from tabsynth.privacy.accounting.ledger import PrivacyLedger

NOT_DP = "NOT DP: the noise came from an insecure seed, which exists for tests only"


def to_frame(ledger: PrivacyLedger) -> pd.DataFrame:
    """Return a row for every charge."""
    rows: list[dict[str, Any]] = [
        {
            "purpose": entry.purpose,
            "columns": ", ".join(entry.columns),
            "event": describe(entry.event),
            "delta": entry.delta,
            "sensitivity": entry.sensitivity,
            "neighbours": entry.neighbours,
            "rng": entry.rng,
            "code": entry.code,
            "date": entry.date,
            "output": entry.output,
        }
        for entry in ledger.entries
    ]
    names = ["purpose", "columns", "event", "delta", "sensitivity", "neighbours", "rng", "code", "date", "output"]
    return pd.DataFrame(rows, columns=names)


def check_contains_model(ledger: PrivacyLedger, model: PrivacyLedger, where: str) -> None:
    """Check that a data set's ledger still begins with the records that it had when a model was fitted.

    Args:
        ledger: The data set's ledger.
        model: The model's ledger.
        where: The model's name in the message.

    Raises:
        PrivacyError: The file was rolled back, recreated, or belongs to other data.
    """
    ends = [record for record in model.to_dict()["records"] if record["kind"] == "dataset"]
    if not ends:
        raise PrivacyError(f"{where} was fitted without the ledger of a data set")
    data = ledger.to_dict()
    for end in ends:
        if chain.get_tip(data["head"], data["records"][: end["records"]]) != end["tip"]:
            raise PrivacyError(
                f"{where} was fitted when the data set's ledger had {end['records']} records, which are not the first "
                f"of the {len(data['records'])} records of this one: it was rolled back, recreated or belongs to other "
                "data; restore it from a copy"
            )


def to_text(ledger: PrivacyLedger) -> str:
    """Return a summary line, then a line for every charge."""
    budget = f"epsilon {ledger.epsilon():.4g} of {ledger.epsilon_budget:.4g} spent at delta {ledger.delta:.3g}"
    lines = [f"{budget}; unit: {ledger.unit}; neighbours: {ledger.neighbours}; charges: {len(ledger)}"]
    if not ledger.secure:
        lines.append(NOT_DP)
    cells = [("purpose", "event", "sensitivity", "columns")]
    cells += [
        (entry.purpose, describe(entry.event), f"{entry.sensitivity:.4g}", _format_columns(entry.columns))
        for entry in ledger.entries
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(3)]
    lines += ["  ".join([*(row[i].ljust(widths[i]) for i in range(3)), row[3]]).rstrip() for row in cells]
    return "\n".join(lines)


def describe(event: dict[str, Any]) -> str:
    """Return an event in a few words."""
    name = event["type"].removesuffix("DpEvent")
    numbers = [f"{key} {value:.4g}" for key, value in event.items() if isinstance(value, (int, float))]
    if name == "ZC":
        return f"zCDP, rho {event['rho']:.4g}"
    if name == "SelfComposed":
        return f"{event['count']} x ({describe(event['event'])})"
    if name == "Composed":
        parts = [describe(part) for part in event["events"]]
        return " + ".join(parts[:3]) + (f" + {len(parts) - 3} more" if len(parts) > 3 else "")
    inner = f" of ({describe(event['event'])})" if "event" in event else ""
    return f"{name} {', '.join(numbers)}".strip() + inner


def _format_columns(columns: tuple[str, ...]) -> str:
    """Return the first columns and how many more."""
    shown = ", ".join(columns[:4])
    return shown if len(columns) <= 4 else f"{shown} and {len(columns) - 4} more"
