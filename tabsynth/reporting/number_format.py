"""Number formats of reports."""

from __future__ import annotations


def format_number(value: float, unit: str = "") -> str:
    """Format a number with its unit: ``1.31 %``, ``0.579``, ``−0.004``."""
    digits = 3 if unit != "%" else 2 if abs(value) < 10 else 1
    text = f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # + 0.0 turns a rounded −0 into 0
    return f"{text} %" if unit == "%" else text
