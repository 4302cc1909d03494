"""Restrict identifier forms to prefixes that no real key has, so that a generated key is never a real one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby, product
from string import digits

import numpy as np

from tabsynth.codec.identifier_patterns import Form
from tabsynth.errors import SchemaError

OPEN_OCTET = (digits[1:3], digits[:5], digits)
"""Three digits that are a number of an IPv4 address: 100 to 149 and 200 to 249."""

MAX_COLLISIONS = 1e-6
"""Forms with fewer expected collisions with real keys are not restricted."""
MIN_ROOM_FACTOR = 10
"""Minimum number of keys of restricted forms, relative to the real keys; otherwise keys are lengthened."""
MIN_FREE_KEYS = 1000
MAX_PREFIXES = 512
MAX_DECLARED_PREFIXES = 4096
"""Maximum prefixes of a declared form, which cannot be lengthened if real keys use much of it."""
MAX_CANDIDATE_PREFIXES = 1 << 20
"""Prefixes enumerated at a time."""


def avoid_keys(forms: Sequence[Form], keys: Sequence[str], *, longer: str | None = None) -> tuple[Form, ...]:
    """Return the forms without the spellings of real keys.

    A restricted form begins with characters that no real key begins with: random prefixes of one length, so that a
    pattern reveals nothing about any one key. If too few are unused, keys get longer.

    Args:
        forms: Forms of different outlines.
        keys: The real keys.
        longer: Characters of an additional place; by default those of the last open place.
    """
    by_outline: dict[str, Form] = {}
    for form in sorted(forms, key=lambda form: len(form.places)):
        _add(by_outline, form)
    real: dict[int, list[str]] = {}
    for key in keys:
        real.setdefault(len(key), []).append(key)
    rng = _key_generator(keys)
    out: list[Form] = []
    while by_outline:
        form = by_outline.pop(min(by_outline, key=len))
        alike = [key for key in real.get(len(form.places), []) if _spells(form, key)]
        wanted = max(MIN_ROOM_FACTOR * len(alike), MIN_FREE_KEYS)
        if len(alike) * wanted < MAX_COLLISIONS * form.capacity:
            out.append(form)
            continue
        free = _unused_forms(form, alike, wanted, rng)
        if free:
            out += free
        else:
            _add(by_outline, longer_form(form, longer))
    return tuple(out)


def unused_forms(forms: Sequence[Form], keys: Sequence[str]) -> tuple[Form, ...]:
    """Restrict declared forms, which are not lengthened, to spellings that no real key has.

    Raises:
        SchemaError: Too few spellings are unused.
    """
    if not keys:
        return tuple(forms)
    real: dict[int, list[str]] = {}
    for key in dict.fromkeys(keys):
        real.setdefault(len(key), []).append(key)
    rng = _key_generator(keys)
    out: list[Form] = []
    for form in forms:
        alike = [key for key in real.get(len(form.places), []) if _spells(form, key)]
        if len(alike) * max(MIN_ROOM_FACTOR * len(keys), MIN_FREE_KEYS) < MAX_COLLISIONS * form.capacity:
            out.append(form)
            continue
        for wanted, most in ((MIN_ROOM_FACTOR * len(alike), MAX_PREFIXES), (len(alike), MAX_DECLARED_PREFIXES)):
            free = _unused_forms(form, alike, wanted, rng, most) if alike else [form]
            if free:
                out += free
                break
    if sum(form.capacity for form in out) < len(keys):
        raise SchemaError(
            "the declared pattern of an identifier has too few spellings that are not taken by training rows, so "
            "synthetic keys would be real ones; widen the regular expression, or leave it out and let it be learned"
        )
    return tuple(out)


def longer_form(form: Form, chars: str | None = None) -> Form:
    """Return a form with one more place after its last open one, or an IPv4 address with one more open number."""
    address = _longer_address(form)
    if address is not None:
        return address
    parts = list(form.parts)
    open_places = [i for i, (chars_of_place, _) in enumerate(parts) if len(chars_of_place) > 1]
    if not open_places:
        return Form(form.weight, (*parts, (digits, 1)))
    parts.insert(open_places[-1] + 1, (chars or parts[open_places[-1]][0], 1))
    return Form(form.weight, tuple(parts))


def _longer_address(form: Form) -> Form | None:
    """Return an IPv4 address whose last number of less than three open digits has three; None if there is none."""
    text = "".join("0" if chars[0] in digits else chars[0] for chars in form.places)
    address = re.match(r"(0{1,3})\.(0{1,3})\.(0{1,3})\.(0{1,3})(?![0.])", text)
    for number in (4, 3, 2, 1) if address else ():
        begin, end = address.span(number) if address else (0, 0)
        own = form.places[begin:end]
        if any(len(chars) == 1 for chars in own) or len(own) < 3:
            places = [*form.places[:begin], *OPEN_OCTET, *form.places[end:]]
            return Form(form.weight, tuple((chars, len(list(same))) for chars, same in groupby(places)))
    return None


def outline(form: Form) -> str:
    """Return a form's letters and digits as one class: forms of different outlines spell no key in common."""
    return "".join("w" if chars[0].isalnum() else chars[0] for chars in form.places)


def _add(by_outline: dict[str, Form], form: Form) -> None:
    """Add a form under its outline; of two equal outlines, the larger form gets both weights."""
    known = by_outline.get(outline(form))
    if known is not None:
        form = replace(max(known, form, key=lambda one: one.capacity), weight=known.weight + form.weight)
    by_outline[outline(form)] = form


def _key_generator(keys: Sequence[str]) -> np.random.Generator:
    """A generator seeded by the keys themselves: a fixed seed would reveal which prefixes are taken."""
    return np.random.default_rng(list(hashlib.sha256("\0".join(keys).encode("utf-8", "surrogatepass")).digest()))


def _spells(form: Form, key: str) -> bool:
    return all(char in chars for char, chars in zip(key, form.places, strict=True))


def _unused_forms(
    form: Form, keys: list[str], wanted: int, rng: np.random.Generator, most: int = MAX_PREFIXES
) -> list[Form]:
    """Parts of a form without real keys, with room for ``wanted`` keys; empty if there is too little."""
    places = form.places
    size, room = 1, form.capacity
    for length, chars in enumerate(places, 1):
        size, room = size * len(chars), room // len(chars)
        if len(chars) == 1:
            continue
        if size > MAX_CANDIDATE_PREFIXES or room * most < wanted:
            return []
        taken = {key[:length] for key in keys}
        unused = [prefix for prefix in map("".join, product(*places[:length])) if prefix not in taken]
        if len(unused) * room < wanted:
            continue
        many = min(max(-(-wanted // room), len(unused) // 2), most)
        chosen = sorted(unused[i] for i in rng.permutation(len(unused))[:many])
        return list(_group_prefixes(form, chosen, length))
    return []


def _group_prefixes(form: Form, prefixes: list[str], length: int) -> Iterable[Form]:
    """Yield the forms that begin with prefixes; prefixes that differ only in the last character share a form."""
    rest = tuple((chars, len(list(same))) for chars, same in groupby(form.places[length:]))
    for head, alike in groupby(prefixes, key=lambda prefix: prefix[:-1]):
        last = "".join(prefix[-1] for prefix in alike)
        parts = (*((char, 1) for char in head), (last, 1), *rest)
        yield Form(form.weight * len(last) / len(prefixes), parts)
