"""The page's maps: where rows lie, how beliefs spread, and which cells differ, as few paths of plain squares."""

from __future__ import annotations

from typing import Any

from tabsynth.evaluation.score import figure

CELL = 10
"""Side of a square in a map, in the units of its view box."""

STEPS = (0.01, 0.1, 0.3, 0.6)
"""Shares of the largest cell at which a map's shade changes."""

WIDTH, HEIGHT = 560.0, 120.0


def projection(data: dict[str, Any] | None) -> dict[str, Any] | None:
    """Paths by shade of the real and the synthetic rows, and of what one has over the other."""
    if not data:
        return None
    real, made = data["real"], data["synthetic"]
    top = max((max(row) for row in [*real, *made]), default=0.0) or 1.0
    gap = [[b - a for a, b in zip(*rows, strict=True)] for rows in zip(real, made, strict=True)]
    most = max((abs(value) for row in gap for value in row), default=0.0)
    scale = max(most, 0.25 * top)
    off = sum(abs(value) for row in gap for value in row) / 20
    return {
        "side": CELL * len(real),
        "real": _paths(real, top),
        "synthetic": _paths(made, top),
        "more": _paths([[max(value, 0.0) for value in row] for row in gap], scale),
        "less": _paths([[max(-value, 0.0) for value in row] for row in gap], scale),
        "explained": [figure(value, "%") for value in data["explained"]],
        "loadings": [", ".join(names) for names in data["loadings"]],
        "off": figure(off, "%"),
    }


def _paths(grid: list[list[float]], top: float) -> list[dict[str, Any]]:
    """One path for each shade, from the lightest; squares side by side are one stroke."""
    shades: list[list[str]] = [[] for _ in STEPS]
    for y, row in enumerate(grid):
        levels = [sum(value >= step * top for step in STEPS) if value > 0 else 0 for value in row]
        x = 0
        while x < len(levels):
            end = x + 1
            while end < len(levels) and levels[end] == levels[x]:
                end += 1
            if levels[x]:
                wide = CELL * (end - x)
                shades[levels[x] - 1].append(f"M{CELL * x} {CELL * y}h{wide}v{CELL}h-{wide}z")
            x = end
    return [{"shade": i + 1, "d": "".join(parts)} for i, parts in enumerate(shades) if parts]


def beliefs(data: dict[str, Any] | None) -> dict[str, Any] | None:
    """Two stepped outlines over the classifier's belief, and the rows that it was surest of."""
    if not data:
        return None
    top = max(*data["real"], *data["synthetic"], 1e-9)
    step = WIDTH / len(data["real"])
    outlines = {}
    for side in ("real", "synthetic"):
        path = f"M0 {HEIGHT:g}"
        for i, share in enumerate(data[side]):
            path += f"V{HEIGHT - (HEIGHT - 4) * share / top:.1f}H{(i + 1) * step:.1f}"
        outlines[side] = f"{path}V{HEIGHT:g}"
    rows = [
        {
            "row": f"{row['row']:,}",
            "belief": f"{100 * row['belief']:.0f} %",
            "columns": ", ".join(f"{part['name']} ({100 * part['lost']:.0f} points)" for part in row["columns"])
            or "no column by itself",
        }
        for row in data["rows"]
    ]
    return {"real": outlines["real"] + "Z", "synthetic": outlines["synthetic"], "rows": rows}
