"""Layouts of SVG charts, which need no scripts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tabsynth.errors import MAX_VALUE, shorten
from tabsynth.reporting.number_format import format_number

WIDTH, TOP, BOTTOM = 280.0, 6.0, 122.0
"""Plot area of a histogram, in the units of its view box."""

LABELS, ROW, MIN_ROW = 110.0, 22.0, 14.0
"""Width of the labels of a bar chart, and the maximum and minimum height of a bar."""

HEAT_STEPS = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0)
"""Percentages at which the colour of the heat map changes."""

HEAT_COLUMNS = 40
"""Maximum number of columns of a heat map."""


def gauge(score: dict[str, Any], ends: tuple[float, float], others: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Return positions on a gauge, from 0 to 100, and labels of its ends.

    Args:
        score: The score that is shown.
        ends: Values that the gauge includes.
        others: Other tables' scores of the same name, which the gauge includes.
    """
    interval, floor = score["interval"], score["floor"]
    shown = [
        value
        for one in (score, *others)
        for value in (one["value"], *(one["interval"] or ()), one["floor"])
        if value is not None
    ]
    step = (ends[1] - ends[0]) / 10
    low = min(ends[0], step * math.floor(min(shown) / step))
    high = max(ends[1], step * math.ceil(max(shown) / step))

    def at(value: float) -> float:
        return float(round(100 * min(max((value - low) / (high - low), 0.0), 1.0), 2))

    return {
        "value": at(score["value"]),
        "low": at(interval[0]) if interval else None,
        "high": at(interval[1]) if interval else None,
        "floor": at(floor) if floor is not None else None,
        "left": format_number(low, score["unit"]),
        "right": format_number(high, score["unit"]),
    }


