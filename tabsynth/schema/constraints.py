"""Declared constraints between the columns of one row, satisfied by every synthetic row.

A training table that violates a constraint is rejected; token models redraw rows that violate one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tabsynth.errors import SchemaError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Inequality:
    """``low <= high`` (or ``<`` when strict) wherever both are present."""

    kind: ClassVar[str] = "inequality"
    low: str
    high: str
    strict: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the constraint."""
        return (self.low, self.high)

    def __post_init__(self) -> None:
        if not isinstance(self.low, str) or not isinstance(self.high, str) or not isinstance(self.strict, bool):
            raise SchemaError(f"an inequality is between two column names, strict or not: {self.to_dict()}")
        if self.low == self.high:
            raise SchemaError(f"an inequality is between two columns, not {self.low!r} and itself")

    def holds(self, frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Return whether each row satisfies the constraint, shape (n,); a missing side does.

        The columns must be numbers or datetimes (see ``tabsynth.schema.validation.satisfies``).
        """
        low, high = frame[self.low], frame[self.high]
        kept = (low < high) if self.strict else (low <= high)
        return (kept.fillna(False).astype(bool) | low.isna() | high.isna()).to_numpy(bool)

    def to_dict(self) -> dict[str, Any]:
        """The constraint as plain data."""
        return {"kind": self.kind, "low": self.low, "high": self.high, "strict": self.strict}


@dataclass(frozen=True, kw_only=True)
class RefusedRule:
    """A rule that is not enforced although it holds in all training rows, as the model card spells it."""

    kind: ClassVar[str] = "refused"
    rule: str

    @property
    def columns(self) -> tuple[str, ...]:
        """No column is constrained."""
        return ()

    def __post_init__(self) -> None:
        if not isinstance(self.rule, str) or not self.rule:
            raise SchemaError(f"a refused rule is spelled as in the model card, such as 'start <= end': {self.rule!r}")

    def holds(self, frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """All rows satisfy it, shape (n,)."""
        import numpy as np

        return np.ones(len(frame), bool)

    def to_dict(self) -> dict[str, Any]:
        """The refusal as plain data."""
        return {"kind": self.kind, "rule": self.rule}


Constraint = Inequality | RefusedRule

KINDS: dict[str, type[Constraint]] = {Inequality.kind: Inequality, RefusedRule.kind: RefusedRule}


def constraint_from_dict(data: Any) -> Constraint:
    """Inverse of ``to_dict``.

    Raises:
        SchemaError: An unknown kind or key.
    """
    if not isinstance(data, Mapping) or str(data.get("kind")) not in KINDS:
        raise SchemaError(f'a constraint is {{"kind": one of {", ".join(KINDS)}, ...}}, not {data!r}')
    try:
        return KINDS[data["kind"]](**{key: value for key, value in data.items() if key != "kind"})
    except TypeError as error:
        raise SchemaError(f"constraint {dict(data)!r}: {error}") from error
