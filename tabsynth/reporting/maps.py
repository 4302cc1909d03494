"""Heat maps as SVG paths: densities over principal components, and correlation matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tabsynth.reporting.charts import truncate
from tabsynth.reporting.number_format import format_number

CELL = 10
"""Size of a cell of a map, in the units of its view box."""

STEPS = (0.01, 0.1, 0.3, 0.6)
"""Shares of the largest value at which the shade of a map changes."""

CORRELATION_STEPS, DIFFERENCE_STEPS = (0.1, 0.3, 0.5, 0.7), (0.05, 0.1, 0.2, 0.4)
"""Absolute values at which the shades of correlations, and of their differences, change."""

MARGIN_SHARE = 0.42
"""Width of the row names, as a share of the matrix."""

MAX_NAMED_COLUMNS = 16
"""Maximum number of columns of a matrix with row names."""


def projection(data: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return paths by shade of the densities of real and synthetic rows, and of their difference."""
    if not data:
        return None
    real, synthetic = data["real"], data["synthetic"]
    top = max((max(row) for row in [*real, *synthetic]), default=0.0) or 1.0
    gap = [[b - a for a, b in zip(*rows, strict=True)] for rows in zip(real, synthetic, strict=True)]
    max_gap = max((abs(value) for row in gap for value in row), default=0.0)
    scale = max(max_gap, 0.25 * top)
    difference = data.get("difference", sum(abs(value) for row in gap for value in row) / 20)
    return {
        "side": CELL * len(real),
        "real": _paths(real, _steps(top)),
        "synthetic": _paths(synthetic, _steps(top)),
        "more": _paths([[max(value, 0.0) for value in row] for row in gap], _steps(scale)),
        "less": _paths([[max(-value, 0.0) for value in row] for row in gap], _steps(scale)),
        "explained": [format_number(value, "%") for value in data["explained"]],
        "loadings": [", ".join(names) for names in data["loadings"]],
        "difference": format_number(difference, "%"),
        "floor": format_number(data["floor"], "%") if "floor" in data else None,
    }


def correlations(data: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return paths by sign and shade of both matrices and of their difference, and the most different pairs."""
    if not data:
        return None
    real, synthetic = ([[value or 0.0 for value in row] for row in data[side]] for side in ("real", "synthetic"))
    gap = [[b - a for a, b in zip(*rows, strict=True)] for rows in zip(real, synthetic, strict=True)]
    side = CELL * len(real)
    named = len(real) <= MAX_NAMED_COLUMNS
    margin = round(MARGIN_SHARE * side) if named else 0
    return {
        "side": side,
        "margin": margin,
        "font": round((side + margin) / 31, 1),
        "names": [
            {"short": truncate(name, 14), "at": CELL * k + CELL / 2}
            for k, name in enumerate(data["names"] if named else ())
        ],
        "maps": [
            {"title": title, "negative": _signed(grid, -1, steps), "positive": _signed(grid, 1, steps)}
            for title, grid, steps in (
                ("Real rows", real, CORRELATION_STEPS),
                ("Synthetic rows", synthetic, CORRELATION_STEPS),
                ("Difference", gap, DIFFERENCE_STEPS),
            )
        ],
        "left_out": data["left_out"],
        "shown": len(real),
        "difference": format_number(data["difference"]),
        "floor": format_number(data["floor"]) if "floor" in data else None,
        "largest": [
            {"name": " × ".join(pair["columns"]), **{side: _correlation(pair[side]) for side in ("real", "synthetic")}}
            for pair in data["largest"]
        ],
    }


def _correlation(value: float | None) -> str:
    return "–" if value is None else f"{value + 0.0:.2f}".replace("-", "−")


def _signed(grid: list[list[float]], sign: int, steps: Sequence[float]) -> list[dict[str, Any]]:
    return _paths([[max(sign * value, 0.0) for value in row] for row in grid], steps)


def _steps(top: float) -> tuple[float, ...]:
    return tuple(step * top for step in STEPS)


def _paths(grid: list[list[float]], steps: Sequence[float]) -> list[dict[str, Any]]:
    """Return a path for each shade, from the lightest; adjacent cells are joined."""
    shades: list[list[str]] = [[] for _ in steps]
    for y, row in enumerate(grid):
        levels = [sum(value >= step for step in steps) if value > 0 else 0 for value in row]
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
