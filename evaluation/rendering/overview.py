"""Chart of the main scores on one scale: distance from held-out real rows, in zones of good, fair and poor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from tabsynth.evaluation.metric_specs import SPECS, Level, excess_over_floor
from tabsynth.evaluation.score import Score
from tabsynth.reporting.number_format import format_number

NOTE = (
    "The vertical line on the left is the value of held-out real rows. Lines are 95 % intervals; their better end "
    "decides the level."
)
"""Legend of the chart."""

ZONE = 100 / 3
"""Width of a zone of the scale, in percent."""

CENTRES: dict[Level, float] = {"good": ZONE / 2, "fair": 1.5 * ZONE, "poor": 2.5 * ZONE}
"""Position of a score of which only the level is known."""


def overview(scores: Mapping[str, Mapping[str, Any]], levels: Mapping[str, Level]) -> list[dict[str, Any]]:
    """Return a row for each score that the default gates require: value, level and positions in percent.

    Args:
        scores: The scores as plain data, by name.
        levels: Levels of the scores, by name.
    """
    return [
        {**_position(Score.from_dict({"description": "", "method": "", **score, "detail": []})), "level": levels[name]}
        for name, score in main_scores(scores).items()
        if name in levels
    ]


def main_scores(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the scores that the chart shows: those that the default gates require."""
    return {name: scores[name] for name, spec in SPECS.items() if spec.gate and spec.limits and name in scores}


def overview_of_levels(levels: Iterable[tuple[str, Level]]) -> list[dict[str, Any]]:
    """Return the rows of ``overview`` where only titles and levels are known: each mark is in the middle of a zone."""
    return [
        {"title": title, "level": level, "value": level, "floor": None, "at": round(CENTRES[level], 1), "whisker": None}
        for title, level in levels
    ]


def overview_of_tables(reports: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each main score, with a mark for each table."""
    letters = table_letters(reports)
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, report in reports.items():
        for row in overview({score["name"]: score for score in report["scores"]}, report["verdict"]["scores"]):
            rows.setdefault(row["title"], []).append({**row, "table": name, "letter": letters[name]})
    return [{"title": title, "marks": marks} for title, marks in rows.items()]


def table_letters(names: Iterable[str]) -> dict[str, str]:
    """Return the letter of each table: A for the first, and numbers after Z."""
    return {name: chr(ord("A") + i) if i < 26 else str(i + 1) for i, name in enumerate(names)}


def _position(score: Score) -> dict[str, Any]:
    """Return the texts of a score, and the positions of its value and interval."""
    low, high = score.interval or (score.value, score.value)
    ends = [_zone(score, low), _zone(score, high)]
    if excess_over_floor(score) <= 0:  # the interval contains the floor, or lies on its better side
        ends.append(0.0)
    return {
        "title": score.title,
        "value": format_number(score.value, score.unit),
        "floor": format_number(score.floor, score.unit) if score.floor is not None else None,
        "at": _zone(score, score.value),
        "whisker": {"left": min(ends), "width": round(max(ends) - min(ends), 1)} if score.interval else None,
    }


def _zone(score: Score, value: float) -> float:
    """Return the position of a value in percent: 0 at the floor, one zone for each limit, then a bounded rest."""
    excess = max(excess_over_floor(replace(score, value=value, interval=None)), 0.0)
    good, fair = SPECS[score.name].limits or (1.0, 2.0)
    if excess <= good:
        share = excess / good
    elif excess <= fair:
        share = 1 + (excess - good) / (fair - good)
    else:
        share = 3 - fair / excess
    return round(ZONE * share, 1)
