"""Keys made afresh: learn how a column of identifiers is spelled, then make new ones that are spelled so."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from string import digits
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.identifier_patterns import Form, Pattern, integer_forms, text_forms
from tabsynth.codec.identifier_prefixes import avoid_keys, longer_form, outline
from tabsynth.codec.regex_patterns import pattern_of_regex
from tabsynth.errors import SchemaError

__all__ = ["Pattern", "fresh", "from_regex", "keys_of_rows", "learn_pattern"]

BLOCK = 256
"""Forms share the keys in blocks of about this many, each by its weight."""
SPACE = 2**32
"""The last places of a form that can tell so many keys apart make them different; the places before are random."""
CHUNK = 1 << 17


def learn_pattern(values: pd.Series, *, regex: str | None = None, min_group: int = 5) -> Pattern:
    """Learn how keys are spelled, without the spellings of real keys.

    Args:
        values: The keys; missing ones are passed over.
        regex: A declared regular expression, which decides alone where it is given.
        min_group: How many different keys must share a spelling for it to be kept.

    Raises:
        SchemaError: The regular expression is malformed or too rich.
    """
    present = pd.Series(pd.unique(values.dropna()))
    sizes = _rows_per_key(values, min_group)
    return replace(_spelling(present, regex, min_group), sizes=sizes)


def _spelling(present: pd.Series, regex: str | None, min_group: int) -> Pattern:
    """How different keys are spelled."""
    whole = _whole(present)
    if regex is not None:
        declared = pattern_of_regex(regex)
        return declared if whole is None else replace(declared, forms=_whole_forms(declared.forms), output="integer")
    if whole is not None:
        low = min(whole)
        if len(whole) >= min_group and low in (0, 1) and max(whole) == low + len(whole) - 1:
            return Pattern((), "integer", start=low + len(whole))
        spelled = [str(number) for number in whole]
        return Pattern(avoid_keys(list(integer_forms(whole, min_group)), spelled, longer=digits), "integer")
    text = [str(value) for value in present if str(value)]
    if not text:
        return Pattern((), "integer", start=1)
    return Pattern(avoid_keys(list(text_forms(text, min_group)), text))


def _rows_per_key(values: pd.Series, min_group: int) -> tuple[tuple[int, int], ...]:
    """How many rows share a key and how many keys do so, keys averaged in groups so that no size is one person's."""
    rows = np.sort(values.value_counts().to_numpy())
    if not len(rows) or rows[-1] == 1:
        return ()
    starts = np.arange(0, max(len(rows) - min_group, 0) + 1, min_group)
    keys = np.diff(np.append(starts, len(rows)))
    mean = np.maximum(np.rint(np.add.reduceat(rows, starts) / keys), 1).astype(np.int64)
    different, where = np.unique(mean, return_inverse=True)
    return tuple(zip(different.tolist(), np.bincount(where, weights=keys).astype(int).tolist(), strict=True))


def keys_of_rows(pattern: Pattern, rows: npt.NDArray[np.int64], seed: Sequence[int]) -> npt.NDArray[Any]:
    """The keys of rows of a sample by their numbers, shape (n,): one each, or shared by as many rows as in training.

    Args:
        pattern: How keys are spelled, and how many rows share one.
        rows: Numbers of rows, from 0.
        seed: Decides the keys; the same for all chunks of a sample.
    """
    if not len(rows):
        return np.empty(0, dtype=object)
    number = _key_numbers(pattern.sizes, rows, np.random.default_rng([*seed, 1])) if pattern.sizes else rows
    first = int(number.min())
    made = fresh(pattern, int(number.max()) - first + 1, np.random.default_rng(seed), start=first)
    return np.asarray(made[number - first])


