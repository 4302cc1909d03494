"""Detect a column that another source splits into several: codes, one-hot columns, parts of a date or name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from tabsynth.mixing.matching.column_profiles import MAX_CODES, Profile
from tabsynth.mixing.matching.name_similarity import expand_words, name_similarity
from tabsynth.mixing.matching.schema_matching import ColumnGroup
from tabsynth.mixing.plan.entries import code_text

DATE_PARTS = ("year", "month", "day")
NAME_PARTS = ("first", "middle", "last")

MIN_SHARE_OVERLAP = 0.75
"""Minimum overlap of the sorted shares of joined parts and whole."""


@dataclass(frozen=True)
class SplitColumn:
    """Columns of one source that together form one column of the others.

    Attributes:
        to: The group's name.
        source: The source.
        names: Its columns, in joining order.
        joiner: The separator.
        score: Similarity of the whole and the joined parts.
        format: Date format of the joined parts, if they are a date.
        why: The evidence.
    """

    to: str
    source: str
    names: tuple[str, ...]
    joiner: str
    score: float
    format: str | None
    why: str


def find_splits(
    source: str, frame: pd.DataFrame, columns: Sequence[Profile], groups: Sequence[ColumnGroup], free: set[str]
) -> list[SplitColumn]:
    """Find the best split of one source for each column of the others.

    Args:
        source: The source's name.
        frame: Its table.
        columns: Its profiles.
        groups: The matched columns of all sources.
        free: Names of its columns without a certain match.
    """
    loose = [column for column in columns if column.name in free]
    out: dict[str, SplitColumn] = {}
    for group in groups:
        others = [member for name, member in group.members.items() if name != source]
        if not others or (source in group.members and group.members[source].name not in free):
            continue
        found = [*_date_splits(source, others[0], loose, group), *_name_splits(source, others[0], loose, group)]
        found += [
            split
            for part in _candidate_sets(loose)
            if (split := _coded_split(source, frame, part, others[0], group)) is not None
        ]
        if found:
            out[group.name] = max(found, key=lambda split: split.score)
    used: set[str] = set()
    kept = []
    for split in sorted(out.values(), key=lambda split: -split.score):
        if not used & set(split.names):
            kept.append(split)
            used |= set(split.names)
    return kept


def _candidate_sets(loose: Sequence[Profile]) -> Iterator[tuple[Profile, ...]]:
    """Return candidate sets of parts: all pairs of coded columns, and binary columns with the same first word."""
    coded = [column for column in loose if column.is_coded and 2 <= len(column.shares or ()) <= MAX_CODES]
    yield from combinations(coded, 2)
    heads: dict[str, list[Profile]] = {}
    for column in coded:
        if len(column.shares or ()) == 2:
            heads.setdefault(expand_words(column.words)[0], []).append(column)
    yield from (tuple(part) for part in heads.values() if len(part) > 2)


def _coded_split(
    source: str, frame: pd.DataFrame, part: tuple[Profile, ...], whole: Profile, group: ColumnGroup
) -> SplitColumn | None:
    """Return the coded parts with similar names whose combinations occur as often as the whole's codes."""
    shares = whole.shares or {}
    if not whole.is_coded or len(shares) <= max(len(column.shares or ()) for column in part):
        return None
    names = [column.name for column in part]
    own = frame[names].dropna()
    if own.empty:
        return None
    counts = own.map(code_text).agg("|".join, axis=1).value_counts(normalize=True)
    if len(counts) != len(shares):
        return None
    likeness = 1 - 0.5 * sum(abs(a - b) for a, b in zip(sorted(counts), sorted(shares.values()), strict=True))
    others = [member for name, member in group.members.items() if name != source]
    named = [max(name_similarity(column.words, other.words) for other in others) for column in part]
    together = name_similarity(part[0].words, part[1].words)
    if likeness < MIN_SHARE_OVERLAP or min(named) < 0.3 or (together < 0.4 and max(named) < 0.6):
        return None
    why = f"their {len(counts)} combinations occur about as often as the {len(shares)} codes of {whole.name!r}"
    return SplitColumn(group.name, source, tuple(names), "|", round(0.5 * likeness + 0.5 * max(named), 3), None, why)


def _date_splits(source: str, whole: Profile, loose: Sequence[Profile], group: ColumnGroup) -> list[SplitColumn]:
    """Return the year, month and day of a date."""
    if whole.kind != "datetime":
        return []
    parts = {word: column for column in loose for word in DATE_PARTS if word in column.words}
    if len({column.name for column in parts.values()}) != len(DATE_PARTS):
        return []
    names = tuple(parts[word].name for word in DATE_PARTS)
    return [SplitColumn(group.name, source, names, "-", 0.7, "%Y-%m-%d", "they are named year, month and day")]


def _name_splits(source: str, whole: Profile, loose: Sequence[Profile], group: ColumnGroup) -> list[SplitColumn]:
    """Return the first and last name of a whole name."""
    if whole.kind not in ("text", "identifier", "categorical") or "name" not in expand_words(whole.words):
        return []
    if set(expand_words(whole.words)) & set(NAME_PARTS):
        return []
    parts = [
        column
        for word in NAME_PARTS
        for column in loose
        if {"name", word} <= set(expand_words(column.words)) and column.kind != "numeric"
    ]
    if len(parts) < 2:
        return []
    names = tuple(column.name for column in parts)
    return [SplitColumn(group.name, source, names, " ", 0.7, None, "they are named as the parts of a name")]


def joined_column_questions(groups: Sequence[ColumnGroup]) -> list[str]:
    """Return the questions about a column that other sources may split into several."""
    out = []
    for group in groups:
        if len(group.members) > 1:
            continue
        source, column = next(iter(group.members.items()))
        incomplete = [other for other in groups if source not in other.members]
        own_words = set(expand_words(column.words))
        for words, what in ((DATE_PARTS, "a date's parts"), (NAME_PARTS, "a name's parts")):
            parts = [
                other.name
                for other in incomplete
                if set(words) & {*other.first.words, *expand_words(other.first.words)}
            ]
            fits = (
                column.kind == "datetime"
                if words is DATE_PARTS
                else "name" in own_words and not own_words & set(NAME_PARTS)
            )
            if fits and len(parts) >= 2:
                out.append(f"{source}.{column.name} may combine what others have as {what}: {', '.join(parts)}")
    return out
