"""Child rows without a main parent: histories of one row under an unknown parent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Arrays, Floats
from tabsynth.data.table import Table
from tabsynth.schema.columns import Numeric
from tabsynth.schema.schema import Schema

TIME = "time"


@dataclass(frozen=True, eq=False)
class Orphans:
    """Number and times of the rows of a table without a main parent.

    Attributes:
        share: Their number divided by that of the other rows.
        times: Distribution of their times; None for a table without order, or without such rows.
    """

    share: float = 0.0
    times: QuantileCoder | None = None

    @classmethod
    def fit(cls, count: int, others: int, times: Floats | None, *, whole: bool, min_group: int) -> Self:
        """Measure the rows without a parent.

        Args:
            count: Their number.
            others: Number of the other rows.
            times: Their times; None for a table without order.
            whole: Whether times are whole numbers.
            min_group: Minimum number of rows behind each released number.
        """
        if not count:
            return cls()
        if times is None:
            return cls(count / max(others, 1))
        schema = Schema({TIME: Numeric(name=TIME, decimals=0 if whole else None)})
        codec = Codec.measure(Table(pd.DataFrame({TIME: times}), schema), min_group=min_group)
        return cls(count / max(others, 1), codec.numeric_coders[TIME])

    def draw(self, others: int, rng: np.random.Generator) -> Floats:
        """Return the times of rows without a parent; zeros for a table without order.

        Args:
            others: Number of rows that have one.
            rng: Random generator.
        """
        n = round(self.share * others)
        if self.times is None:
            return np.zeros(n)
        return self.times.quantile(rng.random(n) * self.times.mass.sum())

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return plain data and arrays for ``from_state``."""
        config, arrays = ({}, {}) if self.times is None else self.times.state()
        return {"share": self.share, "times": config}, arrays

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: Arrays) -> Self:
        """Rebuild from a state."""
        times = QuantileCoder.from_state(config["times"], arrays) if config["times"] else None
        return cls(config["share"], times)
