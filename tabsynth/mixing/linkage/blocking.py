"""Blocking rules: which pairs of records are compared."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

Rule = tuple[str, ...]
"""Fields that must agree for a pair to be compared."""

MAX_PAIRS_PER_RECORD = 10
"""Maximum pairs of a rule for each record of the largest source."""

AGREEMENT_RATE = 0.8
"""Assumed probability that a field of one person agrees where both are filled; real tables exceed it."""

MIN_REACH = 0.9999
"""Share of a person's pairs that the rules must cover."""

MAX_TRAINING_RULES = 3
"""Maximum number of training rules."""

N_PATTERNS = 20_000


def choose_rules(
    fields: Sequence[str], filled: Mapping[str, float], count: Callable[[Rule], int], records: int
) -> tuple[dict[Rule, int], float]:
    """Choose blocking rules of one to three fields.

    Candidates are counted, then chosen greedily by the agreement patterns newly covered per pair, where fields agree
    independently with probability ``AGREEMENT_RATE``.

    Args:
        fields: The fields to link by.
        filled: The share of record pairs that have a field on both sides.
        count: Counts the pairs of a rule.
        records: Records of the largest source.

    Returns:
        The rules with their pairs, in the order chosen, and the share of patterns covered; no rules where all have too
        many pairs.
    """
    rng = np.random.default_rng(0)
    agree = {name: rng.random(N_PATTERNS) < AGREEMENT_RATE * filled[name] for name in fields}
    limit = MAX_PAIRS_PER_RECORD * records
    affordable: dict[Rule, int] = {}
    for size in (1, 2, 3):
        for rule in itertools.combinations(fields, size):
            # A superset of an affordable rule adds nothing.
            if not any(set(known) < set(rule) for known in affordable):
                pairs = count(rule)
                if pairs <= limit:
                    affordable[rule] = pairs
        if size >= 2 and affordable:
            break
    covered = np.zeros(N_PATTERNS, bool)
    chosen: dict[Rule, int] = {}
    while covered.mean() < MIN_REACH:
        gain = {
            rule: (np.logical_and.reduce([agree[name] for name in rule]) & ~covered).sum() / (pairs + records)
            for rule, pairs in affordable.items()
            if rule not in chosen
        }
        best = max(gain, key=lambda rule: gain[rule], default=None)
        if best is None or not gain[best]:
            break
        chosen[best] = affordable[best]
        covered |= np.logical_and.reduce([agree[name] for name in best])
    return chosen, float(covered.mean())


def choose_training_rules(candidates: Mapping[Rule, int], touches: Mapping[str, set[str]]) -> list[Rule]:
    """Choose at most three training rules with few pairs, such that every comparison is trained by some rule.

    Pairs that were selected by a field of a comparison cannot train it, so the rules share no fields
    that one comparison uses.

    Args:
        candidates: Blocking rules with their pairs.
        touches: Fields of each comparison.
    """
    chosen: list[Rule] = []
    for rule in sorted((rule for rule, pairs in candidates.items() if pairs), key=lambda rule: candidates[rule]):
        comparisons_of = [{name for name, used in touches.items() if used & set(other)} for other in [*chosen, rule]]
        if len(chosen) < MAX_TRAINING_RULES and not any(comparisons_of[-1] & other for other in comparisons_of[:-1]):
            chosen.append(rule)
    return chosen
