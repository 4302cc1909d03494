"""Design matrix for linear models and distances: standardised numbers and indicators of categories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.stats.encoded_table import EncodedTable

MAX_INDICATORS = 20
"""Maximum number of indicators of a column, for the most frequent categories."""


@dataclass(frozen=True, eq=False)
class FeatureEncoder:
    """Encoder of rows as numeric features, fitted to the real table.

    Attributes:
        columns: Positions of the encoded columns.
        centre: Median of each continuous column, shape (c,).
        spread: Half its range from the 5 % to the 95 % quantile, or its standard deviation, shape (c,).
        kept: Codes of each categorical column that have an indicator.
        incomplete: Columns that have an indicator of missing values.
        names: Names of the features.
        sources: Position of each feature's column.
    """

    columns: tuple[int, ...]
    centre: Floats
    spread: Floats
    kept: dict[int, Integers]
    incomplete: tuple[int, ...]
    names: tuple[str, ...]
    sources: Integers

    @classmethod
    def of(cls, real: EncodedTable, *, without: int | None = None, drop_first: bool = False) -> FeatureEncoder:
        """Fit to the real table.

        Args:
            real: The real table.
            without: Position of a column to exclude (the target).
            drop_first: Exclude the most frequent category, for a regression.
        """
        encoding = real.encoding
        columns = tuple(j for j in range(len(encoding.names)) if j != without)
        places = np.cumsum(encoding.continuous) - 1
        centre, spread, kept, names, sources = [], [], {}, [], []
        for j in columns:
            if not encoding.continuous[j]:
                continue
            values = real.values[:, places[j]]
            present = values[~np.isnan(values)]
            low, middle, high = np.quantile(present, [0.05, 0.5, 0.95]) if len(present) else (0.0, 0.0, 0.0)
            width = (high - low) / 2 or (float(present.std()) if len(present) else 0.0)
            centre.append(float(middle))
            spread.append(float(width) or 1.0)
            names.append(encoding.names[j])
            sources.append(j)
        for j in columns:
            if encoding.continuous[j]:
                continue
            counts = np.bincount(real.codes[:, j], minlength=int(encoding.sizes[j]))[1:]
            order = np.argsort(-counts, kind="stable")[: MAX_INDICATORS + drop_first]
            kept[j] = order[int(drop_first) :][counts[order[int(drop_first) :]] > 0] + 1
            names += [f"{encoding.names[j]} = {encoding.labels[j][code - 1]}" for code in kept[j]]
            sources += [j] * len(kept[j])
        incomplete = tuple(j for j in columns if (real.codes[:, j] == 0).any())
        names += [f"{encoding.names[j]} missing" for j in incomplete]
        sources += list(incomplete)
        return cls(
            columns,
            np.array(centre),
            np.array(spread),
            kept,
            incomplete,
            tuple(names),
            np.array(sources, dtype=np.int64),
        )

    def features(self, table: EncodedTable) -> Floats:
        """Return the features, shape (n, f), between -5 and 5; missing numbers are replaced by the median."""
        encoding = table.encoding
        places = np.cumsum(encoding.continuous) - 1
        numbers = [places[j] for j in self.columns if encoding.continuous[j]]
        scaled = np.clip((table.values[:, numbers] - self.centre) / self.spread, -5.0, 5.0)
        blocks = [np.nan_to_num(scaled)]
        blocks += [(table.codes[:, j, None] == codes[None]).astype(np.float64) for j, codes in self.kept.items()]
        blocks += [(table.codes[:, list(self.incomplete)] == 0).astype(np.float64)]
        return np.hstack(blocks)
