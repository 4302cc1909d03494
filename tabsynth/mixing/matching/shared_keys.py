"""Evidence that sources describe the same people: identifiers whose values occur in several of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from tabsynth.mixing.matching.schema_matching import ColumnGroup
from tabsynth.mixing.plan.entries import code_texts


@dataclass(frozen=True)
class SharedKey:
    """Values of one identifier that occur in two sources.

    Attributes:
        column: The column of the mixed table.
        sources: The two sources, the one with fewer distinct values first.
        shared: Values that occur in both.
        different: Number of distinct values of the first source.
    """

    column: str
    sources: tuple[str, str]
    shared: int
    different: int

    @property
    def share(self) -> float:
        """Share of the first source's values that occur in the other."""
        return self.shared / self.different


def find_shared_key(groups: Sequence[ColumnGroup], frames: Mapping[str, pd.DataFrame]) -> SharedKey | None:
    """Return the identifier that two sources share most; None if no two sources have one."""
    found = []
    for group in groups:
        if any(member.kind != "identifier" for member in group.members.values()):
            continue
        values = {
            source: set(code_texts(frames[source][member.name].dropna())) for source, member in group.members.items()
        }
        for pair in combinations(values, 2):
            small, large = sorted(pair, key=lambda source: len(values[source]))
            if values[small]:
                shared = len(values[small] & values[large])
                found.append(SharedKey(group.name, (small, large), shared, len(values[small])))
    return max(found, key=lambda key: key.share, default=None)


def person_question(groups: Sequence[ColumnGroup], frames: Mapping[str, pd.DataFrame]) -> str:
    """Return the question whether a person can occur in several sources, with the evidence."""
    key = find_shared_key(groups, frames)
    if key is None:
        return "can one person occur in several sources? If so, set link: engine exact or splink; if not, leave it none"
    small, large = key.sources
    if not key.shared:
        return (
            f"can one person occur in several sources? No identifier has a value that occurs in two of them (compared: "
            f"{key.column!r}). If so, set link: engine splink; if not, leave it none"
        )
    return (
        f"can one person occur in several sources? {key.shared:,} of the {key.different:,} values of {key.column!r} in "
        f"{small} occur in {large} too. If these are the same people, set link: engine exact with fields "
        f"[{key.column}], or splink if keys may be missing or misspelt; if each source numbers its own "
        "people, leave it none"
    )
