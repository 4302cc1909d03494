"""All real rows of an audit, members and held-out rows, without membership labels.

A score that depends only on the pool, the synthetic table and the record is exchangeable between members and held-out
rows if the synthetic table reveals nothing about its members. No rows are needed as a reference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Integers
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.nearest_neighbours import DistanceSpace, Points

MAX_SIDE_ROWS = 12_000
"""Maximum number of members, and of held-out rows, in the pool."""

MAX_SYNTHETIC_ROWS = 40_000


@dataclass(frozen=True, eq=False)
class RealRows:
    """The pool of real rows.

    Attributes:
        table: Members, then held-out rows.
        is_member: Whether each row is a member, shape (n,).
        synthetic: The synthetic rows available to the attacks.
        member_rows: Row numbers of the members in the training table.
        space: The distance space, scaled by the pool.
        tie_order: A random order of the pool, which breaks ties.
    """

    table: EncodedTable
    is_member: npt.NDArray[np.bool_]
    synthetic: EncodedTable
    member_rows: Integers
    space: DistanceSpace
    tie_order: Integers

    @classmethod
    def pool(
        cls, train: EncodedTable, holdout: EncodedTable, synthetic: EncodedTable, rng: np.random.Generator
    ) -> RealRows:
        """Pool the real rows."""
        members = rng.permutation(len(train))[:MAX_SIDE_ROWS]
        controls = rng.permutation(len(holdout))[:MAX_SIDE_ROWS]
        table = concatenate(train.take(members), holdout.take(controls))
        is_member = np.arange(len(table)) < len(members)
        synthetic_rows = synthetic.take(rng.permutation(len(synthetic))[:MAX_SYNTHETIC_ROWS])
        return cls(table, is_member, synthetic_rows, members, DistanceSpace.of(table), rng.permutation(len(table)))

    @property
    def n_members(self) -> int:
        """Number of members in the pool."""
        return len(self.member_rows)

    def points(self, table: EncodedTable) -> Points:
        """Return rows as points in the distance space."""
        return self.space.points(table)


def concatenate(first: EncodedTable, second: EncodedTable) -> EncodedTable:
    """Concatenate two tables with the same encoding."""
    return replace(
        first,
        codes=np.concatenate([first.codes, second.codes]),
        values=np.concatenate([first.values, second.values]),
    )
