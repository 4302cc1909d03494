"""Combine harmonised sources: stack rows, join the rows of each entity, or fuse columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tabsynth.common.arrays import Integers
from tabsynth.errors import InputError, quote
from tabsynth.mixing.column_types import cast_to, common_type, compact_integers, to_arrow, to_frame
from tabsynth.mixing.combination.conflict_resolution import encode_values, resolve
from tabsynth.mixing.combination.statistical_matching import fuse
from tabsynth.mixing.linkage.exact import check_growth, count_growth
from tabsynth.mixing.plan.plan import Plan


@dataclass(frozen=True, eq=False)
class Combined:
    """A combined table with its lineage.

    Attributes:
        frame: The columns of the mixed table and ``_source``.
        mask: True where a source of the row has the column, shape of ``frame``.
        entity: The entity of each row, shape (rows,).
        row: The row's number in its source; -1 where rows were joined.
        origin: The source of each cell's value; None after a union, where it equals ``_source``.
        report: Counts for the report.
    """

    frame: pd.DataFrame
    mask: pd.DataFrame
    entity: Integers
    row: Integers
    origin: pd.DataFrame | None = None
    report: dict[str, Any] = field(default_factory=dict)


def stack_rows(frames: Mapping[str, pd.DataFrame], entities: Mapping[str, Integers], plan: Plan) -> Combined:
    """Stack the rows of all sources; a column that is absent from a source is missing and masked there."""
    order = [name for name in plan.mapped if any(name in frame for frame in frames.values())]
    if plan.combine["on_missing_column"] == "drop":
        order = [name for name in order if all(name in frame for frame in frames.values())]
        if not order:
            raise InputError("no column is in all sources, so on_missing_column: drop leaves nothing; choose mask")
    columns = {name: stack_column(name, frames) for name in order}
    source = np.repeat(list(frames), [len(frame) for frame in frames.values()])
    frame = pd.DataFrame({**columns, "_source": source})
    mask = pd.DataFrame(
        {name: np.concatenate([np.full(len(frame), name in frame) for frame in frames.values()]) for name in order}
        | {"_source": np.ones(len(frame), bool)}
    )
    entity = np.concatenate([entities[name] for name in frames])
    row = np.concatenate([np.arange(len(frame)) for frame in frames.values()])
    return Combined(frame, mask, entity, row, report={"op": "union", "rows_in": len(frame), "rows_out": len(frame)})


def stack_column(name: str, frames: Mapping[str, pd.DataFrame]) -> pd.Series:
    """Stack one column of all sources in their common type; it is missing where a source does not have it."""
    parts = {source: to_arrow(frame[name]) for source, frame in frames.items() if name in frame}
    kind = common_type(name, {source: column_type for source, (_, column_type) in parts.items()})
    chunks = [
        cast_to(parts[source][0], kind) if source in parts else pa.nulls(len(frame), kind)
        for source, frame in frames.items()
    ]
    return to_frame(pa.table({name: pa.chunked_array(chunks, kind)}))[name]


def join_rows(frames: Mapping[str, pd.DataFrame], entities: Mapping[str, Integers], plan: Plan) -> Combined:
    """Join the rows of each entity; where several sources have a column, the plan's rule resolves conflicts.

    Raises:
        DataError: The join would multiply rows.
    """
    growth = count_growth(entities)
    check_growth(growth, float(plan.combine["max_growth"]), str(plan.combine["cardinality"]))
    frames = _unify_types(frames, plan)
    rows = _row_numbers(entities)
    report: dict[str, Any] = {"op": "join", "growth": round(growth.factor, 4), "cardinality": growth.cardinality}
    report |= {"rows_in": sum(map(len, entities.values())), "rows_out": len(rows)}
    report["entities"] = int(rows["_entity"].nunique())
    present = {name: rows[name].to_numpy() >= 0 for name in frames}
    columns, masks, origins, conflicts = {}, {}, {}, {}
    trust = {name: plan.inputs[name].trust for name in frames}
    time_column = plan.resolve.get("when")
    times = _timestamps(frames, rows, str(time_column)) if time_column else None
    for name in plan.mapped:
        sources = [source for source in frames if name in frames[source]]
        parts = pd.DataFrame({source: _take_rows(frames[source][name], rows[source]) for source in sources})
        masks[name] = np.logical_or.reduce([present[source] for source in sources])
        if len(sources) == 1:
            columns[name] = parts[sources[0]]
            origins[name] = parts[sources[0]].map(lambda _, name=sources[0]: name, na_action="ignore").to_numpy()
            continue
        rule = plan.resolve["columns"].get(name, plan.resolve["default"])
        chosen, origin = resolve(parts, rule, trust, times)
        columns[name], origins[name] = chosen, origin.to_numpy()
        conflicts[name] = {"rule": rule, "conflicts": _count_conflicts(parts)}
    patterns, pattern_index = np.unique(np.column_stack(list(present.values())), axis=0, return_inverse=True)
    names = np.array(list(frames), object)
    source = np.array(["+".join(names[pattern]) for pattern in patterns], object)[pattern_index.ravel()]
    frame = pd.DataFrame({name: compact_integers(values.reset_index(drop=True)) for name, values in columns.items()})
    frame["_source"] = source
    masks["_source"] = np.ones(len(rows), bool)
    report["conflicts"] = conflicts
    return Combined(
        frame,
        pd.DataFrame(masks),
        rows["_entity"].to_numpy(),
        np.full(len(rows), -1),
        pd.DataFrame(origins),
        report,
    )


def _unify_types(frames: Mapping[str, pd.DataFrame], plan: Plan) -> dict[str, pd.DataFrame]:
    """Convert each column to its common type, so that equal values compare equal."""
    ends = np.cumsum([len(frame) for frame in frames.values()])
    columns: dict[str, dict[str, pd.Series]] = {source: {} for source in frames}
    for name in plan.mapped:
        whole = stack_column(name, frames)
        for (source, frame), end in zip(frames.items(), ends, strict=True):
            if name in frame:
                columns[source][name] = whole.iloc[end - len(frame) : end].reset_index(drop=True)
    return {source: pd.DataFrame(columns[source], index=range(len(frame))) for source, frame in frames.items()}


def _row_numbers(entities: Mapping[str, Integers]) -> pd.DataFrame:
    """Return the row numbers in each source of every joined row; -1 where a source has none."""
    merged: pd.DataFrame | None = None
    for name, numbers in entities.items():
        rows = pd.DataFrame({"_entity": numbers, name: np.arange(len(numbers))})
        merged = rows if merged is None else merged.merge(rows, on="_entity", how="outer", sort=True)
    assert merged is not None
    return merged.fillna(-1).astype("int64")


def _take_rows(values: pd.Series, rows: pd.Series) -> pd.Series:
    """Return the values by row number, missing for -1."""
    nullable = values.astype("Int64") if pd.api.types.is_integer_dtype(values.dtype) else values
    return nullable.reset_index(drop=True).reindex(rows.to_numpy()).reset_index(drop=True)


def _count_conflicts(parts: pd.DataFrame) -> int:
    """Count the rows whose sources disagree."""
    codes = encode_values(parts)
    lowest = np.where(codes < 0, codes.max(initial=0) + 1, codes).min(axis=1)
    return int((lowest < codes.max(axis=1)).sum())


def _timestamps(frames: Mapping[str, pd.DataFrame], rows: pd.DataFrame, when: str) -> pd.DataFrame:
    """Return the timestamps of each source's rows."""
    absent = [name for name in frames if when not in frames[name]]
    if absent:
        raise InputError(f"resolve: {when!r} is not a column of {quote(absent)}; choose a column of all sources")
    return pd.DataFrame({name: _take_rows(frames[name][when], rows[name]) for name in frames})


def fuse_sources(
    frames: Mapping[str, pd.DataFrame], entities: Mapping[str, Integers], overlap: pd.DataFrame | None, seed: int
) -> Combined:
    """Sample the columns that only the second source has for the rows of the first.

    Raises:
        InputError: There are not exactly two sources, or they share no column.
    """
    if len(frames) != 2:
        raise InputError(f"fuse takes two sources, not {len(frames)}; mix two at a time")
    (one, a), (other, b) = frames.items()
    common = [str(name) for name in a if name in b]
    if not common:
        raise InputError(f"{one!r} and {other!r} have no column in common, so nothing can be fused; map one")
    fused = fuse(a, b, common, overlap, seed)
    frame = fused.frame.reset_index(drop=True)
    drawn = [name for name in frame if name not in a]
    frame["_source"] = one
    mask = pd.DataFrame({name: np.full(len(frame), name not in drawn) for name in frame})
    origin = pd.DataFrame(
        {name: np.full(len(frame), other if name in drawn else one) for name in frame if name != "_source"}
    )
    report = {"op": "fuse", "rows_in": len(a) + len(b), "rows_out": len(frame), "drawn": drawn, **fused.report}
    return Combined(frame, mask, entities[one], np.arange(len(frame)), origin, report)
