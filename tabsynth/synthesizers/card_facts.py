"""Model card: entries of declared constraints, and the summary that notebooks show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tabsynth.errors import quote
from tabsynth.relations.declared import satisfy
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.schema.columns import Identifier, Text
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


def check_facts(model: Synthesizer, facts: Mapping[str, Any]) -> None:
    """Raise a ValueError unless the facts that a model file states of a fit can be those of its card."""
    rules = facts.get("rules") or {}
    violations, repaired = rules.get("violations", []), rules.get("repaired", [])
    if not isinstance(violations, list) or not all(isinstance(one["rule"], str) for one in violations):
        raise ValueError(f"its violations of constraints are {violations!r}")
    if not isinstance(repaired, list) or not all(0 <= share <= 1 for share in repaired):
        raise ValueError(f"its shares of repaired rows are {repaired!r}")
    counts = {name: facts.get(name) for name in ("rows", "seed", "source_rows")}
    counts |= {name: getattr(model, f"{name}_", None) for name in ("row_visits", "earlier_rows")}
    for name, count in counts.items():
        if count is not None and (type(count) is not int or count < 0):
            raise ValueError(f"its number {name} is {count!r}")
    if not isinstance(facts.get("mixed"), (dict, type(None))):
        raise ValueError("its sources are no mapping")


def describe_constraints(schema: Schema, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return how each declared constraint is enforced, its share of repaired rows, and its training violations."""
    broken = {one["rule"]: one for one in facts.get("violations", [])}
    out = RuleSet.of(schema).card()
    for one, share in zip(out, facts.get("repaired", []), strict=False):
        one["repaired_share"] = round(share, 4)
    return [{**one, **broken.get(one["rule"], {})} for one in out]


def summarise_card(card: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return the facts of a model card that a reader needs first, by name."""
    kinds = Counter(column.kind for column in schema.values())
    vocabulary = card.get("vocabulary") or {}
    found = [*vocabulary.get("laws", ()), *vocabulary.get("rules", ())]
    not_learned = vocabulary.get("not_learned") or [
        name for name, column in schema.items() if isinstance(column, (Identifier, Text))
    ]
    pooled = [f"{name} {share:.0%}" for name, share in vocabulary.get("pooled_share", {}).items() if share >= 0.01]
    facts = {
        "rows": f"{card['rows']:,}",
        "columns": f"{len(schema)} ({', '.join(f'{n} {kind}' for kind, n in kinds.items())})",
        "not learned": quote(not_learned, 8) if not_learned else "",
        "values that too few share, replaced": ", ".join(pooled),
        "constraints": ", ".join(str(one["rule"]) for one in card["constraints"]),
        "relations discovered": len(found) or "",
        "privacy": card["privacy"],
        "seed": card["seed"],
        "details": "model.card()",
    }
    return {name: value for name, value in facts.items() if value != ""}


def summarise_database_card(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of the card of a model of linked tables that a reader needs first, by name."""
    return {
        "rows": ", ".join(f"{name} {rows:,}" for name, rows in card["rows"].items()),
        "links": ", ".join(f"{link['table']}.{link['column']} to {link['parent']}" for link in card["links"]),
        "relations between rows and tables": len(card["linked_relations"]),
        "privacy": card["privacy"],
        "seed": card["seed"],
        "details": "model.card()",
    }
