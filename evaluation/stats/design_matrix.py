"""Tables as linear models and distances read them: numbers standardised, categories as indicators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.stats.encoded_table import Coded

MOST_LABELS = 20
"""Categories of a column that get an indicator, the commonest first; the others share none."""


@dataclass(frozen=True, eq=False)
class Encoder:
    """What turns rows into numbers, learned from the real table.

    Attributes:
        columns: The columns used, by place.
        centre: Of each continuous column used, median, shape (c,).
        spread: Of each, half the distance between the 5 % and 95 % quantiles (or the deviation), shape (c,).
        kept: Of each category used, the codes with an indicator.
        holes: The columns used that get an indicator of missing values.
        names: A name for each feature.
        sources: The column of each feature.
    """

    columns: tuple[int, ...]
    centre: Floats
    spread: Floats
    kept: dict[int, Integers]
    holes: tuple[int, ...]
    names: tuple[str, ...]
    sources: Integers

    @classmethod
    def of(cls, real: Coded, *, without: int | None = None, drop_first: bool = False) -> Encoder:
        """Learn from the real table.

        Args:
            real: The real table.
            without: A column left out (the target).
            drop_first: Leave out the commonest category, as a regression wants it.
        """
        book = real.book
        columns = tuple(j for j in range(len(book.names)) if j != without)
        places = np.cumsum(book.continuous) - 1
        centre, spread, kept, names, sources = [], [], {}, [], []
        for j in columns:
            if not book.continuous[j]:
                continue
            values = real.values[:, places[j]]
            present = values[~np.isnan(values)]
            low, middle, high = np.quantile(present, [0.05, 0.5, 0.95]) if len(present) else (0.0, 0.0, 0.0)
            width = (high - low) / 2 or (float(present.std()) if len(present) else 0.0)
            centre.append(float(middle))
            spread.append(float(width) or 1.0)
            names.append(book.names[j])
            sources.append(j)
        for j in columns:
            if book.continuous[j]:
                continue
            counts = np.bincount(real.codes[:, j], minlength=int(book.sizes[j]))[1:]
            order = np.argsort(-counts, kind="stable")[: MOST_LABELS + drop_first]
            kept[j] = order[int(drop_first) :][counts[order[int(drop_first) :]] > 0] + 1
            names += [f"{book.names[j]} = {book.labels[j][code - 1]}" for code in kept[j]]
            sources += [j] * len(kept[j])
        holes = tuple(j for j in columns if (real.codes[:, j] == 0).any())
        names += [f"{book.names[j]} missing" for j in holes]
        sources += list(holes)
        return cls(
            columns, np.array(centre), np.array(spread), kept, holes, tuple(names), np.array(sources, dtype=np.int64)
        )

    def features(self, table: Coded) -> Floats:
        """Shape (n, f), within -5 and 5; a missing number lies at the median."""
        book = table.book
        places = np.cumsum(book.continuous) - 1
        numbers = [places[j] for j in self.columns if book.continuous[j]]
        scaled = np.clip((table.values[:, numbers] - self.centre) / self.spread, -5.0, 5.0)
        blocks = [np.nan_to_num(scaled)]
        blocks += [(table.codes[:, j, None] == codes[None]).astype(np.float64) for j, codes in self.kept.items()]
        blocks += [(table.codes[:, list(self.holes)] == 0).astype(np.float64)]
        return np.hstack(blocks)
