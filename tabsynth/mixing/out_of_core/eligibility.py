"""Check that a plan can be applied batch by batch, and complete it by a first pass over the inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from tabsynth.data.batch_reader import Batches
from tabsynth.mixing.checks import check_codes
from tabsynth.mixing.harmonise import date_format_candidates, decided_entries
from tabsynth.mixing.plan.entries import HarmonisationRule
from tabsynth.mixing.plan.plan import Plan

MAX_CODES = 1000
"""Maximum distinct values of a column of codes, as in ``check_codes``."""


def unsupported_features(plan: Plan) -> list[str]:
    """Return the plan's features that need all rows in memory."""
    several = [name for name, match in plan.mapped.items() if len(match.sources) > 1]
    rules = {str(plan.resolve["columns"].get(name, plan.resolve["default"])) for name in several}
    join = plan.combine["op"] == "join"
    spec, keys = plan.link, record_keys(plan)
    fields = tuple(spec.get("fields", ()))
    features = {
        f"link: {spec['engine']}": spec["engine"] in ("splink", "clk"),
        "link: exact by other fields than the keys of the inputs": bool(
            spec["engine"] == "exact" and fields and any(key and key != fields for key in keys.values())
        ),
        "link: exact where some inputs have a key and some have none": spec["engine"] == "exact"
        and len({bool(key) for key in keys.values()}) > 1,
        "combine: fuse": plan.combine["op"] == "fuse",
        "on_missing_column: impute": not join and plan.combine["on_missing_column"] == "impute",
        f"resolve: {', '.join(sorted(rules - {'trust'}))}": join and bool(rules - {"trust"}),
        "weights": plan.weights is not None,
        "lineage of cells": bool(plan.lineage["cell"]),
    }
    return [feature for feature, is_used in features.items() if is_used]


def record_keys(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return the key columns of each source, under their names in the mixed table where they are mapped."""
    out = {}
    for source, item in plan.inputs.items():
        named = {match.sources[source]: match.to for match in plan.mapped.values() if source in match.sources}
        out[source] = tuple(named.get((key,), key) for key in item.key)
    return out


def complete_plan(plan: Plan, inputs: Mapping[str, Batches]) -> Plan:
    """Add inferred date formats to the plan by a pass over the inputs, and check the codes."""
    codes: dict[str, dict[str, pd.Series]] = {source: {} for source in inputs}
    dates: dict[tuple[str, str], list[str]] = {}
    coded = {n for n in plan.mapped if any(entry.values for entry in decided_entries(plan, n))}
    for source, table in inputs.items():
        needed = {n: m for n, m in plan.mapped.items() if source in m.sources and (n in coded or m.kind == "datetime")}
        if not needed:
            continue
        column_plan = _restrict_plan(plan, set(needed))
        columns = list(dict.fromkeys(c for match in needed.values() for c in match.sources[source]))
        for frame in table.frames(columns):
            for name, formats in date_format_candidates(frame, source, column_plan).items():
                common_formats = dates.setdefault((name, source), formats)
                dates[name, source] = [spelling for spelling in common_formats if spelling in formats]
            for name in coded & set(needed):
                column = plan.mapped[name].sources[source][0]
                seen = codes[source].get(column, frame[column].iloc[:0])
                if len(seen) <= MAX_CODES:
                    codes[source][column] = pd.concat([seen, frame[column]]).drop_duplicates()
    check_codes(_restrict_plan(plan, coded), codes)
    # Without a unique format, parsing reports the error.
    named = [
        HarmonisationRule(column=n, dates={s: formats[0]}) for (n, s), formats in dates.items() if len(formats) == 1
    ]
    return replace(plan, harmonise=(*plan.harmonise, *named))


def _restrict_plan(plan: Plan, columns: set[str]) -> Plan:
    """Restrict the plan to some columns of the mixed table."""
    return replace(
        plan,
        map=tuple(match for name, match in plan.mapped.items() if name in columns),
        harmonise=tuple(entry for entry in plan.harmonise if entry.column in columns),
    )
