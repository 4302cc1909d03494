"""Check before a fit that the constraints of a schema do not contradict each other.

Orders, ranges and bounds form a graph of difference constraints, in which a contradiction is a negative cycle
(Bellman-Ford). Other constraints are passed to the solver z3 if the extra ``solver`` is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tabsynth.errors import SchemaError
from tabsynth.relations.declared.equations import declared_bounds
from tabsynth.relations.declared.rule_set import numeric_forms
from tabsynth.relations.declared.solver import find_contradiction
from tabsynth.schema.constraints import Constraint, RefusedRule
from tabsynth.schema.constraints.linear_forms import LinearForm
from tabsynth.schema.schema import Schema

STRICT = 1e-6
"""Margin of a strict inequality."""

ZERO = ""
"""The node of the number 0."""


@dataclass(frozen=True)
class _Edge:
    """``end <= start + weight``."""

    start: str
    end: str
    weight: float
    label: str


def check_feasible(schema: Schema | None) -> None:
    """Raise SchemaError if no complete row can satisfy all constraints of a schema; the message names them."""
    rules = [] if schema is None else [rule for rule in schema.constraints if not isinstance(rule, RefusedRule)]
    if schema is None or not rules:
        return
    edges = [edge for rule in rules for edge in _edges(rule, schema)]
    edges += [edge for name in schema for edge in _bound_edges(name, schema)]
    conflict = _negative_cycle(edges) or find_contradiction(schema)
    if conflict:
        raise SchemaError(
            f"no row can satisfy all of these: {'; '.join(dict.fromkeys(conflict))}; change or remove one of them"
        )


def _edges(rule: Constraint, schema: Schema) -> Iterator[_Edge]:
    """Yield the differences that a rule bounds."""
    for form in numeric_forms(rule, schema):
        if not isinstance(form, LinearForm) or len(form.terms) > 2:
            continue
        (high, factor), *rest = sorted(form.terms, key=lambda term: -term[1])
        low = rest[0][0] if rest else ZERO
        if rest and rest[0][1] != -factor:
            continue
        if factor < 0:
            high, low, factor = low, high, -factor
        # least <= factor * (high - low) + constant <= greatest
        margin = STRICT if form.strict else 0.0
        if form.least is not None:
            yield _Edge(high, low, (form.constant - form.least) / factor - margin, rule.describe())
        if form.greatest is not None:
            yield _Edge(low, high, (form.greatest - form.constant) / factor - margin, rule.describe())


def _bound_edges(name: str, schema: Schema) -> Iterator[_Edge]:
    """Yield the declared bounds of a column."""
    low, high = declared_bounds(schema[name])
    if low is not None:
        yield _Edge(name, ZERO, -low, f"the lower bound of {name!r}")
    if high is not None:
        yield _Edge(ZERO, name, high, f"the upper bound of {name!r}")


def _negative_cycle(edges: list[_Edge]) -> list[str]:
    """Return the labels of a cycle with a negative sum of weights; empty if there is none."""
    nodes = {node for edge in edges for node in (edge.start, edge.end)}
    distance, before = dict.fromkeys(nodes, 0.0), dict[str, _Edge]()
    moved: str | None = None
    for _ in range(len(nodes) + 1):
        moved = None
        for edge in edges:
            # Rounding must not make a cycle of weight 0 a negative one.
            slack = 1e-12 * max(abs(distance[edge.start]), abs(edge.weight), 1e-3)
            if distance[edge.start] + edge.weight < distance[edge.end] - slack:
                distance[edge.end] = distance[edge.start] + edge.weight
                before[edge.end], moved = edge, edge.end
        if moved is None:
            return []
    if moved is None:
        return []
    for _ in nodes:
        moved = before[moved].start
    cycle, at = [before[moved].label], before[moved].start
    while at != moved:
        cycle.append(before[at].label)
        at = before[at].start
    return cycle
