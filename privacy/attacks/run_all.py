"""Run every attack on one release."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.attack_result import AttackResult
from tabsynth.privacy.attacks.attribute_inference import attack_attributes, select_worst_secret
from tabsynth.privacy.attacks.copies import attack_copies, hash_rows, score_smoke_tests
from tabsynth.privacy.attacks.linkability import attack_linkability
from tabsynth.privacy.attacks.membership import TargetScores, score_targets, summarise_exposed, summarise_membership
from tabsynth.privacy.attacks.membership_game import MembershipGame, split_targets
from tabsynth.privacy.attacks.pooled.results import PooledResults, attack_pooled_rows
from tabsynth.privacy.attacks.singling_out import attack_singling_out
from tabsynth.privacy.attacks.subgroups import find_worst_subgroup

STAGES = ("membership", "singling out", "linkability", "inference", "copies")


@dataclass(frozen=True, eq=False)
class AttackResults:
    """Results of all attacks on a release.

    Attributes:
        tests: Results that are tested; the caller corrects their p-values for their number.
        secrets: Attribute inference for each secret and set of records; ``tests`` has the most significant of them.
        rates: Membership rates at each false-positive rate.
        smoke: Scores of the smoke tests, which are not attacks.
        copied: Which training rows occur in the synthetic table, shape (n,).
        pooled: Results of the attacks on all real rows at once.
    """

    game: MembershipGame
    attacks: TargetScores
    tests: list[AttackResult]
    secrets: list[AttackResult]
    rates: list[dict[str, object]]
    smoke: list[Score]
    copied: npt.NDArray[np.bool_]
    pooled: PooledResults


def run_attacks(
    train: EncodedTable,
    synthetic: EncodedTable,
    holdout: EncodedTable,
    secrets: list[str],
    groups: list[str],
    seed: int,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> AttackResults:
    """Run all attacks that need tables only.

    Args:
        train: The training rows.
        synthetic: The synthetic rows.
        holdout: Rows of the same population that were not used for training.
        secrets: Columns that an intruder infers.
        groups: Columns whose values define subgroups.
        seed: Random seed.
        on_stage: Called with the name of each stage as it begins.
    """
    rngs = [np.random.default_rng([seed, i]) for i in range(6)]
    on_stage("membership")
    game = split_targets(train, synthetic, holdout, rngs[0])
    attacks = score_targets(game, rngs[1])
    tests, rates = summarise_membership(game, attacks)
    tests.append(summarise_exposed(game, attacks))
    worst = find_worst_subgroup(game, attacks, groups)
    tests += [] if worst is None else [worst]
    on_stage("singling out")
    tests += attack_singling_out(game, rngs[2])
    on_stage("linkability")
    tests += attack_linkability(game, attacks.sets, rngs[3])
    on_stage("inference")
    inferred = attack_attributes(game, secrets, attacks.sets)
    most_significant = [select_worst_secret(inferred, "random"), select_worst_secret(inferred, "isolated")]
    tests += [item for item in most_significant if item is not None]
    on_stage("copies")
    tests += attack_copies(game, attacks, holdout, synthetic)
    pooled = attack_pooled_rows(train, holdout, synthetic, rngs[5])
    tests += pooled.results
    smoke = score_smoke_tests(train, synthetic, holdout, game, rngs[4])
    copied = np.isin(hash_rows(train), np.unique(hash_rows(synthetic)))
    return AttackResults(game, attacks, tests, inferred, rates, smoke, copied, pooled)
