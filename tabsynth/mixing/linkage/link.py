"""Link rows of several sources by person: one entry point for all engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Integers
from tabsynth.errors import DataError, InputError
from tabsynth.mixing.linkage import bloom_filters, exact, probabilistic
from tabsynth.mixing.linkage.clusters import cluster_pairs, sources_per_entity
from tabsynth.mixing.linkage.spec import MAX_REPORTED_KEYS, LinkSpec

MAX_OVERLINKED_SHARE = 0.01
"""Maximum share of linked records in groups that are too large for one person."""

MIN_OTHER_FORM_SHARE = 0.01
"""Minimum share of keys that match only in another form, relative to the linked records, that raises an alarm."""

PAIR_COLUMNS = ["source_a", "row_a", "source_b", "row_b", "probability"]


@dataclass(frozen=True, eq=False)
class Links:
    """The result of linkage.

    Attributes:
        entities: By source, the entity of each row, shape (rows,), numbered alike in all sources.
        pairs: Pairs with at least the probability of the review band's lower end, in descending order: ``source_a``,
            ``row_a``, ``source_b``, ``row_b``, ``probability``. A row is the first one of its record.
        report: Counts for the report; ``alarms`` lists evidence of wrong or missed links.
    """

    entities: dict[str, Integers]
    pairs: pd.DataFrame
    report: dict[str, Any]


def link(frames: Mapping[str, pd.DataFrame], keys: Mapping[str, list[str]], spec: LinkSpec, seed: int = 0) -> Links:
    """Number the rows of all sources by entity.

    Rows of a source with the same key are one record; a null or placeholder key joins nothing. Keys are local to their
    source unless ``exact`` joins by them.

    Args:
        frames: The sources.
        keys: The key columns of each source; none where every row is a record.
        spec: The linkage settings.
        seed: Random seed of the engine.

    Raises:
        InputError: There is no source, or a key or field does not fit.
        DataError: A source has no rows, or a column is missing.
        MissingDependencyError: The engine's package is not installed.
    """
    if not frames:
        raise InputError("there is no source to link; pass at least one frame")
    empty = [source for source, frame in frames.items() if not len(frame)]
    if empty:
        raise DataError(f"source {empty[0]!r} has no rows; leave it out")
    source_records = {source: _number_records(source, frame, keys.get(source, [])) for source, frame in frames.items()}
    report: dict[str, Any] = {"engine": spec.engine, "threshold": spec.threshold}
    report |= exact.key_report(
        {source: number for source, (_, _, number) in source_records.items() if number is not None}
    )
    heavy_merged = list(report["heavy_keys"])
    records = {source: frame.iloc[source_records[source][1]].reset_index(drop=True) for source, frame in frames.items()}
    pairs, engine_report = (
        _score_pairs(records, keys, spec, seed) if len(frames) > 1 else (pd.DataFrame(columns=PAIR_COLUMNS), {})
    )
    heavy = engine_report.pop("heavy_keys", [])
    # If a person may have several records, all records with a heavy key are linked to one person.
    heavy_merged += [] if spec.one_to_one or spec.engine != "exact" else heavy
    report |= {**engine_report, "heavy_keys": [*report["heavy_keys"], *heavy]}
    joined = pairs[pairs["probability"] >= spec.threshold]
    entities, cluster_report = cluster_pairs(
        {source: len(frame) for source, frame in records.items()}, joined, spec.one_to_one
    )
    low, high = spec.review_band
    report |= {
        "pairs": len(joined),
        "review": int(pairs["probability"].between(low, high, inclusive="left").sum()),
        **cluster_report,
        "alarms": find_alarms(spec, heavy_merged, cluster_report)
        + missed_links(spec, len(joined), len(frames), report),
    }
    rows = {source: entities[source][source_records[source][0]] for source in frames}
    exposure = sources_per_entity(rows)
    report |= {"sources_per_entity": exposure.sources, "epsilon_factor": exposure.factor, "person": str(exposure)}
    for side in "ab":
        first = {source: source_records[source][1] for source in frames}
        pairs[f"row_{side}"] = _first_rows(pairs[f"source_{side}"], pairs[f"row_{side}"], first)
    return Links(rows, pairs.reset_index(drop=True), report)


def find_alarms(
    spec: LinkSpec, heavy: Sequence[Mapping[str, Any]], clusters: Mapping[str, Any] | None = None
) -> list[str]:
    """Return evidence that several people became one person."""
    if spec.engine == "none":
        return []
    out = [
        f"one key of {item['source']!r} has {item['rows']:,} rows: if it means 'not known', list it under na "
        "of the input"
        for item in heavy[:MAX_REPORTED_KEYS]
    ]
    if clusters is None or spec.engine == "exact":  # equal keys form no chains
        return out
    linked = sum(size * number for size, number in clusters["cluster_sizes"].items() if size > 1)
    if clusters["overlinked_records"] > MAX_OVERLINKED_SHARE * linked:
        out.append(
            f"{clusters['overlinked_records']:,} of {linked:,} linked records are connected in groups of up to "
            f"{clusters['largest_group']:,}, too many for one person: raise the threshold, or link by more fields"
        )
    return out


def missed_links(spec: LinkSpec, linked: int, sources: int, report: Mapping[str, Any]) -> list[str]:
    """Return evidence that one person remained several people."""
    if spec.engine == "none" or sources < 2:
        return []
    out = [] if linked else ["no record of one source is linked to a record of another: check the keys"]
    other_form = report.get("other_form", 0)
    if other_form > MIN_OTHER_FORM_SHARE * linked:
        out.append(
            f"{other_form:,} more keys would match if case and leading zeros were ignored, which would merge different "
            "keys of one source: use the same form of keys in all sources"
        )
    return out


def _number_records(source: str, frame: pd.DataFrame, key: Sequence[str]) -> tuple[Integers, Integers, Integers | None]:
    """Return the record of each row, the first row of each record, and each row's key number where there is a key."""
    if not key:
        return np.arange(len(frame)), np.arange(len(frame)), None
    number = exact.number_keys({source: frame}, {source: key})[source]
    # A row without a key is a separate record.
    separate = np.where(number < 0, len(frame) + np.arange(len(frame)), number)
    record = pd.factorize(separate)[0].astype(np.int64)
    return record, np.unique(record, return_index=True)[1].astype(np.int64), number


def _score_pairs(
    records: Mapping[str, pd.DataFrame], keys: Mapping[str, list[str]], spec: LinkSpec, seed: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the engine's pairs by descending probability, and its report."""
    if spec.engine == "none":
        return pd.DataFrame(columns=PAIR_COLUMNS).astype(
            {"row_a": "int64", "row_b": "int64", "probability": "float64"}
        ), {}
    if spec.engine == "exact":
        by = {source: list(spec.fields) or list(keys.get(source, [])) for source in records}
        groups, other_form = exact.number_linked_keys(records, by)
        pairs, left_out = exact.pair_equal_keys(groups, spec.one_to_one)
        return pairs, {**exact.key_report(groups), "ambiguous": left_out, "other_form": other_form}
    low = min(spec.review_band[0], spec.threshold)
    if spec.engine == "clk":
        return bloom_filters.score_pairs(records, spec.fields, low)
    return probabilistic.score_pairs(records, spec.fields, low, seed=seed)


def _first_rows(sources: pd.Series, records: pd.Series, first: Mapping[str, Integers]) -> Integers:
    """Return the first row of each record."""
    out = np.zeros(len(records), np.int64)
    for source, rows in first.items():
        from_source = (sources == source).to_numpy()
        out[from_source] = rows[records.to_numpy(np.int64)[from_source]]
    return out
