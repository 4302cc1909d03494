"""Model card entries of declared constraints: enforcement, share of repaired rows, training violations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tabsynth.relations.declared import satisfy
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.options import SampleContext

if TYPE_CHECKING:
    from tabsynth.synthesizers.base import Synthesizer

N_ROWS = 1000
"""Rows that a fit draws to see how often constraints must be repaired."""


def count_repairs(model: Synthesizer) -> list[float]:
    """Return the share of sampled rows in which each constraint on single rows must be repaired."""
    rules = RuleSet.of(model.schema_)
    if not rules.rules:
        return []
    draw = SampleContext.of(model.seed_, False)
    rows, codec = model._draw_unrepaired(N_ROWS, draw)
    return satisfy.count_repairs(rules, rows, codec, draw.rng)


def describe_constraints(schema: Schema, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return how each declared constraint is enforced, its share of repaired rows, and its training violations."""
    broken = {one["rule"]: one for one in facts.get("violations", [])}
    out = RuleSet.of(schema).card()
    for one, share in zip(out, facts.get("repaired", []), strict=False):
        one["repaired_share"] = round(share, 4)
    return [{**one, **broken.get(one["rule"], {})} for one in out]
