"""Constraints on mutually exclusive columns and on keys, and discovered rules that a schema refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Bools
from tabsynth.errors import SchemaError
from tabsynth.schema.constraints.base import NO_STEPS, Constraint, OfColumns, Steps, Values, is_missing, present


@dataclass(frozen=True, kw_only=True)
class OneOf(OfColumns):
    """At most one of several columns is set: true, other than 0, or, for text and categories, present.

    Attributes:
        of: The columns.
        exactly: Whether one must be set.
    """

    kind: ClassVar[str] = "one_of"
    exactly: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "of", self._check_names(self.of, 2, "of"))
        if not isinstance(self.exactly, bool):
            raise self._refuse(f"exactly must be true or false, not {self.exactly!r}")

    def holds(self, values: Values, steps: Steps = NO_STEPS) -> Bools:
        """Return whether each row satisfies the constraint, shape (n,)."""
        count = np.sum([_is_set(values[name]) for name in self.of], axis=0)
        return np.asarray(count == 1 if self.exactly else count <= 1, dtype=bool)

    def describe(self) -> str:
        """Return the constraint as readable text."""
        return f"{'exactly' if self.exactly else 'at most'} one of {', '.join(self.of)}"


@dataclass(frozen=True, kw_only=True)
class Unique(OfColumns):
    """A key: no combination of the columns' values is repeated in a table, except with a missing value.

    Attributes:
        of: The columns of the key.
    """

    kind: ClassVar[str] = "unique"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "of", self._check_names(self.of, 1, "of"))

    def holds(self, values: Values, steps: Steps = NO_STEPS) -> Bools:
        """Return whether each row's key did not occur in an earlier row, shape (n,)."""
        again = pd.DataFrame({name: values[name] for name in self.of}).duplicated().to_numpy(bool)
        return ~again | ~present(values, self.of)

    def describe(self) -> str:
        """Return the constraint as readable text."""
        return f"({', '.join(self.of)}) is unique"


@dataclass(frozen=True, kw_only=True)
class RefusedRule(Constraint):
    """A discovered rule that is not enforced although it holds in all training rows, spelled as in the model card."""

    kind: ClassVar[str] = "refused"
    rule: str

    @property
    def columns(self) -> tuple[str, ...]:
        """No column takes part."""
        return ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.rule, str) or not self.rule:
            raise SchemaError(f"a refused rule is spelled as in the model card, such as 'start <= end': {self.rule!r}")

    def holds(self, values: Values, steps: Steps = NO_STEPS) -> Bools:
        """Return true for all rows, shape (n,)."""
        return np.ones(len(next(iter(values.values()), ())), bool)

    def describe(self) -> str:
        """Return the rule."""
        return f"not: {self.rule}"


def _is_set(values: Any) -> Bools:
    if np.asarray(values).dtype != object:
        return np.asarray(~(np.isnan(values) | (values == 0)), dtype=bool)
    off = np.asarray([value is False for value in values.tolist()], dtype=bool)
    return np.asarray(~is_missing(values) & ~off, dtype=bool)
