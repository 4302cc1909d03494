"""Schema matching: which column of one source corresponds to which of another.

A pair's score is the mean of name and value similarity, times the compatibility of the kinds. A second round adds the
similarity of correlations with columns that are already matched. The Hungarian method assigns the pairs; a pair's
margin is its lead over the best alternative on either side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from tabsynth.common.arrays import Floats
from tabsynth.mixing.matching.column_profiles import Profile
from tabsynth.mixing.matching.contrary_words import contrary_words
from tabsynth.mixing.matching.name_similarity import name_similarity
from tabsynth.mixing.matching.unit_detection import compare_units

MIN_PAIR_SCORE = 0.3
"""Minimum score of a match."""

MIN_NAMESAKE_KINDS = 0.8
"""Minimum compatibility of the kinds of columns that are matched by equal names."""

MIN_ANCHOR_SCORE = 0.65
"""Minimum score of an anchor of the second round."""

DEPENDENCE_WEIGHT = 0.2
"""Weight of the correlations in the second round."""

CONTRARY_FACTOR = 0.5
"""Factor of the similarity of names with contrary words."""

MAX_CORRELATION_ROWS = 20_000
"""Maximum rows for computing correlations."""

MIN_TEXT_OVERLAP = 0.2
"""Minimum share of common values, among those of the column with fewer, by which columns of text are similar."""

_KIND_SIMILARITY: dict[frozenset[str], float] = {
    frozenset({"numeric", "categorical"}): 0.85, frozenset({"categorical", "boolean"}): 0.95,
    frozenset({"numeric", "boolean"}): 0.8, frozenset({"categorical", "text"}): 0.8,
    frozenset({"identifier", "text"}): 0.7, frozenset({"identifier", "categorical"}): 0.5,
    frozenset({"identifier", "numeric"}): 0.4, frozenset({"datetime", "text"}): 0.5,
    frozenset({"datetime", "categorical"}): 0.5,
}  # fmt: skip
"""Compatibility of two different kinds; 0.25 for all other pairs."""


@dataclass(frozen=True, eq=False)
class ColumnGroup:
    """Matched columns by source; ``name`` is that of the first."""

    name: str
    members: dict[str, Profile] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    margins: dict[str, float] = field(default_factory=dict)
    rivals: dict[str, str] = field(default_factory=dict)

    @property
    def first(self) -> Profile:
        """The column that the others are matched to."""
        return next(iter(self.members.values()))

    def contradiction(self, source: str) -> str:
        """Return how a source's column contradicts another one's name or currency; empty if it does not."""
        words = self.members[source].quantity_words
        others = (member for name, member in self.members.items() if name != source)
        return next((text for other in others if (text := contrary_words(other.quantity_words, words))), "")

    @property
    def are_namesakes(self) -> bool:
        """Whether all columns have the same name and compatible kinds."""
        kinds = {member.kind for member in self.members.values()}
        return len({member.words for member in self.members.values()}) == 1 and (
            len(kinds) == 1 or _KIND_SIMILARITY.get(frozenset(kinds), 0.0) >= MIN_NAMESAKE_KINDS
        )


def match_columns(sources: Mapping[str, Sequence[Profile]], frames: Mapping[str, pd.DataFrame]) -> list[ColumnGroup]:
    """Group the columns of all sources.

    Args:
        sources: Profiles of each source's columns; the first source gives the groups their names and order.
        frames: Each source's table, for the correlations.

    Returns:
        One group for each column of the mixed table; an unmatched column is a group of its own.
    """
    links = {name: rank_correlations(frames[name], sources[name]) for name in sources if name in frames}
    names = iter(sources.items())
    start, columns = next(names)
    groups = [ColumnGroup(column.name, {start: column}) for column in columns]
    for source, columns in names:
        base = pair_scores(groups, columns)
        chosen = _assign(base)
        scores = _with_dependences(base, chosen, groups, columns, links, source)
        chosen = _assign(scores)
        taken = set()
        for i, j in chosen:
            taken.add(j)
            row = np.delete(scores[i], j)
            column = np.delete(scores[:, j], i)
            rival = max([0.0, *row, *column])
            group = groups[i]
            group.members[source] = columns[j]
            group.scores[source] = round(float(scores[i, j]), 3)
            group.margins[source] = round(float(scores[i, j] - rival), 3)
            if len(row) and row.max() >= column.max(initial=0.0):
                other = [k for k in range(len(columns)) if k != j]
                group.rivals[source] = f"{source}.{columns[other[int(np.argmax(row))]].name}"
            elif len(column):
                other = [k for k in range(len(groups)) if k != i]
                group.rivals[source] = repr(groups[other[int(np.argmax(column))]].name)
        used = {group.name for group in groups}
        for j, profile in enumerate(columns):
            if j not in taken:
                name = profile.name if profile.name not in used else f"{profile.name}_{source}"
                groups.append(ColumnGroup(name, {source: profile}))
    return groups


def find_complements(group: ColumnGroup, groups: Sequence[ColumnGroup], order: Sequence[str]) -> dict[str, list[str]]:
    """Return columns of incomplete groups that may be the missing ones of this group, by source, the best first."""
    free = [other for other in groups if other is not group and len(other.members) < len(order)]
    out: dict[str, list[str]] = {}
    for source in order:
        columns = [other.members[source] for other in free if source in other.members]
        columns = [one for one in columns if _kind_similarity(group.first, one) >= MIN_NAMESAKE_KINDS]
        if source in group.members or not columns:
            continue
        scores = pair_scores([group], columns)[0]
        out[source] = [f"{source}.{columns[k].name}" for k in sorted(range(len(columns)), key=lambda k: -scores[k])[:3]]
    return out


def pair_scores(groups: Sequence[ColumnGroup], columns: Sequence[Profile]) -> Floats:
    """Return the scores of groups against columns, shape (groups, columns): against each group's best member."""
    out = np.zeros((len(groups), len(columns)))
    for i, group in enumerate(groups):
        for j, column in enumerate(columns):
            out[i, j] = max(pair_score(member, column) for member in group.members.values())
    return out


