"""Learn the spelling of an identifier column, and generate new identifiers with it."""

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
from tabsynth.codec.identifier_prefixes import avoid_keys, longer_form, outline, unused_forms
from tabsynth.codec.regex_patterns import parse_regex
from tabsynth.errors import SchemaError

__all__ = ["Pattern", "from_regex", "generate_keys", "keys_for_rows", "learn_pattern"]

BLOCK_KEYS = 256
"""Size of the blocks in which forms are mixed by weight."""
MIN_KEY_SPACE = 2**32
"""The last places of a form, with this many combinations, make keys distinct; the places before are random."""
CHUNK_KEYS = 1 << 17
MIN_LONGER_KEYS = 10**12
"""Minimum number of keys of a lengthened form: real keys of that length may exist, and a collision must be unlikely."""


def learn_pattern(values: pd.Series, *, regex: str | None = None, min_group: int = 5) -> Pattern:
    """Learn the spelling of keys, excluding the spellings of real keys.

    No generated key is a real one: the spellings either have no real key among them, or are so many that the expected
    number of coincidences is below one in a million. No real key is stored.

    Args:
        values: The keys; missing ones are ignored.
        regex: A declared regular expression, used instead of the keys.
        min_group: Minimum number of distinct keys of a spelling.

    Raises:
        SchemaError: The regular expression is malformed or too rich, or real keys fill its spellings.
    """
    present = pd.Series(pd.unique(values.dropna()))
    sizes = _rows_per_key(values, min_group)
    return replace(_learn_forms(present, regex, min_group), sizes=sizes)


def _learn_forms(present: pd.Series, regex: str | None, min_group: int) -> Pattern:
    """Learn the forms of distinct keys."""
    whole = _as_integers(present)
    if regex is not None:
        declared = parse_regex(regex)
        if whole is not None:
            declared = replace(declared, forms=_integer_forms(declared.forms), output="integer")
        keys = [str(value) for value in (present if whole is None else whole)]
        return replace(declared, forms=unused_forms(declared.forms, keys))
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
    """Return the rows per key and their frequencies, averaged over groups so that no size is one person's."""
    rows = np.sort(values.value_counts().to_numpy())
    if not len(rows) or rows[-1] == 1:
        return ()
    starts = np.arange(0, max(len(rows) - min_group, 0) + 1, min_group)
    keys = np.diff(np.append(starts, len(rows)))
    mean = np.maximum(np.rint(np.add.reduceat(rows, starts) / keys), 1).astype(np.int64)
    different, where = np.unique(mean, return_inverse=True)
    return tuple(zip(different.tolist(), np.bincount(where, weights=keys).astype(int).tolist(), strict=True))


def keys_for_rows(pattern: Pattern, rows: npt.NDArray[np.int64], seed: Sequence[int]) -> npt.NDArray[Any]:
    """Return the keys of sampled rows by row number, shape (n,): one each, or shared by as many rows as in training.

    Args:
        pattern: The spelling of keys, and rows per key.
        rows: Numbers of rows, from 0.
        seed: Seed of the keys, the same for all chunks of a sample.
    """
    if not len(rows):
        return np.empty(0, dtype=object)
    number = _key_numbers(pattern.sizes, rows, np.random.default_rng([*seed, 1])) if pattern.sizes else rows
    first = int(number.min())
    generated = generate_keys(pattern, int(number.max()) - first + 1, np.random.default_rng(seed), start=first)
    return np.asarray(generated[number - first])


