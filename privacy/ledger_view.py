"""A privacy ledger as a reader sees it: a frame, and a table in text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from tabsynth.privacy.ledger import PrivacyLedger

NOT_DP = "NOT DP: the noise came from an insecure seed, which exists for tests only"


def to_frame(ledger: PrivacyLedger) -> pd.DataFrame:
    """A row for every charge."""
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
            "time": entry.time,
            "output": entry.output,
        }
        for entry in ledger.entries
    ]
    names = ["purpose", "columns", "event", "delta", "sensitivity", "neighbours", "rng", "code", "time", "output"]
    return pd.DataFrame(rows, columns=names)


def to_text(ledger: PrivacyLedger) -> str:
    """What was spent, then a line for every charge."""
    budget = f"epsilon {ledger.epsilon():.4g} of {ledger.epsilon_budget:.4g} spent at delta {ledger.delta:.3g}"
    lines = [f"{budget}; unit: {ledger.unit}; neighbours: {ledger.neighbours}; charges: {len(ledger)}"]
    if not ledger.secure:
        lines.append(NOT_DP)
    cells = [("purpose", "event", "sensitivity", "columns")]
    cells += [
        (entry.purpose, describe(entry.event), f"{entry.sensitivity:.4g}", _some(entry.columns))
        for entry in ledger.entries
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(3)]
    lines += ["  ".join([*(row[i].ljust(widths[i]) for i in range(3)), row[3]]).rstrip() for row in cells]
    return "\n".join(lines)


def describe(event: dict[str, Any]) -> str:
    """An event in a few words."""
    name = event["type"].removesuffix("DpEvent")
    numbers = [f"{key} {value:.4g}" for key, value in event.items() if isinstance(value, (int, float))]
    if name == "ZC":
        return f"zCDP, rho {event['rho']:.4g}"
    if name == "SelfComposed":
        return f"{event['count']} x ({describe(event['event'])})"
    if name == "Composed":
        parts = [describe(part) for part in event["events"]]
        return " + ".join(parts[:3]) + (f" + {len(parts) - 3} more" if len(parts) > 3 else "")
    held = f" of ({describe(event['event'])})" if "event" in event else ""
    return f"{name} {', '.join(numbers)}".strip() + held


def _some(columns: tuple[str, ...]) -> str:
    """The first columns and how many more."""
    shown = ", ".join(columns[:4])
    return shown if len(columns) <= 4 else f"{shown} and {len(columns) - 4} more"
