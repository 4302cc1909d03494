"""Suggest constraints that all rows of a table satisfy, in the form in which a schema declares them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from tabsynth.codec.categorical_encoder import ValueCoder
from tabsynth.codec.codec import Codec
from tabsynth.codec.column_values import UNIT_NANOSECONDS
from tabsynth.data.table import Table
from tabsynth.relations.arithmetic import ArithmeticRelation
from tabsynth.relations.conditional.pair_bounds import PairBoundRule
from tabsynth.relations.enforcement import Relations
from tabsynth.relations.formulas.rule import FormulaRule
from tabsynth.relations.formulas.spelling import Spelling, rounded_expression, without_brackets
from tabsynth.relations.functional_dependencies import discover
from tabsynth.relations.row_rules import EqualityRule, OrderRule
from tabsynth.schema.columns import Boolean, Categorical, Datetime, Numeric
from tabsynth.schema.constraints import Constraint, Expression, IfThen, Linear, Lookup, Order, Product
from tabsynth.schema.expressions import MAX_FORMULA_CHARS
from tabsynth.schema.validation import satisfies

MIN_GROUP = 5
"""Minimum persons behind a suggested value."""

MAX_LOOKUP = 200
"""Maximum number of values of a suggested lookup."""


def suggest_constraints(table: Table) -> list[Constraint]:
    """Suggest constraints with evidence: orders, bounds, sums, products, equal columns, formulas and lookups.

    They are proposals: a rule may hold in all rows of the table without being intended.
    """
    codec = Codec.measure(table, min_group=MIN_GROUP)
    relations = Relations.discover(table, codec)
    suggestions: list[Constraint | None] = [_arithmetic(relation, codec) for relation in relations.arithmetic]
    for rule in relations.rules:
        if isinstance(rule, OrderRule) and rule.exempt_column:
            order = f"{spell(rule.low)} <= {spell(rule.high)}"
            suggestions.append(IfThen(when=f"{spell(rule.exempt_column)} != {rule.exempt:g}", then=order))
        elif isinstance(rule, OrderRule):
            suggestions.append(Order(sequence=(rule.low, rule.high), least=_plain(rule.gap * _days(codec, rule.low))))
        elif isinstance(rule, EqualityRule):
            group = spell(rule.group)
            when = f"missing({group})" if rule.missing else f"{group} == {_label(codec, rule.group, rule.value)!r}"
            suggestions.append(IfThen(when=when, then=f"{spell(rule.column)} == {spell(rule.source)}"))
        elif isinstance(rule, PairBoundRule):
            suggestions.append(_pair_bound(rule, codec))
        elif isinstance(rule, FormulaRule):
            good = (own for own in _formulas(rule, codec) if satisfies(own, table.frame, table.schema).all())
            suggestions.append(next(good, None))
    suggestions += _lookups(table, codec)
    return [rule for rule in suggestions if rule is not None and satisfies(rule, table.frame, table.schema).all()]


def spell(name: str) -> str:
    """Return a column's name as an expression refers to it."""
    return name if name.isidentifier() else f'col("{name}")'


def _arithmetic(relation: ArithmeticRelation, codec: Codec) -> Constraint | None:
    """Return an arithmetic relation as a constraint, None if it includes dates."""
    if not all(isinstance(codec.schema[name], Numeric) for name in relation.columns):
        return None
    terms = {name: _plain(factor) for name, factor in relation.terms}
    kind = Product if relation.product else Linear
    return kind(column=relation.column, terms=terms, constant=_plain(relation.constant))


def _pair_bound(rule: PairBoundRule, codec: Codec) -> Constraint:
    """Return a bound of a column by another one as an expression, under its condition."""
    high = spell(rule.high) if rule.factor == 1 else f"{rule.factor:g} * {spell(rule.high)}"
    gap = _plain(rule.gap * _days(codec, rule.low))
    then = f"{high} - {spell(rule.low)} >= {gap:g}" if gap else f"{spell(rule.low)} <= {high}"
    own = rule.condition
    if own is None:
        return Expression(rule=then)
    name = spell(own.column)
    if own.least is None:
        return IfThen(when=f"not missing({name})" if own.negated else f"missing({name})", then=then)
    return IfThen(when=f"{name} {'!=' if own.negated else '=='} {_label(codec, own.column, own.least)!r}", then=then)


def _formulas(rule: FormulaRule, codec: Codec) -> Iterator[Constraint]:
    """Yield a formula as an expression, as it is and with its rounding, if the language can state it."""
    spelling = Spelling(spell, partial(_label, codec), _days(codec, rule.column))
    text = spelling.of(rule.formula)
    if text is None:
        return
    rounded = rounded_expression(text, rule.step * spelling.unit, rule.rounding) if rule.step else text
    for own in dict.fromkeys([text, rounded] if rule.rounding == "nearest" else [rounded]):
        expression = f"{spell(rule.column)} == {without_brackets(own)}"
        if len(expression) > MAX_FORMULA_CHARS:
            continue
        if rule.exempt is None:
            yield Expression(rule=expression)
        else:
            yield IfThen(when=f"{spell(rule.column)} != {rule.exempt:g}", then=expression)


def _lookups(table: Table, codec: Codec) -> Iterator[Constraint]:
    """Yield lookups: categorical columns that another column determines for each of its values."""
    names = [
        name
        for name, coder in codec.coders.items()
        if isinstance(codec.schema[name], (Categorical, Boolean))
        and isinstance(coder, ValueCoder)
        and 1 < len(coder.values) <= MAX_LOOKUP
        and not coder.counts[coder.rare]
    ]
    coders = [codec.coders[name] for name in names]
    if len(names) < 2:
        return
    tokens = np.stack([codec.encode_column(name, table.frame[name]) for name in names], axis=1).astype(np.int32)
    sizes = [coder.size for coder in coders]
    gaps = [coder.missing for coder in coders]
    done: set[tuple[str, str]] = set()
    for function in discover(tokens, sizes, [[coder.rare] for coder in coders], gaps):
        by, column = coders[function.determinant], coders[function.dependent]
        pair = (names[function.determinant], names[function.dependent])
        assert isinstance(by, ValueCoder)
        assert isinstance(column, ValueCoder)
        known = function.table[: len(by.values)]
        # Two columns that determine each other need one lookup only.
        if (known < 0).any() or (known >= len(column.values)).any() or pair[::-1] in done:
            continue
        done.add(pair)
        values = {value: column.values[at] for value, at in zip(by.values, known.tolist(), strict=True)}
        yield Lookup(column=pair[1], by=pair[0], values=values)


def _label(codec: Codec, name: str, value: float) -> Any:
    """Return a number or token of a column as the table has it."""
    coder = codec.coders[name]
    label = coder.values[int(value)] if isinstance(coder, ValueCoder) else _plain(value)
    return label.item() if isinstance(label, np.generic) else label


def _days(codec: Codec, name: str) -> float:
    """Return the unit of a column's differences in days; 1 for numbers."""
    column = codec.schema[name]
    return UNIT_NANOSECONDS[column.resolution or "s"] / UNIT_NANOSECONDS["D"] if isinstance(column, Datetime) else 1.0


def _plain(value: float) -> float:
    """Round away the numerical error of an estimated factor."""
    return float(f"{value:.9g}")
