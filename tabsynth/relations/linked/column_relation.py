"""Base class of relations that compute or shift one column of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from tabsynth.relations.linked.linked_tables import Cell


@dataclass(frozen=True)
class ColumnRelation:
    """A relation of one column.

    Attributes:
        table, column: The column.
    """

    table: str
    column: str

    @property
    def targets(self) -> tuple[Cell, ...]:
        """The column that is computed or moved."""
        return ((self.table, self.column),)

    def to_dict(self) -> dict[str, Any]:
        """Return the relation as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` writes."""
        return cls(**data)
