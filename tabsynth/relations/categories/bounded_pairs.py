"""Excluded pairs of tokens that follow from bounds of numbers under conditions, such as a fee of at most 30.

A number outside its bounds is moved when it is decoded. Where rows are sampled one after the other, later rows would
depend on the number before it was moved; therefore its token is not sampled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Bools, Floats
from tabsynth.relations.categories.excluded_pairs import ExcludedPairs
from tabsynth.relations.categories.group_bounds import GroupBoundsRule
from tabsynth.relations.conditional.rules import ThresholdRule


def bounded_pairs(rules: Sequence[object], codec: Codec, order: Sequence[int]) -> tuple[ExcludedPairs, ...]:
    """Return the pairs of a category, or a missing value, and a token of numbers that are all outside their bounds.

    Args:
        rules: Rules between the columns.
        codec: Their vocabulary.
        order: The slots that are sampled, in their order; pairs are those of positions in it.
    """
    places = {codec.slots[i].column: at for at, i in enumerate(order) if codec.slots[i].digit is None}
    out: dict[tuple[int, int], Bools] = {}
    for rule in rules:
        for column, group, applies, low, high in _bounds(rule, codec):
            if column in places and group in places:
                least, most = codec.numeric_coders[column].token_bounds()
                outside = np.zeros(codec.coders[column].size, bool)
                outside[: len(least)] = (most < low) | (least > high)
                slots = places[group], places[column]
                pairs = out.setdefault(slots, np.zeros((len(applies), len(outside)), bool))
                pairs |= applies[:, None] & outside
    return tuple(ExcludedPairs(*slots, pairs) for slots, pairs in out.items() if pairs.any())


def _bounds(rule: object, codec: Codec) -> Iterator[tuple[str, str, Bools, float, float]]:
    """Yield the number's column, the column of the condition, the tokens that satisfy it, and the bounds."""
    if isinstance(rule, ThresholdRule):
        condition, ends = rule.condition, ((rule.bound, np.inf) if rule.sign > 0 else (-np.inf, rule.bound))
        if condition.column not in codec.numeric_coders or condition.least is None:
            values = _values(condition.column, codec)
            yield rule.column, condition.column, condition.of({condition.column: values}), *ends
    elif isinstance(rule, GroupBoundsRule) and rule.group not in codec.numeric_coders:
        values = _values(rule.group, codec)
        for value, low, high in zip(rule.values, rule.lower, rule.upper, strict=True):
            yield rule.column, rule.group, values == value, low, high


def _values(column: str, codec: Codec) -> Floats:
    """Return the value of each token of a column in rules: the token, and NaN for the missing one."""
    coder = codec.coders[column]
    out = np.arange(coder.size, dtype=np.float64)
    out[coder.missing] = np.nan
    return out
