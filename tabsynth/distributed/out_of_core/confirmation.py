"""Confirm on all rows the relations that were discovered in a sample.

Rows that violate a relation are added to the sample, and the search is repeated: without them it may have preferred a
wrong relation to a correct one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Bools
from tabsynth.data.table import Table
from tabsynth.distributed.out_of_core.source import Source
from tabsynth.relations.enforcement import Relations

MAX_SEARCHES = 3
"""Maximum number of searches; each but the first reads all rows once more."""

N_COUNTEREXAMPLES = 20
"""Maximum violating rows that are kept of a batch."""


@dataclass
class Confirmation:
    """Relations that no row so far violates.

    Attributes:
        relations: The relations that hold in all rows so far.
        contradicting: Rows that violated a relation.
    """

    relations: Relations
    contradicting: list[pd.DataFrame] = field(default_factory=list)

    def check(self, codec: Codec, frame: pd.DataFrame) -> None:
        """Drop the relations that some of the rows violate."""
        relations = self.relations
        self.relations = Relations(
            relations.differences,
            tuple(own for own in relations.arithmetic if self._holds(Relations(arithmetic=(own,)), codec, frame)),
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
    """Search for relations until no row violates them, and return them.

    Rows are read again only for new relations; confirmed relations of an earlier search remain.

    Args:
        source: The rows.
        table: Their sample.
        codec: The codec of the rows.
        first: The relations of the sample, checked on all rows.
        without: Columns to leave out.
    """
    done, rows = first, table.frame
    for _ in range(MAX_SEARCHES - 1):
        if not done.contradicting:
            break
        rows = pd.concat([rows, *done.contradicting], ignore_index=True).astype(table.frame.dtypes)
        found = Relations.discover(replace(table, frame=rows), codec, without=without)
        held = _by_text(done.relations)
        new = Confirmation(_select(found, {text: own for text, own in _by_text(found).items() if text not in held}))
        batches = source.tables() if new.relations.describe() else iter(())
        for batch in batches:
            new.check(codec, batch.frame)
            if not new.relations.describe():
                break
        done = Confirmation(_select(found, held | _by_text(new.relations)), new.contradicting)
    return done.relations


def _by_text(relations: Relations) -> dict[str, Any]:
    """Return arithmetic relations and rules by their formulas."""
    return dict(zip(relations.describe(), (*relations.arithmetic, *relations.rules), strict=True))


def _select(found: Relations, held: Mapping[str, Any]) -> Relations:
    """Return the relations that hold, in the order in which they were found."""
    return Relations(
        found.differences,
        tuple(held[str(own)] for own in found.arithmetic if str(own) in held),
        tuple(held[own.text] for own in found.rules if own.text in held),
    )