def _key_numbers(
    sizes: Sequence[tuple[int, int]], rows: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return the key number of each row: consecutive rows share a key, group sizes are sampled in sequence."""
    size, keys = (np.array(part, dtype=np.int64) for part in zip(*sizes, strict=True))
    ends = np.zeros(0, dtype=np.int64)
    while not len(ends) or ends[-1] <= rows.max():
        drawn = rng.choice(size, CHUNK_KEYS >> 7, p=keys / keys.sum())
        ends = np.append(ends, np.cumsum(drawn) + (ends[-1] if len(ends) else 0))
    return np.searchsorted(ends, rows, side="right")


def generate_keys(
    pattern: Pattern, n: int, rng: np.random.Generator, *, start: int = 0, avoid: Collection[Any] = ()
) -> npt.NDArray[Any]:
    """Generate ``n`` distinct keys, shape (n,): int64, or object for text and longer integers.

    Chunks with generators in the same state and a continuing ``start`` (0, then 1000 after 1000 keys) do not overlap.

    Args:
        pattern: Their spelling. A learned pattern that is too narrow for ``start + n`` keys gets longer forms.
        n: Number of keys.
        rng: Random generator.
        start: Number of keys generated before.
        avoid: Keys to exclude; not together with ``start``.

    Raises:
        SchemaError: A declared pattern cannot spell so many.
    """
    seed = int(rng.integers(2**63))
    known = set(avoid)
    if pattern.start is not None:
        room = range(pattern.start + start, pattern.start + start + n + len(known))
        return np.array([key for key in room if key not in known][:n] if known else room, dtype=np.int64)
    forms = pattern.forms if pattern.declared else _widen_forms(pattern, start + n + len(known))
    total = sum(form.capacity for form in forms)
    generated: dict[Any, None] = {}
    at = start
    while len(generated) < n and at < total:
        step = min(n - len(generated), total - at, CHUNK_KEYS)
        keys = _spell_keys(forms, at, step, seed)
        # Declared forms may overlap (``a|[ab]``), so duplicates are removed; learned ones cannot.
        plain = [int(key) for key in keys] if pattern.output == "integer" else keys.tolist()
        generated.update((key, None) for key in plain if key not in known)
        at += step
    if len(generated) < n:
        raise SchemaError(
            f"the declared pattern has only {len(generated)} identifiers left, but {n} rows need one each; "
            "widen the regular expression or sample fewer rows"
        )
    whole = pattern.output == "integer" and all(key < 2**63 for key in generated)
    return np.array(list(generated), dtype=np.int64 if whole else object)


def from_regex(regex: str, n: int, rng: np.random.Generator) -> npt.NDArray[np.object_]:
    """``n`` different texts that a regular expression matches in full.

    Raises:
        SchemaError: The expression is malformed, uses what is not supported, or cannot spell so many.
    """
    return generate_keys(parse_regex(regex), n, rng)


def _integer_forms(forms: Sequence[Form]) -> tuple[Form, ...]:
    """Return the forms without leading zeros, which integers cannot have."""
    out = []
    for form in forms:
        (chars, times), *rest = form.parts or (("", 0),)
        first = chars.replace("0", "") if len(form.places) > 1 else chars
        if first and first != chars:
            rest = [(chars, times - 1), *rest] if times > 1 else rest
            form = Form(form.weight, ((first, 1), *rest))
        out.append(form)
    return tuple(out)


def _as_integers(values: pd.Series) -> list[int] | None:
    """Return the keys as integers, None if they are not integers."""
    plain = values.to_numpy(dtype=object)
    if pd.api.types.infer_dtype(plain) not in ("integer", "floating", "mixed-integer-float", "decimal"):
        return None
    if any(value % 1 for value in plain):
        return None
    return [int(value) for value in plain]


def _widen_forms(pattern: Pattern, wanted: int) -> tuple[Form, ...]:
    """Add longer forms until there is room for ``wanted`` keys."""
    forms = list(pattern.forms)
    lengthened = max(forms, key=lambda form: form.weight)
    while sum(form.capacity for form in forms) < wanted:
        lengthened = longer_form(lengthened, digits if pattern.output == "integer" else None)
        while lengthened.capacity < MIN_LONGER_KEYS:
            lengthened = longer_form(lengthened, digits if pattern.output == "integer" else None)
        # Forms of different outlines do not overlap; without weight, the new form is used after all others.
        if outline(lengthened) not in {outline(form) for form in forms}:
            forms.append(replace(lengthened, weight=0.0))
    return tuple(forms)


def _spell_keys(forms: Sequence[Form], at: int, n: int, seed: int) -> npt.NDArray[np.object_]:
    """Return the keys number ``at`` to ``at + n`` of the order that ``seed`` decides."""
    out = np.empty(n, dtype=object)
    for which, rows, numbers in _assign_forms(forms, at, n, seed):
        form_rng = np.random.default_rng([seed, which])
        places = forms[which].places
        sizes = [len(chars) for chars in places]
        split = len(places)
        while split > 0 and math.prod(sizes[split:]) < MIN_KEY_SPACE:
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


def _assign_forms(
    forms: Sequence[Form], at: int, n: int, seed: int
) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Assign rows to forms, with the number of each row within its form; exhausted forms drop out."""
    used = [0] * len(forms)
    begin = 0
    while begin < at + n:
        left = [form.capacity - spent for form, spent in zip(forms, used, strict=True)]
        quota = _block_quota(forms, left)
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


def _block_quota(forms: Sequence[Form], left: Sequence[int]) -> list[int]:
    """Return the keys of a block for each form; forms without weight come last, one after the other."""
    total = sum(form.weight for form, free in zip(forms, left, strict=True) if free)
    if not total:
        first = next(i for i, free in enumerate(left) if free)
        return [min(left[first], BLOCK_KEYS) if i == first else 0 for i in range(len(forms))]
    return [
        min(free, max(1, round(BLOCK_KEYS * form.weight / total))) if form.weight else 0
        for form, free in zip(forms, left, strict=True)
    ]
