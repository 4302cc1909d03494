"""Where a column stands in the token matrix: one slot, or two digits where it has very many tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tabsynth.coders import Coder

WIDE = 1024
"""A column of more tokens than this is written as two digits."""


@dataclass(frozen=True)
class Slot:
    """One position of the token matrix: a whole column, or one digit of a wide one."""

    column: str
    size: int
    digit: int | None = None


def slots_of(name: str, coder: Coder) -> Iterator[Slot]:
    """One slot, or two digits of about equal size."""
    if coder.size <= WIDE:
        yield Slot(name, coder.size)
        return
    base = math.ceil(math.sqrt(coder.size))
    yield Slot(name, math.ceil(coder.size / base), digit=0)
    yield Slot(name, base, digit=1)
