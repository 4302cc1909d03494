"""The codec of a table larger than memory.

Categories are counted on all rows. The bins of numbers come from the sample, their masses and the
range of the numbers from all rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.categorical_encoder import ValueCoder
from tabsynth.codec.codec import Codec, default_tokens
from tabsynth.codec.column_values import categorical_values
from tabsynth.codec.json_values import plain_value
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.codec.rare_value_pooling import substitute, warn_of_pooling
from tabsynth.common.arrays import Floats
from tabsynth.data.table import Table
from tabsynth.distributed.out_of_core.source import Source
from tabsynth.errors import DataError
from tabsynth.schema.columns import Boolean, Categorical, Column, Identifier, Text
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.warm_start.codec import join_tails, measure_tail

END_NAMES = ("below", "above")
"""Numbers below the first bin of a sample, and above the last."""

MIN_MASS = 1e-6
"""Mass of a bin without rows, by which quantiles are divided."""

MAX_CATEGORIES = 1_000_000
"""Maximum distinct values of a column that are counted in memory."""


def measure_codec(source: Source, table: Table, min_group: int) -> Codec:
    """Return the codec of all rows.

    Args:
        source: The rows.
        table: Their sample, with the columns that constraints derive.
        min_group: Every released value is shared by at least this many rows.

    Raises:
        DataError: A column of categories has too many different values to count.
    """
    # What is rare in the sample need not be rare in all rows.
    codec = Codec.measure(table, min_group=min_group, tokens=default_tokens(source.rows), warn=False)
    coders = dict(codec.coders)
    for name, (counts, missing) in _count_categories(source, codec).items():
        coders[name] = _measure_counts(counts, missing, codec.schema[name], table.frame[name], min_group)
    warn_of_pooling(coders, codec.schema, min_group)
    return replace(codec, coders=coders, rows=source.rows)


def with_counts(
    codec: Codec, counts: dict[str, npt.NDArray[np.int64]], tails: Mapping[str, Mapping[str, Floats]]
) -> Codec:
    """Return the codec with the rows of each token, and with the ends of numbers that all rows have.

    Args:
        codec: The codec; inside a token the masses keep the proportions of its sample.
        counts: Rows of each column's tokens.
        tails: The numbers of all rows below and above the bins of each column of numbers.
    """
    coders = dict(codec.coders)
    for name, coder in coders.items():
        own = counts[name]
        if isinstance(coder, QuantileCoder):
            ends = [measure_tail(coder, tails[name][end], codec.schema[name], 1, codec.min_group) for end in END_NAMES]
            inner = own[: coder.rare].astype(np.float64)
            for at, end in ((0, ends[0]), (-1, ends[1])):
                inner[at] -= 0 if end is None else end.mass.sum()
            sampled = np.bincount(coder.token, coder.mass, coder.n_ordered_tokens)
            # All rows of an outermost token may lie beyond its bins: those had the sample's ends, which were clipped.
            factor = np.maximum(inner, MIN_MASS) / sampled
            allowed = own > 0
            allowed[coder.missing] = own[coder.missing] >= codec.min_group
            joined = join_tails(replace(coder, mass=coder.mass * factor[coder.token]), ends[0], ends[1])
            before = 0 if ends[0] is None else ends[0].n_ordered_tokens
            token = np.clip(joined.token - before, 0, coder.n_ordered_tokens - 1)  # no token is added
            coders[name] = replace(joined, token=token, counts=own, allowed_tokens=allowed)
        elif not coder.values and not isinstance(codec.schema[name], (Categorical, Boolean)):
            coders[name] = replace(coder, counts=own)
    return replace(codec, coders=coders)


def known_missing(schema: Schema, codec: Codec) -> Schema:
    """Return an inferred schema in which the columns without a missing cell in any row are not nullable."""
    columns = {
        name: replace(column, nullable=bool(codec.coders[name].counts[codec.coders[name].missing]))
        for name, column in schema.items()
    }
    return replace(schema, columns=columns)


def _count_categories(source: Source, codec: Codec) -> dict[str, tuple[dict[Any, int], int]]:
    """Return rows of each value of the columns of categories, in the order of their first rows, and missing rows."""
    names = [
        name
        for name, column in source.schema.items()
        if isinstance(codec.coders[name], ValueCoder) and isinstance(column, (Categorical, Boolean, Identifier, Text))
    ]
    found: dict[str, tuple[dict[Any, int], int]] = {name: ({}, 0) for name in names}
    for table in source.tables(names) if names else ():
        for name in names:
            values = categorical_values(source.schema[name], table.frame[name])
            codes, uniques = pd.factorize(values, use_na_sentinel=True)
            rows = np.bincount(codes + 1, minlength=len(uniques) + 1)
            counts, missing = found[name]
            for value, count in zip(uniques, rows[1:].tolist(), strict=True):
                key = plain_value(value)
                counts[key] = counts.get(key, 0) + count
            found[name] = counts, missing + int(rows[0])
            if len(counts) > MAX_CATEGORIES:
                raise DataError(
                    f"column {name!r} has over {MAX_CATEGORIES:,} different values: declare it identifier, text or "
                    "numeric, or fit a random sample of the rows, with max_rows (--max-rows)"
                )
    return found


def _measure_counts(
    counts: dict[Any, int], missing: int, column: Column, sample: pd.Series, min_group: int
) -> ValueCoder:
    """Return the encoder of a column whose values were counted, as ``measure_column`` finds it on all rows."""
    by_frequency = sorted(counts, key=lambda value: -counts[value])
    # Every threshold of an encoder is min_group rows, so as many of each value decide what it releases.
    few = [value for value in by_frequency for _ in range(min(counts[value], max(min_group, 1)))]
    values = pd.Series([*few, *[None] * min(missing, max(min_group, 1))], dtype=object)
    declared = column.values if isinstance(column, Categorical) and column.origin == "declared" else None
    ordered = isinstance(column, Categorical) and column.ordered
    if isinstance(column, Boolean):
        declared = (True, False)
    elif declared is None and ordered and isinstance(sample.dtype, pd.CategoricalDtype):
        order = [plain_value(value) for value in sample.dtype.categories]
        kind = pd.CategoricalDtype([*order, *(value for value in by_frequency if value not in order)], ordered=True)
        values = values.astype(kind)
    coder = ValueCoder.measure(values, declared=declared, ordered=ordered, min_group=min_group)
    tokens = coder.encode(pd.Series(by_frequency, dtype=object))
    own = np.bincount(tokens, [counts[value] for value in by_frequency], coder.size).astype(np.int64)
    own[coder.missing] = missing
    exact = replace(coder, counts=own)
    distinct: pd.Series = pd.Series([*by_frequency, *[None] * bool(missing)], dtype=object)
    if pd.api.types.is_integer_dtype(sample.dtype) and not missing:
        distinct = distinct.astype(sample.dtype)
    return substitute(exact, distinct, column)
