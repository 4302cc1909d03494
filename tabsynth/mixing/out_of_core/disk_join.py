"""Count and join keys on disk with DuckDB."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabsynth.mixing.linkage.clusters import Exposure
from tabsynth.mixing.linkage.database import escape_quotes, run_sql
from tabsynth.mixing.linkage.exact import MIN_HEAVY_ROWS, Growth
from tabsynth.mixing.linkage.link import find_alarms, missed_links
from tabsynth.mixing.linkage.spec import LinkSpec

KEY_COLUMN, LOOSE_COLUMN = "_key", "_loose"
"""Columns of staged files: each row's key, and the key without case, leading zeros and compatibility characters."""

MAX_MEMORY = "500MB"
"""DuckDB's memory limit."""


@dataclass(frozen=True)
class KeyCounts:
    """The counted keys.

    Attributes:
        report: As ``Links.report``.
        exposure: Sources and rows of each person.
        growth: The growth of a join.
        joined: Maximum rows of a person after it.
        column: The column of the keys: ``_key``, or ``_loose`` where the form of keys is ignored.
    """

    report: dict[str, Any]
    exposure: Exposure
    growth: Growth
    joined: int
    column: str


def count_keys(con: Any, paths: Mapping[str, Path], spec: LinkSpec, keyed: Collection[str], records: bool) -> KeyCounts:
    """Count keys in all sources, and create the table ``entities`` of keys and their first rows.

    Args:
        con: The database.
        paths: The staged sources.
        spec: Linkage settings; ``exact`` or ``none``.
        keyed: The sources that have a key.
        records: Whether rows of a source with the same key are one record.
    """
    names = list(paths)
    column, other_form = _key_column(con, paths) if spec.engine == "exact" else (KEY_COLUMN, 0)
    run_sql(con, f"CREATE OR REPLACE VIEW every AS {_union(paths, column)}")
    run_sql(
        con,
        "CREATE TABLE held AS SELECT s, _key, count(*)::BIGINT AS c, min(_n)::BIGINT AS first FROM every "
        "WHERE _key IS NOT NULL GROUP BY s, _key",
    )
    rows = dict(run_sql(con, "SELECT s, count(*) FROM every GROUP BY s"))
    filled = dict(run_sql(con, "SELECT s, sum(c) FROM held GROUP BY s"))
    found = run_sql(
        con,
        f"SELECT s, c, first FROM held JOIN (SELECT s, avg(c) AS m FROM held GROUP BY s) USING (s) "
        f"WHERE c > greatest({MIN_HEAVY_ROWS}, {MIN_HEAVY_ROWS} * m) ORDER BY c DESC, first LIMIT 100",
    )
    heavy = [{"source": names[s], "rows": c, "first_row": n - _first_row(rows, s)} for s, c, n in found]
    # With one record per person and source, a key of several records joins none of them.
    alone = spec.engine == "exact" and spec.one_to_one and not records
    kept = "_key NOT IN (SELECT _key FROM held WHERE c > 1)" if alone else "true"
    by = "_key" if spec.engine == "exact" else "s, _key"
    run_sql(
        con,
        f"CREATE TABLE entities AS SELECT {by}, min(first) AS e, sum(c)::BIGINT AS n, count(*)::BIGINT AS k, "
        "product(c) AS made, max(c) AS side FROM held "
        f"WHERE {kept} GROUP BY {by}",
    )
    sources = {int(k): int(c) for k, c in run_sql(con, "SELECT k, count(*) FROM entities GROUP BY k ORDER BY k")}
    sql = "SELECT coalesce(sum(n), 0), coalesce(max(n), 1), coalesce(max(made), 1) FROM entities"
    inside, most, joined = run_sql(con, sql)[0]
    total = sum(rows.values())
    if total > inside:
        sources[1] = sources.get(1, 0) + int(total - inside)
    exposure = Exposure(dict(sorted(sources.items())), max(sources), int(most))
    report: dict[str, Any] = {"engine": spec.engine, "heavy_keys": heavy}
    report["null_keys"] = {name: int(rows[i] - filled.get(i, 0)) for i, name in enumerate(names) if name in keyed}
    if spec.engine == "exact":
        report["ambiguous"] = int(run_sql(con, f"SELECT coalesce(sum(c), 0) FROM held WHERE NOT ({kept})")[0][0])
        report["other_form"] = other_form
    linked = sum(count for number, count in sources.items() if number > 1)
    report["alarms"] = find_alarms(spec, [] if alone else heavy) + missed_links(spec, linked, len(names), report)
    report |= {"sources_per_entity": exposure.sources, "epsilon_factor": exposure.factor, "person": str(exposure)}
    return KeyCounts(report, exposure, _growth(con, names), int(joined), column)


