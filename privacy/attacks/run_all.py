"""Run every attack on one release."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.attack_result import Finding
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
    """Results of all attacks.

    Attributes:
        findings: The tested ones; their p-values are corrected for their number by the caller.
        secrets: Attribute inference for each secret and set of records, of which the findings hold the surest.
        rates: Membership rates at each false-positive rate.
        smoke: Scores that are not attacks.
        copied: Which training rows occur in the synthetic table, shape (n,).
        pooled: Scores of all real rows by the attacks that need no reference.
    """

    game: MembershipGame
    attacks: TargetScores
    findings: list[Finding]
    secrets: list[Finding]
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
    """Run every attack that needs nothing but tables.

    Args:
        train: The rows that were learned.
        synthetic: The synthetic rows.
        holdout: Rows of the same population that were not learned.
        secrets: Columns that an intruder infers.
        groups: Columns whose values define the subgroups.
        seed: Fixes every draw.
        on_stage: Called with the name of each stage as it begins.
    """
    rngs = [np.random.default_rng([seed, i]) for i in range(6)]
    on_stage("membership")
    game = split_targets(train, synthetic, holdout, rngs[0])
    attacks = score_targets(game, rngs[1])
    findings, rates = summarise_membership(game, attacks)
    findings.append(summarise_exposed(game, attacks))
    worst = find_worst_subgroup(game, attacks, groups)
    findings += [] if worst is None else [worst]
    on_stage("singling out")
    findings += attack_singling_out(game, rngs[2])
    on_stage("linkability")
    findings += attack_linkability(game, attacks.sets, rngs[3])
    on_stage("inference")
    inferred = attack_attributes(game, secrets, attacks.sets)
    surest = [select_worst_secret(inferred, "random"), select_worst_secret(inferred, "isolated")]
    findings += [item for item in surest if item is not None]
    on_stage("copies")
    findings += attack_copies(game, attacks, holdout, synthetic)
    pooled = attack_pooled_rows(train, holdout, synthetic, rngs[5])
    findings += pooled.findings
    smoke = score_smoke_tests(train, synthetic, holdout, game, rngs[4])
    copied = np.isin(hash_rows(train), np.unique(hash_rows(synthetic)))
    return AttackResults(game, attacks, findings, inferred, rates, smoke, copied, pooled)
