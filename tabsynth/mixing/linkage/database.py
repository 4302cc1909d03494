"""The records to link, in an offline DuckDB with bounded memory that writes to one folder."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

MAX_MEMORY = "1200MB"
"""DuckDB's memory limit before it spills to disk; the process needs more in addition."""


def open_database(folder: str) -> Any:
    """A DuckDB connection with all its files in ``folder``."""
    import duckdb

    offline = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    con = duckdb.connect(str(Path(folder) / "link.duckdb"), config={**offline, "memory_limit": MAX_MEMORY})
    for setting in (f"temp_directory='{folder}'", "enable_progress_bar=false", "preserve_insertion_order=false"):
        _run(con, f"SET {setting}")
    return con


def load_sources(con: Any, tables: Mapping[str, pa.Table]) -> dict[str, float]:
    """Load the sources as s0, s1, ... with columns f0, f1, ...; returns by field the share of pairs that have it."""
    shares: dict[str, list[float]] = {}
    for i, table in enumerate(tables.values()):
        for name in table.column_names:
            shares.setdefault(name, []).append(1 - table[name].null_count / len(table))
        plain = table.rename_columns([f"f{j}" for j in range(table.num_columns)])
        con.register("incoming", plain.append_column("unique_id", pa.array(np.arange(len(table)))))
        _run(con, f"CREATE TABLE s{i} AS SELECT * FROM incoming ORDER BY unique_id")
        con.unregister("incoming")
    return {
        name: float(np.mean([a * b for a, b in itertools.combinations(found, 2)])) for name, found in shares.items()
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
    return int(_run(con, f"SELECT coalesce(sum(pairs), 0) FROM ({per_key})")[0][0])


def count_repeats(con: Any, columns: Sequence[str], sources: int) -> int:
    """Count the record pairs within sources that agree on columns."""
    key, filled = ", ".join(columns), " AND ".join(f"{column} IS NOT NULL" for column in columns)
    each = (
        f"SELECT coalesce(sum(n * (n - 1) / 2), 0) AS pairs FROM "
        f"(SELECT count(*)::DOUBLE AS n FROM s{i} WHERE {filled} GROUP BY {key})"
        for i in range(sources)
    )
    return int(_run(con, f"SELECT sum(pairs) FROM ({' UNION ALL '.join(each)})")[0][0])


def count_possible_pairs(con: Any, sources: int) -> int:
    """Number of record pairs of different sources."""
    sizes = [int(_run(con, f"SELECT count(*) FROM s{i}")[0][0]) for i in range(sources)]
    return sum(a * b for a, b in itertools.combinations(sizes, 2))


def _run(con: Any, sql: str) -> list[Any]:
    """Run a statement and fetch its rows."""
    return list(con.execute(sql).fetchall())
