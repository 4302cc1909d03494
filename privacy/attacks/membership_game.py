"""Membership game: the attacked members, exchangeable controls, and the reference rows of the intruder.

The held-out rows are split once, into *reference* rows, which represent the intruder's knowledge of the population, and
*controls*, which are attacked. If the synthetic table reveals no more about its training rows than about the
population, members and controls are exchangeable for any attack that uses the synthetic and the reference rows. The
p-values rely on this alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Integers
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.nearest_neighbours import DistanceSpace, Points

MAX_TARGETS = 12_000
"""Members, and controls, that are attacked."""

MAX_SYNTHETIC_ROWS = 40_000
MAX_REFERENCE_ROWS = 10_000

REFERENCE_SHARE = 1 / 3
"""Share of the held-out rows that becomes the reference."""


@dataclass(frozen=True, eq=False)
class MembershipGame:
    """The rows of an audit.

    Attributes:
        train: All training rows.
        synthetic: The synthetic rows available to the attacks.
        members: The training rows that are attacked, as many as there are controls.
        controls: Held-out rows that are attacked.
        reference: Held-out rows available to the intruder.
        member_rows: Row numbers of the members in the training table.
    """

    train: EncodedTable
    synthetic: EncodedTable
    members: EncodedTable
    controls: EncodedTable
    reference: EncodedTable
    member_rows: Integers

    @cached_property
    def space(self) -> DistanceSpace:
        """The distance space, scaled by the reference rows."""
        return DistanceSpace.of(self.reference)

    @cached_property
    def points(self) -> dict[str, Points]:
        """Members, controls, reference and synthetic rows as points over all columns."""
        names = ("members", "controls", "reference", "synthetic")
        return {name: self.space.points(getattr(self, name)) for name in names}

    @cached_property
    def is_member(self) -> npt.NDArray[np.bool_]:
        """Membership of the targets (members, then controls), shape (n,)."""
        return np.arange(len(self.members) + len(self.controls)) < len(self.members)

    def targets(self) -> Points:
        """Return the members, then controls, as points."""
        return np.concatenate([self.points["members"], self.points["controls"]])


def split_targets(
    train: EncodedTable, synthetic: EncodedTable, holdout: EncodedTable, rng: np.random.Generator
) -> MembershipGame:
    """Sample members, controls, reference rows and synthetic rows."""
    order = rng.permutation(len(holdout))
    count = max(1, round(REFERENCE_SHARE * len(holdout)))
    reference, controls = order[:count][:MAX_REFERENCE_ROWS], order[count:][: min(MAX_TARGETS, len(train))]
    members = rng.permutation(len(train))[: len(controls)]
    synthetic_rows = rng.permutation(len(synthetic))[:MAX_SYNTHETIC_ROWS]
    return MembershipGame(
        train=train,
        synthetic=synthetic.take(synthetic_rows),
        members=train.take(members),
        controls=holdout.take(controls),
        reference=holdout.take(reference),
        member_rows=members,
    )
