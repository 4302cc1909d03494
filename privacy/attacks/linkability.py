"""Linkability: link two halves of a record through their nearest synthetic rows.

Article 29 Working Party, Opinion 05/2014 (WP216), second criterion, as Giomi, Boenisch, Wehmeyer and Tasnadi measure it
("A unified framework for quantifying privacy risk in synthetic data", PoPETs 2023, section 5.2): the intruder has two
data sets, each with half of the columns. A record is linked if one synthetic row is among the nearest of both halves.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tabsynth.privacy.attacks.attack_result import AttackResult, Records, compare_rates
from tabsynth.privacy.attacks.membership_game import MembershipGame
from tabsynth.privacy.attacks.nearest_neighbours import find_nearest

N_NEAREST = 5
"""Number of nearest synthetic rows of each half."""

MAX_TARGETS = 4_000
"""Members, and controls, that are attacked."""


def attack_linkability(
    game: MembershipGame, sets: dict[Records, npt.NDArray[np.int64]], rng: np.random.Generator
) -> list[AttackResult]:
    """Compare the shares of linked members and controls, for random and for isolated records."""
    if len(game.train.encoding.names) < 2:
        return []
    linked = np.full(len(game.is_member), -1, dtype=np.int64)
    random = np.concatenate(
        [np.arange(len(game.members))[:MAX_TARGETS], len(game.members) + np.arange(len(game.controls))[:MAX_TARGETS]]
    )
    target_sets = {"random": random, "isolated": sets["isolated"]}
    all_targets = np.unique(np.concatenate(list(target_sets.values())))
    linked[all_targets] = _link_halves(game, all_targets, rng, "synthetic")
    baseline = _link_halves(game, all_targets[game.is_member[all_targets]], rng, "reference").mean()
    return [_result(game, linked, chosen, records, float(baseline)) for records, chosen in target_sets.items()]  # type: ignore[arg-type]


def _link_halves(
    game: MembershipGame, rows: npt.NDArray[np.int64], rng: np.random.Generator, table: str
) -> npt.NDArray[np.int64]:
    """Return whether each target is linked through a table, shape (n,); all tables use the same halves."""
    columns = np.random.default_rng(len(game.train.encoding.names)).permutation(len(game.train.encoding.names))
    halves = columns[: len(columns) // 2], columns[len(columns) // 2 :]
    others = game.synthetic if table == "synthetic" else game.reference
    members = rows[rows < len(game.members)]
    controls = rows[rows >= len(game.members)] - len(game.members)
    order = rng.permutation(len(others))  # breaks ties at random, in the same order for both halves
    nearest = []
    for half in halves:
        targets = np.concatenate(
            [game.space.points(game.members.take(members), half), game.space.points(game.controls.take(controls), half)]
        )
        nearest.append(
            find_nearest(targets, game.space.points(others.take(order), half), min(N_NEAREST, len(others)))[1]
        )
    linked: npt.NDArray[np.bool_] = (nearest[0][:, :, None] == nearest[1][:, None, :]).any(axis=(1, 2))
    return linked.astype(np.int64)


def _result(
    game: MembershipGame,
    linked: npt.NDArray[np.int64],
    chosen: npt.NDArray[np.int64],
    records: Records,
    baseline: float,
) -> AttackResult:
    members, controls = linked[chosen][game.is_member[chosen]], linked[chosen][~game.is_member[chosen]]
    return AttackResult(
        name=f"linkability_{records}",
        group="linkability",
        attack="Two halves of the columns",
        records=records,
        title=f"Linkability, {records} records",
        **compare_rates(members, controls),
        baseline=baseline,
        description="Share of training records whose halves are linked by a synthetic row, minus that of controls.",
        method=f"{len(members):,} members and {len(controls):,} controls, the {N_NEAREST} nearest synthetic rows by "
        "each half (WP216; Giomi et al., 2023); Newcombe interval, Fisher's exact test. Baseline: held-out rows in "
        "place of synthetic ones.",
    )
