"""Replacements for rare values, and advice for columns in which many were pooled."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.categorical_encoder import Coder, ValueCoder
from tabsynth.codec.identifiers import generate_keys, learn_pattern
from tabsynth.codec.json_values import plain_value
from tabsynth.data.table import Table
from tabsynth.errors import DataError, warn_caller
from tabsynth.schema.columns import Boolean, Categorical, Column, Identifier, Text, Value
from tabsynth.schema.schema import Schema

MAX_POOLED_SHARE = 0.05
"""Pooled values up to this share of a column are left out; above it, they are replaced."""
MAX_SUBSTITUTES = 4096
MIN_UNUSED, MAX_CODE_SPAN = 3, 10**6
"""Rare codes are replaced by unused ones: minimum unused codes for each, and maximum span of the codes."""
OTHER = "Other"
ADVICE = "declare its values in the schema if they are public, declare it identifier or text, or lower min_group"


@dataclass(frozen=True)
class _Scope:
    """The table that is learned, and its columns that a warning named; no table switches warnings off."""

    table: str | None
    named: set[str] = field(default_factory=set)


_scope: ContextVar[_Scope | None] = ContextVar("_scope", default=None)


def substitute(coder: ValueCoder, values: pd.Series, column: Column) -> ValueCoder:
    """Return an encoder whose RARE token decodes to the column's replacement, or to generated values.

    Otherwise ordinary or missing values would take the share of the pooled values.
    """
    pooled = int(coder.counts[coder.rare])
    present = int(coder.counts.sum() - coder.counts[coder.missing])
    if not pooled or coder.public or isinstance(column, (Identifier, Text, Boolean)):
        return coder
    declared = column.replacement if isinstance(column, Categorical) else None
    if declared is not None:
        public: tuple[Value, ...] = (declared,)
    elif pooled > MAX_POOLED_SHARE * present or not coder.values:
        public = _substitutes(coder, values)
    else:
        return coder
    if not public and (coder.values or values.isna().any()):
        return coder
    if not public:
        raise DataError(
            f"column {column.name!r}: no value is shared by enough persons to be released (min_group); "
            f"{ADVICE}, or declare it numeric"
        )
    allowed = coder.allowed_tokens.copy()
    allowed[coder.rare] = True
    return replace(coder, public=public, allowed_tokens=allowed)


def _substitutes(coder: ValueCoder, values: pd.Series) -> tuple[Value, ...]:
    """Return as many generated values as were pooled, spelled like the column's codes; a single "Other" for words."""
    every = [plain_value(value) for value in pd.unique(values.dropna())]
    many = min(len(every) - len(coder.values), MAX_SUBSTITUTES)
    if all(isinstance(value, str) for value in every):
        if np.mean([any(char.isdigit() for char in str(value)) for value in every]) <= 0.95:
            return (next(name for name in _other_names() if name not in every),)
        if within := _unused_digits(list(map(str, every)), [str(value) for value in coder.values], many):
            return within
    elif not all(isinstance(value, (int, float)) and value == value // 1 for value in every):
        return ()
    else:
        every = [int(value) for value in every]  # a code of a column with gaps, 420.0, is spelled 420
        if within := _unused_codes(every, [int(value) for value in coder.values if value is not None], many):
            return within
    pattern = learn_pattern(pd.Series(every, dtype=object))
    generated = generate_keys(pattern, many, _generator(every), avoid=set(every)).tolist()
    kind = getattr(values.dtype, "numpy_dtype", values.dtype)
    if not isinstance(kind, np.dtype) or kind.kind not in "iu":
        return tuple(generated)
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    narrow = sorted(set(range(int(min(every)), high + 1)) - set(every)) if kind.itemsize < 4 else []
    return tuple([value for value in generated if low <= value <= high] or narrow[:many])


def _unused_digits(every: list[str], known: list[str], many: int) -> tuple[Value, ...]:
    """Return unused codes of as many digits as all codes have, none if these differ or too few are unused."""
    length = len(every[0])
    if not all(len(value) == length and value.isdecimal() and value.isascii() for value in every):
        return ()
    codes = [int(value) for value in every]
    within = _unused_codes(codes, [int(value) for value in known], many)
    within = within or _unused_codes(codes, [0, 10**length - 1], many)
    return tuple(f"{value:0{length}d}" for value in within)


def _unused_codes(every: list[int], known: list[int], many: int) -> tuple[Value, ...]:
    """Return unused whole numbers between the frequent codes, none if too few are unused."""
    low, high = (min(known), max(known)) if known else (0, 0)
    if not MIN_UNUSED * many <= high - low + 1 - len(every) or high - low > MAX_CODE_SPAN:
        return ()
    unused = np.setdiff1d(np.arange(low, high + 1), every)
    return tuple(sorted(_generator(every).choice(unused, many, replace=False).tolist()))


def _generator(every: list[Any]) -> np.random.Generator:
    """Return a generator seeded by the values themselves.

    A fixed seed would reveal which codes were skipped because they are real.
    """
    digest = hashlib.sha256("\0".join(sorted(map(str, every))).encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng(list(digest))


def _other_names() -> Iterable[str]:
    yield OTHER
    yield from (f"{OTHER} {number}" for number in range(2, 1 << 30))


def person_codes(table: Table, min_group: int) -> npt.NDArray[np.int64] | None:
    """Return the person of each row, shape (n,); None if each row is its own person.

    Raises:
        DataError: The table has so few persons that no value may be released.
    """
    unit = table.schema.with_role("person")
    persons = pd.factorize(table.frame[unit[0]], use_na_sentinel=False)[0].astype(np.int64) if unit else None
    n_persons = len(table) if persons is None else int(persons.max()) + 1
    if n_persons < min_group:
        raise DataError(
            f"the table has {n_persons} {'persons' if unit else 'rows'}, so every value is shared by fewer than "
            f"min_group={min_group} and none may be released; use a larger table, or lower min_group"
        )
    return persons


@contextmanager
def pooling_warnings(table: str | None) -> Iterator[None]:
    """Name a table of linked tables in warnings of pooled values, each column once; None switches them off."""
    token = _scope.set(_Scope(table))
    try:
        yield
    finally:
        _scope.reset(token)


def warn_of_pooling(coders: Mapping[str, Coder], schema: Schema, min_group: int) -> None:
    """Warn of columns of which much is replaced."""
    scope = _scope.get()
    for name, advice in pooling_advice(coders, schema, min_group).items():
        if scope is None:
            warn_caller(f"column {name!r}: {advice}")
        elif scope.table is not None and name not in scope.named:
            scope.named.add(name)
            warn_caller(f"table {scope.table!r}, column {name!r}: {advice}")


def pooling_advice(coders: Mapping[str, Coder], schema: Schema, min_group: int) -> dict[str, str]:
    """Return the share of pooled values, their replacement and the remedy, for each column with many of them."""
    out = {}
    for name, coder in coders.items():
        share = _pooled_share(coder, schema[name])
        if share <= MAX_POOLED_SHARE:
            continue
        if not isinstance(coder, ValueCoder) or not coder.public:
            outcome = "they are left out"
        elif len(coder.public) == 1:
            outcome = f"synthetic rows have {coder.public[0]!r} in their place"
        else:
            outcome = "synthetic rows have made-up values of the same form in their place"
        floor = getattr(coder, "raised_floor", 0) or min_group
        raised = f" (min_group={min_group}, raised because many values are rare)" if floor > min_group else ""
        few = f"fewer than {floor} {'persons' if schema.with_role('person') else 'rows'}{raised}"
        out[name] = f"{share:.1%} of its values are shared by {few}, so {outcome}; {ADVICE}"
    return out


def _pooled_share(coder: Coder, column: Column) -> float:
    """Return the share of a column's present values that were pooled and are not public."""
    public = isinstance(column, Categorical) and column.origin == "declared" and column.values is not None
    if public or isinstance(column, (Identifier, Text, Boolean)):
        return 0.0
    present = int(coder.counts.sum() - coder.counts[coder.missing])
    return int(coder.counts[coder.rare]) / present if present else 0.0
