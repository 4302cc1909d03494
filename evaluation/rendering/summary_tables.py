"""Rows of the tables of summary statistics on a report page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tabsynth.reporting.charts import edge, truncate
from tabsynth.reporting.number_format import format_number

MAX_SHOWN = 100
"""Maximum number of columns in each table; the others are in the JSON."""

MAX_OPEN = 15
"""Maximum number of columns for tables that are expanded initially."""


def summary_tables(entries: Sequence[dict[str, Any]] | None) -> dict[str, Any] | None:
    """Return the cells of two tables, of numbers and dates and of categories; None without statistics."""
    if not entries:
        return None
    numbers = [entry for entry in entries if "quantiles" in entry["real"]]
    categories = [entry for entry in entries if "top" in entry["real"]]
    return {
        "numbers": [_row(entry, _number_cells) for entry in numbers[:MAX_SHOWN]],
        "categories": [_row(entry, _category_cells) for entry in categories[:MAX_SHOWN]],
        "left_out": max(len(numbers) - MAX_SHOWN, 0) + max(len(categories) - MAX_SHOWN, 0),
        "open": len(entries) <= MAX_OPEN,
    }


def _row(entry: dict[str, Any], cells: Any) -> dict[str, Any]:
    sides = [[*_common_cells(entry[side]), *cells(entry[side])] for side in ("real", "synthetic")]
    return {"name": entry["name"], "real": sides[0], "synthetic": sides[1]}


def _common_cells(facts: dict[str, Any]) -> list[str]:
    return [f"{facts['count']:,}", format_number(facts["missing"], "%"), f"{facts['distinct']:,}"]


def _number_cells(facts: dict[str, Any]) -> list[str]:
    if facts["quantiles"] is None:
        return ["–"] * 7
    is_date = isinstance(facts["mean"], str)
    deviation = f"{edge(facts['sd'])} d" if is_date else edge(facts["sd"])
    return [edge(facts["mean"]), deviation, *(edge(value) for value in facts["quantiles"])]


def _category_cells(facts: dict[str, Any]) -> list[str]:
    return [", ".join(f"{truncate(label, 24)} ({format_number(share, '%')})" for label, share in facts["top"]) or "–"]