def _union(paths: Mapping[str, Path], column: str) -> str:
    """Return all rows of all sources with their keys, as SQL."""
    return " UNION ALL ".join(
        f"SELECT {i}::INTEGER AS s, _n, {column} AS _key FROM read_parquet('{escape_quotes(path)}')"
        for i, path in enumerate(paths.values())
    )


def _key_column(con: Any, paths: Mapping[str, Path]) -> tuple[str, int]:
    """Return the column to link by, as ``exact.number_linked_keys``, and the number of keys that match loosely only."""
    distinct, shared = {}, {}
    for column in (KEY_COLUMN, LOOSE_COLUMN):
        keys = f"(SELECT DISTINCT s, _key FROM ({_union(paths, column)}) WHERE _key IS NOT NULL)"
        distinct[column] = run_sql(con, f"SELECT s, count(*) FROM {keys} GROUP BY s ORDER BY s")
        found = run_sql(con, f"SELECT count(*) FROM (SELECT _key FROM {keys} GROUP BY _key HAVING count(*) > 1)")
        shared[column] = int(found[0][0])
    if distinct[KEY_COLUMN] == distinct[LOOSE_COLUMN]:
        return LOOSE_COLUMN, 0
    return KEY_COLUMN, max(0, shared[LOOSE_COLUMN] - shared[KEY_COLUMN])


def _first_row(rows: Mapping[int, int], source: int) -> int:
    """Return the number of a source's first row."""
    return sum(count for i, count in rows.items() if i < source)


def _growth(con: Any, names: Sequence[str]) -> Growth:
    """Return the growth of a join of keys, as ``exact.count_growth`` does."""
    sql = "SELECT coalesce(sum(made), 0), coalesce(sum(side), 0), coalesce(max(made), 0) FROM entities WHERE k > 1"
    made, side, worst = run_sql(con, sql)[0]
    several = dict(run_sql(con, "SELECT s, sum(c) FROM held SEMI JOIN entities USING (_key) WHERE c > 1 GROUP BY s"))
    shared = run_sql(
        con,
        "SELECT max(times) FROM (SELECT sum((c > 1)::INTEGER) AS times FROM held SEMI JOIN entities USING (_key) "
        "GROUP BY _key)",
    )[0][0]
    kind = "m:n" if (shared or 0) > 1 else "1:n" if shared else "1:1"
    repeated = {name: int(several.get(i, 0)) for i, name in enumerate(names)}
    return Growth(float(made / side) if side else 1.0, int(made), kind, int(worst), repeated)


def join_sources(
    con: Any, paths: Mapping[str, Path], columns: Sequence[Sequence[str]], trust: Mapping[str, float], to: Path
) -> None:
    """Join the rows of each entity in a file; the most trusted source's value is kept.

    The file has the columns ``c0``, ``c1``, ..., ``_source``, and for each ``cN`` of several sources a flag ``xN`` of
    disagreement. Rows are in the order of their entities' first rows. Columns are numbered because DuckDB's names are
    case-insensitive.

    Args:
        con: The database, after ``count_keys``.
        paths: The sources, with columns of common types.
        columns: The sources that have each column.
        trust: Trust in each source.
        to: The file to write.
    """
    names = list(paths)
    at = {name: f"t{i}" for i, name in enumerate(names)}
    sides = [
        f"(SELECT f.*, coalesce(e.e, f._n) AS _e FROM read_parquet('{escape_quotes(path)}') AS f "
        f"LEFT JOIN entities AS e USING (_key)) AS {at[name]}"
        for name, path in paths.items()
    ]
    joined, known = sides[0], [f"{at[names[0]]}._e"]
    for name, side in zip(names[1:], sides[1:], strict=True):
        joined += f" FULL OUTER JOIN {side} ON coalesce({', '.join(known)}) = {at[name]}._e"
        known.append(f"{at[name]}._e")
    order = sorted(names, key=lambda name: -trust[name])
    chosen = []
    for i, have in enumerate(columns):
        cells = [f"{at[name]}.c{i}" for name in order if name in have]
        chosen.append(f"coalesce({', '.join(cells)}) AS c{i}")
        if len(cells) > 1:
            chosen.append(f"len(list_distinct([{', '.join(cells)}])) > 1 AS x{i}")
    labels = ", ".join(f"CASE WHEN {at[name]}._n IS NOT NULL THEN '{escape_quotes(name)}' END" for name in names)
    by = ", ".join([f"coalesce({', '.join(known)})", *(f"{at[name]}._n" for name in names)])
    query = f"SELECT {', '.join(chosen)}, concat_ws('+', {labels}) AS _source FROM {joined} ORDER BY {by}"
    run_sql(con, f"COPY ({query}) TO '{escape_quotes(to)}' (FORMAT parquet)")
