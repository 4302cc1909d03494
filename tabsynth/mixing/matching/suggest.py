"""Suggest a plan from the tables: matched columns, harmonisation rules and open questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

import pandas as pd

from tabsynth.common.validation import checked_arguments
from tabsynth.errors import InputError
from tabsynth.mixing.harmonise import preview
from tabsynth.mixing.inputs import load_source
from tabsynth.mixing.matching.column_profiles import Profile, profile_columns
from tabsynth.mixing.matching.harmonisation_proposals import propose_rules
from tabsynth.mixing.matching.name_similarity import name_similarity
from tabsynth.mixing.matching.schema_matching import (
    MIN_PAIR_SCORE,
    ColumnGroup,
    find_complements,
    match_columns,
    pair_scores,
)
from tabsynth.mixing.matching.shared_keys import person_question
from tabsynth.mixing.matching.split_columns import SplitColumn, find_splits, joined_column_questions
from tabsynth.mixing.plan.entries import HarmonisationRule, Input, Match
from tabsynth.mixing.plan.plan import Plan
from tabsynth.schema.column_names import split_words
from tabsynth.schema.columns import Categorical, Column
from tabsynth.schema.schema import Schema

MIN_SURE_SCORE, MIN_SURE_MARGIN = 0.7, 0.15
"""Minimum score, and lead over the runner-up, of a certain match; any other match is a question."""

MIN_LEFTOVER_SCORE = 0.15
"""Minimum score for matching the remaining columns with similar names; below it, the match is a question."""

MAX_STRANGE_DATES = 0.05
"""Maximum share of values that are not dates in a column that is parsed as dates without a question on its kind."""

ELIMINATED = "nothing else was left"


@checked_arguments
def suggest(tables: Mapping[str, pd.DataFrame | str | Path], target: Schema | None = None) -> Plan:
    """Suggest a plan for mixing several tables.

    Every entry is ``proposed``; an uncertain one has a ``question``. Review the plan with
    ``plan.review("review.html")``, set each status, and pass it to ``mix``.

    Args:
        tables: The sources by name: frames, or paths of files.
        target: Schema of the mixed table; by default names and codes are those of the most complete source.

    Raises:
        InputError: There is no source, or a name or a table is not usable.

    Example:
        >>> a = pd.DataFrame({"age": range(20, 80), "sex": ["f", "m"] * 30})
        >>> b = pd.DataFrame({"AGE": range(25, 85), "gender": ["F", "M"] * 30})
        >>> [(match.to, dict(match.sources)) for match in suggest({"a": a, "b": b}).map]
        [('age', {'a': ('age',), 'b': ('AGE',)}), ('sex', {'a': ('sex',), 'b': ('gender',)})]
    """
    if not tables:
        raise InputError("there is no table to mix; give at least one")
    odd = [name for name in tables if not isinstance(name, str) or not name or name.startswith("_")]
    if odd:
        raise InputError(f"a source's name must be text that does not begin with an underscore, not {odd[0]!r}")
    taken = {name: load_source(table, name) for name, table in tables.items()}
    frames = {name: frame for name, (frame, _) in taken.items()}
    # The most complete source determines names, units and codes.
    order = sorted(frames, key=lambda name: (-float(frames[name].notna().mean().sum()), -len(frames[name])))
    columns = {name: profile_columns(name, frames[name]) for name in order}
    wanted = {"": [_target_profile(column) for column in target.values()]} if target is not None else {}
    groups = match_columns({**wanted, **columns}, frames)
    splits = _apply_splits(groups, columns, frames)
    _merge_leftovers(groups)
    for group in groups:
        group.members.pop("", None)
    groups = [group for group in groups if group.members]
    rules = _harmonisation_rules(groups, frames, splits)
    dated = {
        (rule.column, source) for rule in rules if (rule.budget or 0.0) <= MAX_STRANGE_DATES for source in rule.dates
    }
    matches = tuple(
        _match_entry(group, order, splits, target, find_complements(group, groups, order), dated) for group in groups
    )
    plan = Plan(
        inputs={name: _with_key(taken[name][1], columns[name]) for name in tables},
        map=matches,
        harmonise=tuple(rules),
        questions=tuple(_questions(groups, frames)),
        tables={name: frame for name, frame in frames.items() if taken[name][1].uri is None},
        schema=target,
    )
    return replace(plan, map=tuple(_with_errors(match, plan, frames) for match in plan.map))


def _with_errors(match: Match, plan: Plan, frames: Mapping[str, pd.DataFrame]) -> Match:
    """Return a match with a question on the errors that applying its proposals would raise."""
    errors = preview(match, plan, frames)[1]
    question = "; ".join([*filter(None, [match.question]), *(f"as proposed, it fails: {error}" for error in errors)])
    return replace(match, question=question)


def _target_profile(column: Column) -> Profile:
    """Profile of a declared column, without values."""
    shares = None
    if isinstance(column, Categorical) and column.values:
        shares = {str(value): 1 / len(column.values) for value in column.values}
    return Profile(
        source="",
        name=column.name,
        kind=column.kind,
        words=tuple(split_words(column.name)),
        rows=0,
        count=1 if shares else 0,
        values=None,
        quantiles=None,
        shares=shares,
        spikes={},
    )


def _merge_leftovers(groups: list[ColumnGroup]) -> None:
    """Merge groups that share no source, best first: unmatched columns of two sources may correspond."""
    while True:
        best: tuple[float, int, int] | None = None
        for i, one in enumerate(groups):
            for j in range(i + 1, len(groups)):
                other = groups[j]
                if one.members.keys() & other.members.keys() or not _have_similar_names(one, other):
                    continue
                score = max(float(pair_scores([one], [member])[0, 0]) for member in other.members.values())
                if score >= MIN_LEFTOVER_SCORE and (best is None or score > best[0]):
                    best = (score, i, j)
        if best is None:
            return
        score, i, j = best
        for source, member in groups[j].members.items():
            groups[i].members[source] = member
            groups[i].scores[source], groups[i].margins[source] = round(score, 3), 0.0
            groups[i].rivals[source] = ELIMINATED
        del groups[j]


def _have_similar_names(one: ColumnGroup, other: ColumnGroup) -> bool:
    """Return whether any two columns of two groups have similar names."""
    return any(
        name_similarity(a.words, b.words) >= MIN_PAIR_SCORE
        for a in one.members.values()
        for b in other.members.values()
    )


def _apply_splits(
    groups: list[ColumnGroup], columns: Mapping[str, Sequence[Profile]], frames: Mapping[str, pd.DataFrame]
) -> dict[tuple[str, str], SplitColumn]:
    """Split columns by group and source; their parts are removed from other groups."""
    out: dict[tuple[str, str], SplitColumn] = {}
    for source in columns:
        free = {
            group.members[source].name for group in groups if source in group.members and not _is_certain(group, source)
        }
        for split in find_splits(source, frames[source], columns[source], groups, free):
            for group in list(groups):
                if source in group.members and group.members[source].name in split.names:
                    profile = group.members.pop(source)
                    if not group.members:
                        groups.remove(group)
                    if group.name == split.to:
                        group.members[source] = profile
            group = next(group for group in groups if group.name == split.to)
            if source not in group.members:
                group.members[source] = next(item for item in columns[source] if item.name == split.names[0])
            group.scores[source], group.margins[source] = split.score, 0.0
            out[split.to, source] = split
    return out


def _is_certain(group: ColumnGroup, source: str) -> bool:
    """Return whether a source's column certainly belongs to its group."""
    if source not in group.scores or group.contradiction(source):
        return False
    if group.are_namesakes:
        return True
    return group.scores[source] >= MIN_SURE_SCORE and group.margins[source] >= MIN_SURE_MARGIN


