"""Relations that a sample suggests, confirmed on all rows.

Rows that contradict a relation join the sample, and the search is repeated: without them it may have preferred a
relation that does not hold to one that does.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Bools
from tabsynth.data.table import Table
from tabsynth.distributed.out_of_core.source import Source
from tabsynth.relations.enforcement import Relations

MAX_SEARCHES = 3
"""Searches at most; each but the first reads all rows once more."""

N_COUNTEREXAMPLES = 20
"""Rows of a batch that are kept of those that contradict a relation."""


@dataclass
class Confirmation:
    """Relations, less those that some row contradicts.

    Attributes:
        relations: Those that all rows so far have.
        contradicting: Rows that contradicted one.
    """

    relations: Relations
    contradicting: list[pd.DataFrame] = field(default_factory=list)

    def check(self, codec: Codec, frame: pd.DataFrame) -> None:
        """Drop the relations that some of the rows contradict."""
        relations = self.relations
        self.relations = Relations(
            relations.differences,
            tuple(law for law in relations.arithmetic if self._holds(Relations(arithmetic=(law,)), codec, frame)),
            tuple(rule for rule in relations.rules if self._holds(Relations(rules=(rule,)), codec, frame)),
        )

    def _holds(self, one: Relations, codec: Codec, frame: pd.DataFrame) -> bool:
        good: Bools = one.hold(frame, codec)
        if not good.all():
            self.contradicting.append(frame[~good].iloc[:N_COUNTEREXAMPLES])
        return bool(good.all())


def search_again(
    source: Source, table: Table, codec: Codec, first: Confirmation, *, without: Collection[str]
) -> Relations:
    """Return the relations that all rows have, after the first search was checked on them.

    Args:
        source: The rows.
        table: Their sample.
        codec: Their vocabulary.
        first: The relations of the sample, checked.
        without: Columns that take no part.
    """
    done, rows = first, table.frame
    for _ in range(MAX_SEARCHES - 1):
        if not done.contradicting:
            break
        rows = pd.concat([rows, *done.contradicting], ignore_index=True).astype(table.frame.dtypes)
        done = Confirmation(Relations.discover(replace(table, frame=rows), codec, without=without))
        for batch in source.tables():
            done.check(codec, batch.frame)
    return done.relations
