"""Propose harmonisation rules for one column: units, codes, sentinels and date formats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats
from tabsynth.errors import quote
from tabsynth.mixing.matching.code_mapping import code_means, map_codes
from tabsynth.mixing.matching.column_profiles import Profile, profile_column
from tabsynth.mixing.matching.schema_matching import ColumnGroup
from tabsynth.mixing.matching.sentinel_detection import find_sentinels
from tabsynth.mixing.matching.split_columns import SplitColumn
from tabsynth.mixing.matching.unit_detection import (
    MIN_OTHER_UNIT_DISTANCE,
    UnitComparison,
    compare_units,
    detect_second_unit,
)
from tabsynth.mixing.plan.entries import HarmonisationRule, code_text, code_texts
from tabsynth.mixing.units import Conversion, conversion
from tabsynth.mixing.value_parsing import closest_formats

Anchors = Mapping[str, Mapping[str, str]]


def propose_rules(
    group: ColumnGroup, frames: Mapping[str, pd.DataFrame], splits: Mapping[str, SplitColumn], anchors: Anchors
) -> list[HarmonisationRule]:
    """Propose the rules of one column of the mixed table.

    Args:
        group: Its columns in the sources.
        frames: The sources.
        splits: Sources in which the column is split into several.
        anchors: Certainly matched numeric columns, each with its name in each source.
    """
    members = dict(group.members)
    for source, split in splits.items():
        members[source] = _profile_joined(source, frames[source], split)
    first, *others = members.values()
    scales = {other.source: compare_units(first, other) for other in others if _both_numeric(first, other)}
    return [
        *_unit_rules(group.name, first, scales),
        *_second_unit_rules(group.name, members),
        *_sentinel_rules(group.name, members, scales),
        *_code_rules(group.name, members, frames, splits, anchors),
        *_date_rules(group.name, members, frames, splits),
    ]


def _profile_joined(source: str, frame: pd.DataFrame, split: SplitColumn) -> Profile:
    """Profile of the joined parts."""
    parts = frame[list(split.names)]
    values = parts.map(code_text, na_action="ignore").agg(split.joiner.join, axis=1).where(parts.notna().all(axis=1))
    return replace(profile_column(source, values.rename("|".join(split.names))), words=())


def _both_numeric(one: Profile, other: Profile) -> bool:
    return one.quantiles is not None and other.quantiles is not None and not (one.is_coded and other.is_coded)


def _unit_rules(column: str, first: Profile, scales: Mapping[str, UnitComparison]) -> list[HarmonisationRule]:
    """Return a rule for sources in another unit, and a question about those that no known conversion explains."""
    out = []
    moved = {source: scale for source, scale in scales.items() if scale.unit is not None and scale.to is not None}
    if moved:
        to = next(scale.to for scale in moved.values())
        questions = [
            f"is {source} in {scale.unit}, and {first.source} in {scale.to}? distance {scale.distance:.2f} spreads "
            f"after the conversion, {scale.raw_distance:.2f} before"
            for source, scale in moved.items()
            if not scale.certain or scale.to != to
        ]
        out.append(
            HarmonisationRule(
                column=column,
                unit=to,
                units={source: str(scale.unit) for source, scale in moved.items()},
                analyte=next((scale.analyte for scale in moved.values() if scale.analyte), None),
                status="proposed",
                score=round(min(float(np.exp(-scale.distance)) for scale in moved.values()), 3),
                question="; ".join(questions),
                why=", ".join(
                    f"{s}: {scale.raw_distance:.1f} → {scale.distance:.2f} spreads apart" for s, scale in moved.items()
                ),
            )
        )
    far = [
        source
        for source, scale in scales.items()
        if source not in moved and MIN_OTHER_UNIT_DISTANCE < scale.raw_distance < float("inf")
    ]
    if far:
        evidence = ", ".join(f"{source} ({scales[source].raw_distance:.1f} spreads away)" for source in far)
        question = f"is {column!r} measured alike in {evidence}? No known conversion explains the difference"
        out.append(HarmonisationRule(column=column, status="proposed", score=0.0, question=question))
    return out


def _second_unit_rules(column: str, members: Mapping[str, Profile]) -> list[HarmonisationRule]:
    """Return a second unit within one source."""
    out = []
    for source, member in members.items():
        named = [other.words for other in members.values()]
        if member.values is None or member.is_coded:
            continue
        found = next((item for said in named if (item := detect_second_unit(member.values, said)) is not None), None)
        if found is not None:
            bound = {"below": found.below} if found.below is not None else {"above": found.above}
            side = f"below {found.below:g}" if found.below is not None else f"above {found.above:g}"
            question = (
                f"are the {found.share:.0%} of {source}'s values {side} in {found.unit}, the others in {found.to}?"
            )
            second = {source: {"unit": found.unit, **bound}}
            entry = HarmonisationRule(
                column=column, unit=found.to, analyte=found.analyte, mixed=second, status="proposed"
            )
            out.append(replace(entry, score=0.5, question=question))
    return out


def _sentinel_rules(
    column: str, members: Mapping[str, Profile], scales: Mapping[str, UnitComparison]
) -> list[HarmonisationRule]:
    """Return the sentinels, found by comparison with the other sources in the same unit."""
    common = {}
    for source, member in members.items():
        if member.values is not None:
            common[source] = _conversion(scales.get(source)), member
    found = []
    for source, (mine, member) in common.items():
        others = [
            ((change.scale * other.values + change.offset) - mine.offset) / mine.scale
            for name, (change, other) in common.items()
            if name != source and other.values is not None
        ]
        found += find_sentinels(member, _all_numbers(member), others)
    if not found:
        return []
    certain = all(item.certain for item in found)
    evidence = "; ".join(f"{item.source}: {item.why}" for item in found)
    values: dict[str, tuple[float | int, ...]] = {}
    for item in found:
        plain = int(item.value) if item.value % 1 == 0 else item.value
        values[item.source] = (*values.get(item.source, ()), plain)
    questions = "" if certain else f"do these mean missing? {evidence}"
    return [
        HarmonisationRule(
            column=column,
            na=values,
            status="proposed",
            score=0.95 if certain else 0.5,
            question=questions,
            why=evidence,
        )
    ]


def _all_numbers(member: Profile) -> Floats:
    """Return a column's numbers, including its spikes."""
    assert member.values is not None
    spikes = [np.full(count, value) for value, count in member.spikes.items()]
    return np.concatenate([member.values, *spikes])