def histogram(picture: dict[str, Any]) -> dict[str, Any] | None:
    """Return two step curves on a common scale, and the axis labels; None without bins."""
    edges, real, synthetic = picture["edges"], picture["real"], picture["synthetic"]
    if not real:
        return None
    top = max(*real, *synthetic, 1e-9)
    step = WIDTH / len(real)
    outlines = {}
    for key, shares in (("real", real), ("synthetic", synthetic)):
        heights = [_coordinate(BOTTOM - (BOTTOM - TOP) * share / top) for share in shares]
        outlines[key] = (
            f"M0 {_coordinate(BOTTOM)}"
            + "".join(f"V{height}H{_coordinate((i + 1) * step)}" for i, height in enumerate(heights))
            + f"V{_coordinate(BOTTOM)}"
        )
    return {
        "real": outlines["real"] + "Z",
        "synthetic": outlines["synthetic"],
        "left": f"≤ {edge(_label_edge(edges, 1, -0.5))}" if len(real) > 1 else edge(edges[0]),
        "middle": edge(_label_edge(edges, len(edges) // 2, 0.5)) if len(real) > 4 else "",
        "right": f"≥ {edge(_label_edge(edges, -2, 0.5))}" if len(real) > 1 else edge(edges[-1]),
    }


def _label_edge(edges: list[Any], at: int, step: float) -> Any:
    """Return an edge; for edges between whole numbers (all end in .5), the whole number next to it."""
    if any(isinstance(value, str) or value % 1 != 0.5 for value in edges):
        return edges[at]
    return edges[at] + step


def bars(picture: dict[str, Any]) -> dict[str, Any] | None:
    """Return the rows of a bullet chart: bars of real shares, ticks of synthetic shares; None without labels."""
    labels = [shorten(str(label), MAX_VALUE) for label in picture["labels"]]
    if not labels:
        return None
    top = max(*picture["real"], *picture["synthetic"], 1e-9)
    height = max(MIN_ROW, min(ROW, BOTTOM / len(labels)))
    bar_width = WIDTH - LABELS - 6
    rows = [
        {
            "label": truncate(label, 17),
            "name": label,
            "y": _coordinate(i * height + height / 2),
            "real": _coordinate(bar_width * real / top),
            "at": _coordinate(LABELS + bar_width * synthetic / top),
            "text": f"{label}: real {format_number(real, '%')}, synthetic {format_number(synthetic, '%')}",
        }
        for i, (label, real, synthetic) in enumerate(zip(labels, picture["real"], picture["synthetic"], strict=True))
    ]
    return {"rows": rows, "thick": height * 0.6, "tick": height * 0.9, "height": _coordinate(height * len(rows))}


def heat(shape: list[dict[str, Any]], trend: list[dict[str, Any]], order: list[str]) -> dict[str, Any] | None:
    """Return the cells of a heat map: pair errors, and column errors on the diagonal; None below two columns.

    At most ``HEAT_COLUMNS`` columns are shown, those with the largest mean error over their pairs.
    """
    if len(order) < 2 or not trend:
        return None
    errors: dict[tuple[str, ...], dict[str, Any]] = {tuple(part["columns"]): part for part in [*shape, *trend]}
    total = dict.fromkeys(order, 0.0)
    for part in trend:
        for name in part["columns"]:
            total[name] += part["value"]
    shown = set(sorted(order, key=lambda name: -total[name])[:HEAT_COLUMNS])
    names = [name for name in order if name in shown]
    size = max(13.0, min(36.0, 640 / len(names)))
    cells = []
    for i, row in enumerate(names):
        for j, column in enumerate(names[: i + 1]):
            keys = ((row,),) if i == j else ((column, row), (row, column))
            key = next((key for key in keys if key in errors), None)
            if key is None:
                continue
            part = errors[key]
            name = row if i == j else f"{column} × {row}"
            cells.append(
                {
                    "x": _coordinate(j * size),
                    "y": _coordinate(i * size),
                    "level": level(part["value"]),
                    "number": f"{part['value']:.0f}" if part["value"] >= 0.5 else "",
                    "diagonal": i == j,
                    "text": f"{name}: {format_number(part['value'], '%')}"
                    + (f", real data {format_number(part['floor'], '%')}" if part["floor"] is not None else ""),
                }
            )
    margin = 11 + 6.2 * max(len(truncate(name, 20)) for name in names)
    return {
        "cells": cells,
        "names": [{"short": truncate(name, 20), "at": _coordinate((k + 0.5) * size)} for k, name in enumerate(names)],
        "size": _coordinate(size),
        "box": _coordinate(size - 1),
        "side": _coordinate(size * len(names)),
        "margin": _coordinate(margin),
        "numbers": size >= 22,
        "left_out": len(order) - len(names),
    }


def level(percent: float) -> int:
    """Return the colour level of the heat map, from 0."""
    return sum(percent >= step for step in HEAT_STEPS)


def edge(value: float | str) -> str:
    """Format the edge of a bin: dates without time, numbers with three or four digits."""
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        return moment.strftime("%Y-%m-%d")
    size = abs(value)
    if size >= 1e6 or 0 < size < 1e-3:
        mantissa, _, power = f"{value:.1e}".partition("e")
        return f"{mantissa}e{int(power)}".replace("-", "−")
    digits = 0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}".replace("-", "−")


def truncate(text: str, max_length: int) -> str:
    """Truncate text to a length, with an ellipsis."""
    return text if len(text) <= max_length else text[: max_length - 1].rstrip() + "…"


def _coordinate(value: float) -> str:
    """Format a coordinate with at most one decimal."""
    return f"{value:.1f}".rstrip("0").rstrip(".")


OUTLINE_WIDTH, OUTLINE_HEIGHT = 560.0, 120.0
"""Plot area of two step curves."""


def probability_histogram(data: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return step curves of the predicted probability, and the rows detected most confidently."""
    if not data:
        return None
    rows = [
        {
            "row": f"{row['row']:,}",
            "belief": f"{100 * row['belief']:.0f} %",
            "columns": ", ".join(f"{part['name']} ({100 * part['lost']:.0f} points)" for part in row["columns"])
            or "no single column",
        }
        for row in data["rows"]
    ]
    real, synthetic = _outlines(data["real"], data["synthetic"])
    return {"real": real, "synthetic": synthetic, "rows": rows}


def closest_records(data: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return step curves of the distance to the closest training record, of held-out and synthetic rows."""
    if not data:
        return None
    holdout, synthetic = _outlines(data["holdout"], data["synthetic"])
    edges = data["edges"]
    return {
        "real": holdout,
        "synthetic": synthetic,
        "middle": edge(edges[len(edges) // 2]),
        "right": f"≥ {edge(edges[-2])}",
        "medians": [edge(data[f"{side}_median"]) for side in ("synthetic", "holdout")],
    }


def _outlines(filled: list[float], line: list[float]) -> tuple[str, str]:
    """Return two step curves on a common scale as SVG paths; the first is closed."""
    top = max(*filled, *line, 1e-9)
    first, second = (step_curve(shares, top, OUTLINE_WIDTH, OUTLINE_HEIGHT) for shares in (filled, line))
    return first + "Z", second


def step_curve(shares: Sequence[float], top: float, width: float, height: float) -> str:
    """Return the step curve of a histogram as an SVG path; ``top`` is the share at the upper end of the scale."""
    path, step = f"M0 {height:g}", width / len(shares)
    for i, share in enumerate(shares, 1):
        path += f"V{height - (height - 4) * share / top:.1f}H{i * step:.1f}"
    return f"{path}V{height:g}"