def pair_score(one: Profile, other: Profile) -> float:
    """Return the similarity of two columns, 0 to 1."""
    if (one.is_words and other.is_measurement) or (other.is_words and one.is_measurement):
        return 0.0
    kinds = _kind_similarity(one, other)
    names = name_similarity(one.words, other.words)
    if contrary_words(one.quantity_words, other.quantity_words):
        names *= CONTRARY_FACTOR
    score = kinds * 0.5 * (names + value_similarity(one, other))
    # Of equal names, the more similar kind is matched first; errors in a few cells can change a column's kind.
    return max(score, MIN_PAIR_SCORE) if one.words == other.words else score


def _kind_similarity(one: Profile, other: Profile) -> float:
    """Return the compatibility of two columns' kinds, 0 to 1."""
    return 1.0 if one.kind == other.kind else _KIND_SIMILARITY.get(frozenset({one.kind, other.kind}), 0.25)


def value_similarity(one: Profile, other: Profile) -> float:
    """Return the similarity of two columns' values, 0 to 1; 0.5 without evidence."""
    if not one.count or not other.count:
        return 0.5
    if one.is_coded and other.is_coded:
        return _code_similarity(one.shares or {}, other.shares or {})
    if one.texts and other.texts:
        overlap = len(one.texts & other.texts) / min(len(one.texts), len(other.texts))
        if overlap >= MIN_TEXT_OVERLAP:
            return 0.5 + 0.5 * overlap
    if one.quantiles is not None and other.quantiles is not None:
        if one.is_coded != other.is_coded:
            return 0.3 * float(np.exp(-compare_units(one, other).distance))
        return float(np.exp(-compare_units(one, other).distance))
    if one.shares is not None and other.shares is not None:
        return _code_similarity(one.shares, other.shares)
    return 0.5 if one.kind == other.kind else 0.2


def _code_similarity(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Return the overlap of the codes, or similarity of the sorted shares under other codes."""
    low = {key.casefold(): share for key, share in one.items()}
    high = {key.casefold(): share for key, share in other.items()}
    shared = sum(min(low[key], high[key]) for key in low.keys() & high.keys())
    size = max(len(low), len(high))
    a, b = (np.sort([*table.values(), *[0.0] * (size - len(table))])[::-1] for table in (low, high))
    shape = 1 - 0.5 * float(np.abs(a - b).sum())
    common = len(low.keys() & high.keys()) / len(low.keys() | high.keys())
    renamed = 0.6 * shape * min(len(low), len(high)) / size
    return max(0.5 * shared + 0.5 * common if common else 0.0, renamed)


def rank_correlations(frame: pd.DataFrame, columns: Sequence[Profile]) -> pd.DataFrame:
    """Return the absolute rank correlations between the numeric and two-valued columns of one source."""
    sample = (
        frame
        if len(frame) <= MAX_CORRELATION_ROWS
        else frame.sample(MAX_CORRELATION_ROWS, random_state=np.random.RandomState(0))
    )
    coded = {}
    for column in columns:
        values = sample[column.name]
        if column.values is not None:
            coded[column.name] = (
                pd.to_numeric(values, errors="coerce").astype("float64").mask(values.isin(list(column.spikes)))
            )
        elif column.shares is not None and len(column.shares) == 2:
            coded[column.name] = values.astype("category").cat.codes.astype("float64").mask(values.isna())
    return pd.DataFrame(coded).corr("spearman", min_periods=20).abs()


def _assign(scores: Floats) -> list[tuple[int, int]]:
    """Return the best one-to-one assignment, without pairs below ``MIN_PAIR_SCORE``."""
    rows, columns = linear_sum_assignment(-scores)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if scores[i, j] >= MIN_PAIR_SCORE]


def _with_dependences(
    base: Floats,
    chosen: Sequence[tuple[int, int]],
    groups: Sequence[ColumnGroup],
    columns: Sequence[Profile],
    links: Mapping[str, pd.DataFrame],
    source: str,
) -> Floats:
    """Return the scores including the similarity of the columns' correlations with the anchors."""
    anchors = [(i, j) for i, j in chosen if base[i, j] >= MIN_ANCHOR_SCORE]
    out = base.copy()
    own = links.get(source)
    if own is None or len(anchors) < 3:
        return out
    for i, group in enumerate(groups):
        home, first = next(iter(group.members.items()))
        theirs = links.get(home)
        for j, column in enumerate(columns):
            if theirs is None or first.name not in theirs or column.name not in own:
                continue
            gaps = []
            for a, b in anchors:
                anchor = groups[a].members.get(home)
                if a == i or b == j or anchor is None or anchor.name not in theirs or columns[b].name not in own:
                    continue
                gap = float(theirs[anchor.name][first.name]) - float(own[columns[b].name][column.name])
                if np.isfinite(gap):
                    gaps.append(gap)
            if len(gaps) >= 2:
                # Two correlations of n rows each differ by chance with a variance of about 1/n + 1/m.
                noise = 1 / max(first.count, 4) + 1 / max(column.count, 4) + 0.01
                misfit = float(np.mean(np.square(gaps))) / noise
                out[i, j] = (1 - DEPENDENCE_WEIGHT) * base[i, j] + DEPENDENCE_WEIGHT * float(np.exp(-misfit / 4)) * min(
                    1.0, 2 * base[i, j]
                )
    return out
