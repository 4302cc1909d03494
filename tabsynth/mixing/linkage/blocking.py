"""Which pairs of records are worth comparing: rules chosen by counting, not by looking at who is who."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

Rule = tuple[str, ...]
"""Fields that must agree for a pair to be compared."""

MAX_PAIRS_PER_RECORD = 10
"""A rule may bring up to so many pairs for each record of the largest source."""

AGREEMENT_RATE = 0.8
"""How often a field of the same person is taken to agree where both are filled; real tables do better."""

MIN_REACH = 0.9999
"""Rules are added until so many of the pairs of a person would meet under one of them."""

N_PATTERNS = 20_000


def choose_rules(
    fields: Sequence[str], filled: Mapping[str, float], count: Callable[[Rule], int], records: int, seed: int = 0
) -> tuple[dict[Rule, int], float]:
    """Choose blocking rules of one to three fields.

    Each candidate's pairs are counted. Then rules are taken greedily, by how many patterns of agreement they newly
    reach for a pair counted; fields are taken to agree independently of each other, ``AGREEMENT_RATE`` of the time.

    Args:
        fields: The fields to link by.
        filled: The share of record pairs that have a field on both sides.
        count: Counts the pairs that a rule brings.
        records: How many records the largest source has.
        seed: Seed of the patterns.

    Returns:
        The rules with the pairs that each brings, in the order taken, and the share of patterns that they reach; no
        rules where none brings few enough pairs.
    """
    rng = np.random.default_rng(seed)
    agree = {name: rng.random(N_PATTERNS) < AGREEMENT_RATE * filled[name] for name in fields}
    limit = MAX_PAIRS_PER_RECORD * records
    affordable: dict[Rule, int] = {}
    for size in (1, 2, 3):
        for rule in itertools.combinations(fields, size):
            # A rule that holds an affordable one adds nothing to it.
            if not any(set(known) < set(rule) for known in affordable):
                pairs = count(rule)
                if pairs <= limit:
                    affordable[rule] = pairs
        if size >= 2 and affordable:
            break
    met = np.zeros(N_PATTERNS, bool)
    chosen: dict[Rule, int] = {}
    while met.mean() < MIN_REACH:
        gain = {
            rule: (np.logical_and.reduce([agree[name] for name in rule]) & ~met).sum() / (pairs + records)
            for rule, pairs in affordable.items()
            if rule not in chosen
        }
        best = max(gain, key=lambda rule: gain[rule], default=None)
        if best is None or not gain[best]:
            break
        chosen[best] = affordable[best]
        met |= np.logical_and.reduce([agree[name] for name in best])
    return chosen, float(met.mean())


def choose_training_rules(candidates: Mapping[Rule, int], touches: Mapping[str, set[str]], most: int = 3) -> list[Rule]:
    """Rules to train by: few pairs, most of them matches, and no comparison left out by all of them.

    A comparison learns nothing from pairs that were chosen because one of its fields agrees, so the rules must not
    share fields, nor fields that one comparison uses together.

    Args:
        candidates: Blocking rules with their pairs.
        touches: The fields that each comparison uses.
        most: The most rules to take.
    """
    taken: list[Rule] = []
    for rule in sorted((rule for rule, pairs in candidates.items() if pairs), key=lambda rule: candidates[rule]):
        hit = [{name for name, used in touches.items() if used & set(other)} for other in [*taken, rule]]
        if len(taken) < most and not any(hit[-1] & other for other in hit[:-1]):
            taken.append(rule)
    return taken
