"""The membership game that every attack plays: members against exchangeable controls.

The held-out rows are split once: the *reference* is what an intruder knows of the population, the *controls* are
attacked. If the synthetic table says nothing of its training rows that it does not say of the population, members and
controls are exchangeable for any attack on the synthetic and the reference rows; every p-value relies on
that alone.
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
"""Share of the held-out rows that is the intruder's own knowledge."""


@dataclass(frozen=True, eq=False)
class MembershipGame:
    """One audit's rows.

    Attributes:
        train: All training rows.
        synthetic: The rows that the attacks see.
        members: The training rows that are attacked, as many as there are controls.
        controls: Held-out rows that are attacked.
        reference: Held-out rows that the intruder has.
        member_rows: Row numbers of the members in the training table.
        control_rows: Row numbers of the controls in the holdout.
    """

    train: EncodedTable
    synthetic: EncodedTable
    members: EncodedTable
    controls: EncodedTable
    reference: EncodedTable
    member_rows: Integers
    control_rows: Integers

    @cached_property
    def space(self) -> DistanceSpace:
        """The scale of distances."""
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
    """Split the rows at random."""
    order = rng.permutation(len(holdout))
    count = max(1, round(REFERENCE_SHARE * len(holdout)))
    reference, controls = order[:count][:MAX_REFERENCE_ROWS], order[count:][: min(MAX_TARGETS, len(train))]
    members = rng.permutation(len(train))[: len(controls)]
    seen = rng.permutation(len(synthetic))[:MAX_SYNTHETIC_ROWS]
    return MembershipGame(
        train=train,
        synthetic=synthetic.take(seen),
        members=train.take(members),
        controls=holdout.take(controls),
        reference=holdout.take(reference),
        member_rows=members,
        control_rows=controls,
    )
