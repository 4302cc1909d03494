"""Where the numbers of a row lie inside their tokens: drawn one by one, then by their ties, then by their laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tabsynth.codec.numeric_encoder import QuantileCoder, Range
from tabsynth.common.arrays import Floats, Tokens
from tabsynth.relations.arithmetic import Law, settle
from tabsynth.relations.recurring_differences import Tie


def place(
    coders: Mapping[str, QuantileCoder],
    tokens: Mapping[str, Tokens],
    ties: Mapping[str, Tie],
    laws: Sequence[Law],
    ranges: Mapping[str, Range],
    numbers: Mapping[str, Floats],
    given: Mapping[str, Floats],
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Numbers of every column on a line, shape (n,) each, NaN where missing.

    Args:
        coders: The columns' coders.
        tokens: Their tokens, shape (n,) each.
        ties: Columns placed by their difference to another.
        laws: Columns that follow from others.
        ranges: Columns whose numbers must lie in a range.
        numbers: Numbers decided elsewhere, NaN where the token decides.
        given: Those of them that no law may change.
        rng: Draws positions inside tokens.
    """
    out: dict[str, Floats] = {}
    for name, coder in coders.items():
        data = ranges[name].place(coder, tokens[name], rng) if name in ranges else coder.decode(tokens[name], rng)
        known = numbers.get(name)
        out[name] = data if known is None else np.where(np.isnan(known), data, coder.rounded(known))
    for name, tie in ties.items():
        if name not in ranges:
            known = numbers.get(tie.partner)
            free = np.full(len(out[name]), tie.partner not in ranges) if known is None else np.isnan(known)
            pair, fixed = (tie.partner, name), out[name]
            out[tie.partner], out[name] = tie.place(
                (coders[pair[0]], coders[name]), (tokens[pair[0]], tokens[name]), (out[pair[0]], fixed), free, rng
            )
            if name in numbers:
                out[name] = np.where(np.isnan(numbers[name]), out[name], fixed)
    if not laws:
        return out
    pinned = {
        name: np.full(len(data), name in ranges) | (~np.isnan(given[name]) if name in given else False)
        for name, data in out.items()
    }
    return settle(laws, coders, out, pinned)