def _match_entry(
    group: ColumnGroup,
    order: Sequence[str],
    splits: Mapping[tuple[str, str], SplitColumn],
    target: Schema | None,
    complements: Mapping[str, Sequence[str]],
    dated: Set[tuple[str, str]],
) -> Match:
    """Return a group as an entry of the plan, with its questions; ``dated`` names columns and sources of dates."""
    questions, why = [], []
    for source, member in group.members.items():
        split = splits.get((group.name, source))
        if split is not None:
            questions.append(f"are {source}.{' and '.join(split.names)} together {group.name!r}? {split.why}")
        elif source in group.scores:
            score, margin = group.scores[source], group.margins[source]
            why.append(f"{source} {score:.2f} ({margin:+.2f})")
            if contradiction := group.contradiction(source):
                questions.append(f"is {source}.{member.name} {group.name!r}? {contradiction}")
            elif not _is_certain(group, source) and member.words == group.first.words:
                if (group.name, source) not in dated:  # otherwise the rule asks about values that are no dates
                    other = f"{next(iter(group.members))}.{group.first.name} is {group.first.kind}"
                    questions.append(f"is {source}.{member.name} {group.name!r}? It is {member.kind}, but {other}")
            elif not _is_certain(group, source):
                rival = group.rivals.get(source, "nothing")
                against = rival if rival == ELIMINATED else f"margin {margin:.2f} to {rival}"
                questions.append(f"is {source}.{member.name} {group.name!r}? score {score:.2f}, {against}")
        if member.doubt and split is None:
            questions.append(f"{source}.{member.name}: {member.doubt}")
    alone = not group.scores and len(order) > 1
    if alone:
        questions.append(f"only {next(iter(group.members))} has it: keep it, match it by hand, or reject it?")
    else:
        for source, others in complements.items():
            questions.append(f"{source} has no such column, unless it is {' or '.join(others)}: is it?")
    names = {
        source: splits[group.name, source].names if (group.name, source) in splits else (group.members[source].name,)
        for source in order
        if source in group.members
    }
    joined = next((split for (name, _), split in splits.items() if name == group.name), None)
    kind = target[group.name].kind if target is not None and group.name in target else _common_kind(group)
    return Match(
        to=group.name.lstrip("_") or "column",
        kind=kind,
        sources=names,
        joiner=joined.joiner if joined else "|",
        score=min(group.scores.values(), default=1.0),
        margin=min(group.margins.values(), default=None),
        question="; ".join(questions),
        why=", ".join(why),
    )


