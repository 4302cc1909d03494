"""Scores and their parts: each value has a direction and, if it is an estimate, an interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tabsynth.errors import DataError
from tabsynth.evaluation.metric_specs import SPECS
from tabsynth.reporting.number_format import format_number

Better = Literal["lower", "higher", "target"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Contribution of a column or a pair of columns to a score.

    Attributes:
        columns: The name of the column, or the names of the pair.
        value: The score of this part, in the score's unit.
        floor: The same for real rows instead of synthetic ones; None if it was not measured.
        chance: Family-wise bound: the value that some part may reach by chance; None if it is not known.
    """

    columns: tuple[str, ...]
    value: float
    floor: float | None = None
    chance: float | None = None

    @property
    def name(self) -> str:
        """The names of the columns in one line."""
        return " × ".join(self.columns)

    @property
    def excess(self) -> float:
        """Excess of the part over the floor of real rows."""
        return self.value - (self.floor or 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return the part as plain data."""
        known = {} if self.chance is None else {"chance": self.chance}
        return {"columns": list(self.columns), "value": self.value, "floor": self.floor, **known}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Part:
        """Rebuild the output of ``to_dict``."""
        return cls(columns=tuple(data["columns"]), value=data["value"], floor=data["floor"], chance=data.get("chance"))


@dataclass(frozen=True, kw_only=True)
class Score:
    """A score of a report.

    Attributes:
        name: Name of the score, its key in ``Report.scores``.
        title: Display name; default: that of ``metric_specs``.
        value: The estimate, in ``unit``.
        interval: 95 % interval (low, high); None only for scores of other packages without intervals.
        better: The better direction: ``lower``, ``higher``, or ``target`` for nearer to the target.
        target: The best possible value; required if ``better`` is ``target``.
        floor: The value of the score for real rows instead of synthetic ones; None if it was not measured.
        beside: Origin of the floor: ``real data``, or another baseline.
        unit: ``%`` or a name such as ``AUC``; empty for a plain number.
        description: Meaning of the score, in one line.
        method: Method of computation of the score, its interval and its floor.
        detail: Contribution of each column or pair.

    Raises:
        DataError: The value is not finite, the interval is reversed, or a target is missing.
    """

    name: str
    title: str = ""
    value: float
    interval: tuple[float, float] | None
    better: Better
    target: float | None = None
    floor: float | None = None
    beside: str = "real data"
    unit: str = ""
    description: str = ""
    method: str = ""
    detail: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise DataError(f"the name of a score is text, not {self.name!r}")
        if not self.title and self.name in SPECS:
            object.__setattr__(self, "title", SPECS[self.name].title)
        if not math.isfinite(self.value):
            raise DataError(f"score {self.name!r}: the value {self.value!r} is not a finite number")
        if self.interval is not None and not self.interval[0] <= self.interval[1]:
            raise DataError(f"score {self.name!r}: the interval {self.interval!r} is reversed")
        if self.better not in get_args(Better):
            raise DataError(f"score {self.name!r}: better {self.better!r} is not one of {', '.join(get_args(Better))}")
        if self.better == "target" and self.target is None:
            raise DataError(f"score {self.name!r}: better='target' needs a target")

    def __str__(self) -> str:
        text = f"{self.title}: {format_number(self.value, self.unit)}"
        if self.interval is not None:
            text += f" ({format_number(self.interval[0], self.unit)} to {format_number(self.interval[1], self.unit)})"
        if self.floor is not None:
            text += f", {self.beside} {format_number(self.floor, self.unit)}"
        return f"{text}, {self.direction}"

    @property
    def direction(self) -> str:
        """The direction in words."""
        if self.better == "target" and self.target is not None:
            return f"best at {format_number(self.target, self.unit)}"
        return f"{self.better} is better"

    def to_dict(self) -> dict[str, Any]:
        """Return the score as plain data."""
        return {
            "name": self.name,
            "title": self.title,
            "value": self.value,
            "interval": None if self.interval is None else list(self.interval),
            "better": self.better,
            "target": self.target,
            "floor": self.floor,
            "unit": self.unit,
            "description": self.description,
            "method": self.method,
            "detail": [part.to_dict() for part in self.detail],
        } | ({} if self.beside == "real data" else {"beside": self.beside})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Score:
        """Rebuild the output of ``to_dict``.

        Raises:
            DataError: A key is missing or unknown.
        """
        facts = dict(data)
        try:
            interval = facts.pop("interval")
            detail = facts.pop("detail", ())
            return cls(
                interval=None if interval is None else (interval[0], interval[1]),
                detail=tuple(Part.from_dict(part) for part in detail),
                **facts,
            )
        except (KeyError, TypeError, IndexError) as error:
            raise DataError(f"score {data.get('name', '?')!r} cannot be read: {error}") from error