def _key_numbers(
    sizes: Sequence[tuple[int, int]], rows: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """The number of the key of each row: consecutive rows share a key, sizes are drawn one after the other."""
    size, keys = (np.array(part, dtype=np.int64) for part in zip(*sizes, strict=True))
    ends = np.zeros(0, dtype=np.int64)
    while not len(ends) or ends[-1] <= rows.max():
        drawn = rng.choice(size, CHUNK >> 7, p=keys / keys.sum())
        ends = np.append(ends, np.cumsum(drawn) + (ends[-1] if len(ends) else 0))
    return np.searchsorted(ends, rows, side="right")


def fresh(
    pattern: Pattern, n: int, rng: np.random.Generator, *, start: int = 0, avoid: Collection[Any] = ()
) -> npt.NDArray[Any]:
    """Make ``n`` keys, all different, shape (n,): int64, or object for text and longer integers.

    Calls with generators in the same state and ``start`` counting on (0, then 1000 after 1000 keys) do not repeat each
    other, so keys can be made in chunks.

    Args:
        pattern: How they are spelled. A learned pattern that is too narrow for ``start + n`` keys gets longer forms.
        n: How many.
        rng: Decides which.
        start: How many were made before.
        avoid: Keys not to make. They cost places, so it does not go together with ``start``.

    Raises:
        SchemaError: A declared pattern cannot spell so many.
    """
    seed = int(rng.integers(2**63))
    known = set(avoid)
    if pattern.start is not None:
        room = range(pattern.start + start, pattern.start + start + n + len(known))
        return np.array([key for key in room if key not in known][:n] if known else room, dtype=np.int64)
    forms = pattern.forms if pattern.declared else _widened(pattern, start + n + len(known))
    total = sum(form.capacity for form in forms)
    made: dict[Any, None] = {}
    at = start
    while len(made) < n and at < total:
        step = min(n - len(made), total - at, CHUNK)
        keys = _spell(forms, at, step, seed)
        # Declared forms may overlap (``a|[ab]``), so sameness is looked for; learned ones cannot.
        plain = [int(key) for key in keys] if pattern.output == "integer" else keys.tolist()
        made.update((key, None) for key in plain if key not in known)
        at += step
    if len(made) < n:
        raise SchemaError(
            f"the declared pattern has only {len(made)} identifiers left, but {n} rows want one each; "
            "widen the regular expression or sample fewer rows"
        )
    whole = pattern.output == "integer" and all(key < 2**63 for key in made)
    return np.array(list(made), dtype=np.int64 if whole else object)


def from_regex(regex: str, n: int, rng: np.random.Generator) -> npt.NDArray[np.object_]:
    """``n`` different texts that a regular expression matches in full.

    Raises:
        SchemaError: The expression is malformed, uses what is not supported, or cannot spell so many.
    """
    return fresh(pattern_of_regex(regex), n, rng)


def _whole_forms(forms: Sequence[Form]) -> tuple[Form, ...]:
    """Forms of integers without leading zeros, which integers do not keep."""
    out = []
    for form in forms:
        (chars, times), *rest = form.parts or (("", 0),)
        first = chars.replace("0", "") if len(form.places) > 1 else chars
        if first and first != chars:
            rest = [(chars, times - 1), *rest] if times > 1 else rest
            form = Form(form.weight, ((first, 1), *rest))
        out.append(form)
    return tuple(out)


def _whole(values: pd.Series) -> list[int] | None:
    """The keys as integers when that is what they are."""
    plain = values.to_numpy(dtype=object)
    if pd.api.types.infer_dtype(plain) not in ("integer", "floating", "mixed-integer-float", "decimal"):
        return None
    if any(value % 1 for value in plain):
        return None
    return [int(value) for value in plain]


def _widened(pattern: Pattern, wanted: int) -> tuple[Form, ...]:
    """The forms, with longer ones added until there is room for ``wanted`` keys."""
    forms = list(pattern.forms)
    lengthened = max(forms, key=lambda form: form.weight)
    while sum(form.capacity for form in forms) < wanted:
        lengthened = longer_form(lengthened, digits if pattern.output == "integer" else None)
        # A form of a new outline spells nothing that another form does; of no weight, it waits until those are used up.
        if outline(lengthened) not in {outline(form) for form in forms}:
            forms.append(replace(lengthened, weight=0.0))
    return tuple(forms)


def _spell(forms: Sequence[Form], at: int, n: int, seed: int) -> npt.NDArray[np.object_]:
    """Keys number ``at`` to ``at + n`` of the order that ``seed`` decides."""
    out = np.empty(n, dtype=object)
    for which, rows, numbers in _share(forms, at, n, seed):
        form_rng = np.random.default_rng([seed, which])
        places = forms[which].places
        sizes = [len(chars) for chars in places]
        split = len(places)
        while split > 0 and math.prod(sizes[split:]) < SPACE:
            split -= 1
        span = math.prod(sizes[split:])
        step = int(form_rng.integers(1, min(span, 2**31), endpoint=True))
        while math.gcd(step, span) != 1:
            step += 1
        shift = int(form_rng.integers(span))
        # Number k becomes step k + shift modulo span: one to one, because step and span share no factor.
        code = (numbers.astype(np.uint64) * np.uint64(step) + np.uint64(shift)) % np.uint64(span)
        fill = np.random.default_rng([seed, which, at])
        grid = np.empty((len(rows), len(places)), dtype="<U1")
        for place in range(len(places) - 1, -1, -1):
            letters = np.array(list(places[place]), dtype="<U1")
            if place >= split:
                grid[:, place] = letters[(code % np.uint64(sizes[place])).astype(np.int64)]
                code //= np.uint64(sizes[place])
            else:
                grid[:, place] = letters[fill.integers(sizes[place], size=len(rows))]
        out[rows] = grid.view(f"<U{len(places)}").ravel() if places else ""
    return out


def _share(
    forms: Sequence[Form], at: int, n: int, seed: int
) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Which form spells which rows of a stretch, and its own numbers for them; a form that is used up drops out."""
    used = [0] * len(forms)
    begin = 0
    while begin < at + n:
        left = [form.capacity - spent for form, spent in zip(forms, used, strict=True)]
        quota = _quota(forms, left)
        size = sum(quota)
        blocks = min(free // take for free, take in zip(left, quota, strict=True) if take)
        blocks = min(blocks, math.ceil((at + n - begin) / size))
        owner = np.random.default_rng([seed, begin]).permutation(np.repeat(np.arange(len(forms)), quota))
        here = np.arange(max(at, begin), min(at + n, begin + blocks * size))
        block, slot = np.divmod(here - begin, size)
        for which, take in enumerate(quota):
            mine = owner[slot] == which
            if take and mine.any():
                rank = np.cumsum(owner == which) - 1
                yield which, here[mine] - at, used[which] + block[mine] * take + rank[slot[mine]]
        used = [spent + blocks * take for spent, take in zip(used, quota, strict=True)]
        begin += blocks * size


def _quota(forms: Sequence[Form], left: Sequence[int]) -> list[int]:
    """How many keys of a block each form gets; forms of no weight get theirs one after the other, at the end."""
    total = sum(form.weight for form, free in zip(forms, left, strict=True) if free)
    if not total:
        first = next(i for i, free in enumerate(left) if free)
        return [min(left[first], BLOCK) if i == first else 0 for i in range(len(forms))]
    return [
        min(free, max(1, round(BLOCK * form.weight / total))) if form.weight else 0
        for form, free in zip(forms, left, strict=True)
    ]
