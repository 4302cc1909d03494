"""The records to link, in an offline DuckDB with bounded memory that writes to one folder."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa


def open_database(folder: Path, memory: str, *, threads: int | None = None, ordered: bool = False) -> Any:
    """Return an offline DuckDB connection with all its files in one folder.

    Args:
        folder: The folder.
        memory: The memory limit before DuckDB spills to disk; the process needs more in addition.
        threads: The number of threads; default: one for each core.
        ordered: Whether the order of rows is preserved.
    """
    import duckdb

    offline = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    con = duckdb.connect(str(folder / "link.duckdb"), config={**offline, "memory_limit": memory})
    if threads is not None:
        run_sql(con, f"SET threads={threads}")
    order = f"preserve_insertion_order={'true' if ordered else 'false'}"
    for setting in (f"temp_directory='{escape_quotes(folder)}'", "enable_progress_bar=false", order):
        run_sql(con, f"SET {setting}")
    return con


def escape_quotes(text: object) -> str:
    """Return the text for use in an SQL string."""
    return str(text).replace("'", "''")


def run_sql(con: Any, sql: str) -> list[Any]:
    """Run a statement and fetch its rows."""
    return list(con.execute(sql).fetchall())


def load_sources(con: Any, tables: Mapping[str, pa.Table]) -> dict[str, float]:
    """Load the sources as s0, s1, ... with columns f0, f1, ...; return the share of pairs that have each field."""
    shares: dict[str, list[float]] = {}
    for i, table in enumerate(tables.values()):
        for name in table.column_names:
            shares.setdefault(name, []).append(1 - table[name].null_count / len(table))
        plain = table.rename_columns([f"f{j}" for j in range(table.num_columns)])
        con.register("incoming", plain.append_column("unique_id", pa.array(np.arange(len(table)))))
        run_sql(con, f"CREATE TABLE s{i} AS SELECT * FROM incoming ORDER BY unique_id")
        con.unregister("incoming")
    return {
        name: float(np.mean([a * b for a, b in itertools.combinations(source_shares, 2)]))
        for name, source_shares in shares.items()
    }


def count_pairs(con: Any, rule: Sequence[str], names: Mapping[str, str], sizes: Mapping[str, int]) -> int:
    """Count the record pairs that agree on a rule's fields, over all pairs of sources."""
    columns = [names[name] for name in rule]
    key, filled = ", ".join(columns), " AND ".join(f"{column} IS NOT NULL" for column in columns)
    groups = [
        f"(SELECT {key}, count(*)::DOUBLE AS n FROM s{i} WHERE {filled} GROUP BY {key})" for i in range(len(sizes))
    ]
    every = " UNION ALL ".join(f"SELECT * FROM {group}" for group in groups)
    # Over sources, sum of products of two = (square of the sum - sum of the squares) / 2.
    per_key = f"SELECT (sum(n) * sum(n) - sum(n * n)) / 2 AS pairs FROM ({every}) GROUP BY {key}"
    return int(run_sql(con, f"SELECT coalesce(sum(pairs), 0) FROM ({per_key})")[0][0])


def count_repeats(con: Any, columns: Sequence[str], sources: int) -> int:
    """Count the record pairs within sources that agree on columns."""
    key, filled = ", ".join(columns), " AND ".join(f"{column} IS NOT NULL" for column in columns)
    each = (
        f"SELECT coalesce(sum(n * (n - 1) / 2), 0) AS pairs FROM "
        f"(SELECT count(*)::DOUBLE AS n FROM s{i} WHERE {filled} GROUP BY {key})"
        for i in range(sources)
    )
    return int(run_sql(con, f"SELECT sum(pairs) FROM ({' UNION ALL '.join(each)})")[0][0])


def count_possible_pairs(con: Any, sources: int) -> int:
    """Return the number of record pairs of different sources."""
    sizes = [int(run_sql(con, f"SELECT count(*) FROM s{i}")[0][0]) for i in range(sources)]
    return sum(a * b for a, b in itertools.combinations(sizes, 2))