def _common_kind(group: ColumnGroup) -> str:
    """Return the kind that fits all sources."""
    kinds = [member.kind for member in group.members.values()]
    if "datetime" in kinds:
        return "datetime"
    if (
        "numeric" in kinds
        and group.first.values is not None
        and all(kind in ("numeric", "categorical", "boolean") for kind in kinds)
    ):
        # Words in one source are mapped to the numbers of the others.
        return "numeric"
    return group.first.kind


def _harmonisation_rules(
    groups: Sequence[ColumnGroup],
    frames: Mapping[str, pd.DataFrame],
    splits: Mapping[tuple[str, str], SplitColumn],
) -> list[HarmonisationRule]:
    """Return the harmonisation rules of every column."""
    anchors = {
        group.name: {source: member.name for source, member in group.members.items()}
        for group in groups
        if all(_is_certain(group, source) for source in group.scores)
        and all(member.values is not None and not member.is_coded for member in group.members.values())
    }
    out = []
    for group in groups:
        parts = {source: split for (name, source), split in splits.items() if name == group.name}
        out += propose_rules(group, frames, parts, anchors)
    return out


def _with_key(item: Input, columns: Sequence[Profile]) -> Input:
    """Return the input with its first identifier as its key."""
    keys = [column.name for column in columns if column.kind == "identifier"]
    return replace(item, key=tuple(keys[:1]))


def _questions(groups: Sequence[ColumnGroup], frames: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return the questions beyond single entries: combined columns, and persons in several sources."""
    out = joined_column_questions(groups)
    if len(frames) > 1:
        out.append(person_question(groups, frames))
    return out
