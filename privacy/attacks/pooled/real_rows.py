"""All real rows of an audit, members and held-out rows, without membership labels.

A score that is computed from the pool, the synthetic table and the record alone is exchangeable between members and
held-out rows if the synthetic table reveals nothing of its members, and no row is spent on a reference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Integers
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.nearest_neighbours import DistanceSpace, Points

MAX_SIDE_ROWS = 12_000
"""Members, and held-out rows, in the pool."""

MAX_SYNTHETIC_ROWS = 40_000


@dataclass(frozen=True, eq=False)
class RealRows:
    """The pool.

    Attributes:
        table: Members, then held-out rows.
        is_member: Whether each row is a member, shape (n,).
        synthetic: The synthetic rows that the attacks see.
        member_rows: Row numbers of the members in the training table.
        space: The scale of distances, from the pool.
        lot: A random order of the pool, which breaks ties.
    """

    table: EncodedTable
    is_member: npt.NDArray[np.bool_]
    synthetic: EncodedTable
    member_rows: Integers
    space: DistanceSpace
    lot: Integers

    @classmethod
    def pool(
        cls, train: EncodedTable, holdout: EncodedTable, synthetic: EncodedTable, rng: np.random.Generator
    ) -> RealRows:
        """Pool the real rows."""
        members = rng.permutation(len(train))[:MAX_SIDE_ROWS]
        controls = rng.permutation(len(holdout))[:MAX_SIDE_ROWS]
        table = concatenate(train.take(members), holdout.take(controls))
        is_member = np.arange(len(table)) < len(members)
        seen = synthetic.take(rng.permutation(len(synthetic))[:MAX_SYNTHETIC_ROWS])
        return cls(table, is_member, seen, members, DistanceSpace.of(table), rng.permutation(len(table)))

    @property
    def n_members(self) -> int:
        """Number of members in the pool."""
        return len(self.member_rows)

    def points(self, table: EncodedTable) -> Points:
        """Return the rows as points on the pool's scale."""
        return self.space.points(table)


def concatenate(first: EncodedTable, second: EncodedTable) -> EncodedTable:
    """Return the rows of two tables with one encoding."""
    return replace(
        first,
        codes=np.concatenate([first.codes, second.codes]),
        values=np.concatenate([first.values, second.values]),
    )
