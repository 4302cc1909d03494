"""Every attack on one release, in one go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.encoded_table import Coded
from tabsynth.privacy.attacks.attack_result import Finding
from tabsynth.privacy.attacks.attribute_inference import inference_findings, worst_secret
from tabsynth.privacy.attacks.copies import copy_findings, smoke_scores
from tabsynth.privacy.attacks.linkability import linkability_findings
from tabsynth.privacy.attacks.membership import Attacks, attack, membership_findings, named_finding
from tabsynth.privacy.attacks.membership_game import Game, deal
from tabsynth.privacy.attacks.singling_out import singling_out_findings
from tabsynth.privacy.attacks.subgroups import subgroup_finding

STAGES = ("membership", "singling out", "linkability", "inference", "copies")


@dataclass(frozen=True, eq=False)
class Found:
    """What all attacks found.

    Attributes:
        findings: The tested ones; their p-values are corrected for their number by the caller.
        secrets: Attribute inference for each secret and set of records, of which the findings hold the surest.
        rates: Membership rates at each false-positive rate.
        smoke: Scores that are not attacks.
    """

    game: Game
    attacks: Attacks
    findings: list[Finding]
    secrets: list[Finding]
    rates: list[dict[str, object]]
    smoke: list[Score]


def attack_all(
    train: Coded,
    synthetic: Coded,
    holdout: Coded,
    secrets: list[str],
    groups: list[str],
    seed: int,
    tell: Callable[[str], None] = lambda stage: None,
) -> Found:
    """Run every attack that needs nothing but tables.

    Args:
        train: The rows that were learned.
        synthetic: The rows that were made.
        holdout: Rows of the same population that were not learned.
        secrets: Columns that an intruder infers.
        groups: Columns by whose values the risk is told apart.
        seed: Fixes every draw.
        tell: Told each stage as it begins.
    """
    rngs = [np.random.default_rng([seed, i]) for i in range(5)]
    tell("membership")
    game = deal(train, synthetic, holdout, rngs[0])
    attacks = attack(game, rngs[1])
    findings, rates = membership_findings(game, attacks)
    findings.append(named_finding(game, attacks))
    worst = subgroup_finding(game, attacks, groups)
    findings += [] if worst is None else [worst]
    tell("singling out")
    findings += singling_out_findings(game, rngs[2])
    tell("linkability")
    findings += linkability_findings(game, attacks.sets, rngs[3])
    tell("inference")
    inferred = inference_findings(game, secrets, attacks.sets)
    surest = [worst_secret(inferred, "random"), worst_secret(inferred, "isolated")]
    findings += [item for item in surest if item is not None]
    tell("copies")
    findings += copy_findings(game, attacks, holdout, synthetic)
    return Found(game, attacks, findings, inferred, rates, smoke_scores(train, synthetic, holdout, game, rngs[4]))