def _conversion(scale: UnitComparison | None) -> Conversion:
    if scale is None or scale.unit is None or scale.to is None:
        return Conversion(1.0)
    return conversion(scale.unit, scale.to, scale.analyte)


def _code_rules(
    column: str,
    members: Mapping[str, Profile],
    frames: Mapping[str, pd.DataFrame],
    splits: Mapping[str, SplitColumn],
    anchors: Anchors,
) -> list[HarmonisationRule]:
    """Map the codes of the sources to those of the first."""
    home = next(iter(members.values()))
    values, questions, scores = {}, [], []
    fates: set[str] = set()
    for source, member in list(members.items())[1:]:
        links = None if source in splits else _anchor_means(column, home, member, frames, anchors)
        found = map_codes(home, member, links)
        if found is None or (not found.meaning and not found.question):
            continue
        scores.append(found.score)
        if found.meaning:
            stay = {key: key for key in member.shares or {} if key not in found.meaning and _stays(home, key)}
            values[source] = {key: _home_code(home, code) for key, code in {**found.meaning, **stay}.items()}
            unmapped = "fail" if len(values[source]) >= len(member.shares or {}) else "missing"
            fates.add(unmapped)
        if not found.certain:
            questions.append(found.question)
    if not scores:
        return []
    question = "; ".join(questions)
    rule = HarmonisationRule(column=column, values=values, status="proposed", score=min(scores), question=question)
    return [replace(rule, unmapped="missing" if "missing" in fates else "fail")]


def _stays(home: Profile, code: str) -> bool:
    """Return whether a code without a partner can stay as it is in the first source's column."""
    return home.values is None or code.lstrip("-").isdigit()


def _home_code(home: Profile, code: str) -> str | int:
    """Return a code in the first source's type."""
    return int(code) if home.values is not None and code.lstrip("-").isdigit() else code


def _anchor_means(
    column: str, home: Profile, member: Profile, frames: Mapping[str, pd.DataFrame], anchors: Anchors
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return the anchor means by code, in both sources."""
    shared = [
        name for name, names in anchors.items() if name != column and home.source in names and member.source in names
    ]
    if len(shared) < 2:
        return None
    mine, theirs = (
        code_means(frames[item.source], item.name, [anchors[name][item.source] for name in shared], shared)
        for item in (home, member)
    )
    both = [name for name in shared if name in mine and name in theirs]
    return mine[both], theirs[both]


def _date_rules(
    column: str, members: Mapping[str, Profile], frames: Mapping[str, pd.DataFrame], splits: Mapping[str, SplitColumn]
) -> list[HarmonisationRule]:
    """Return the formats of text dates; ambiguous day and month become a question."""
    if not any(member.kind == "datetime" for member in members.values()):
        return []
    formats, questions, budget = {}, [], 0.0
    for source, member in members.items():
        if source in splits:
            formats[source] = splits[source].format or "%Y-%m-%d"
            continue
        values = frames[source][member.name].dropna()
        if pd.api.types.is_datetime64_any_dtype(values.dtype) or not len(values):
            continue
        texts = code_texts(values)
        found, strange = closest_formats(texts)
        if not found:
            questions.append(
                f"{source}.{member.name} has no dates, such as {quote(strange, 3)}: is it the right column?"
            )
            continue
        if strange:
            share = float(texts.isin(strange).mean())
            budget = max(budget, math.ceil(share * 1e4) / 1e4)
            questions.append(
                f"{share:.1%} of {source}.{member.name} are no dates of the format {found[0]}, such as "
                f"{quote(strange, 3)}: may they become missing?"
            )
        formats[source] = found[0]
        if len(found) > 1:
            questions.append(f"{source}.{member.name}: is it {found[0]} or {found[1]}? Every value fits both")
    if not formats and not questions:
        return []
    return [
        HarmonisationRule(
            column=column,
            dates=formats,
            budget=budget,
            status="proposed",
            score=0.5 if questions else 0.95,
            question="; ".join(questions),
        )
    ]
