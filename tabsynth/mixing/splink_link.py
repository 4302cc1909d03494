"""Probabilistic linkage by Splink on DuckDB: what to compare, block and train by follows from the columns' kinds.

Nobody's truth is needed: how often values agree by chance comes from random pairs, how often they agree in a person by
expectation maximisation, and how many pairs match from the sum of the pairs' own probabilities.
"""

from __future__ import annotations

import itertools
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tabsynth.errors import DataError, InputError, MissingDependencyError
from tabsynth.mixing import blocking
from tabsynth.mixing.exact import key_report
from tabsynth.mixing.fields import Kind, prepared
from tabsynth.training.progress import bar

CHANCE_PAIRS = 2e6
"""Random pairs from which the chance of agreement is read."""

TRAINING_PAIRS = 1e6
"""Blocked pairs from which the agreement within persons is learned, at each of up to three rules."""

CHUNK = 10_000_000
"""Pairs that are compared at once."""

MEMORY = "1200MB"
"""What DuckDB may hold before it writes to its temporary folder; the process needs more beside it."""

SHARED_WORDS = 0.05
"""Two text fields may be swapped in a row where so much of each one's values occur in the other too."""

SPARE_BITS = 10.0
"""Pairs are kept so far below the wanted probability until the share of matches is known."""


def pairs(
    records: Mapping[str, pd.DataFrame], fields: Sequence[str], low: float, seed: int = 0
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Score the pairs of records of different sources that share enough to be worth comparing.

    Args:
        records: The sources, a record a row.
        fields: The columns to compare.
        low: The probability below which a pair is not kept.
        seed: Seed of the samples.

    Returns:
        ``source_a``, ``row_a``, ``source_b``, ``row_b``, ``probability``, the surest first; and for the report: the
        kinds of the fields, the blocking rules with their pairs, the expected matches.

    Raises:
        MissingDependencyError: Splink or DuckDB is not installed.
        InputError: There are too few fields.
        DataError: A field is missing or empty, or no rule brings few enough pairs.
    """
    try:
        import duckdb
        from splink import DuckDBAPI
    except ImportError as error:
        raise MissingDependencyError("linking by splink needs Splink: pip install 'tabsynth[mixing]'") from error
    if len(fields) < 2:
        raise InputError(f"splink needs at least two fields to learn from, not {list(fields)!r}; use engine 'exact'")
    tables, kinds = prepared(records, fields)
    heavy = key_report(_identifiers(tables, kinds))["heavy_keys"]
    swaps = _swaps(tables, kinds)
    with tempfile.TemporaryDirectory(prefix="tabsynth-link-") as folder:
        # Nothing is fetched: DuckDB may neither look for extensions nor open anything but its own temporary folder.
        settings = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
        con = duckdb.connect(str(Path(folder) / "link.duckdb"), config={**settings, "memory_limit": MEMORY})
        try:
            for setting in (
                f"temp_directory='{folder}'",
                "enable_progress_bar=false",
                "preserve_insertion_order=false",
            ):
                _run(con, f"SET {setting}")
            filled = _load(con, tables)
            _run(con, "SET enable_external_access=false")
            del tables
            sizes = {source: len(frame) for source, frame in records.items()}
            names = {name: f"f{i}" for i, name in enumerate(fields)}
            rules, reach = blocking.choose(
                fields, filled, lambda rule: _count(con, rule, names, sizes), max(sizes.values())
            )
            if not rules:
                raise DataError(
                    f"no fields among {list(fields)!r} tell records apart well enough to compare them; add a field "
                    "with more values, such as a date of birth, a postcode or a name"
                )
            plan = _Plan(names, kinds, swaps, rules, _chance(sizes))
            found, matches = _score(con, DuckDBAPI(con), plan, list(sizes), low, seed)
        finally:
            con.close()
    report = {
        "fields": dict(kinds),
        "swaps": [list(swap) for swap in swaps],
        "blocking": [{"fields": list(rule), "pairs": number} for rule, number in rules.items()],
        "blocking_reach": round(reach, 5),
        "expected_matches": round(matches, 1),
        "heavy_keys": heavy,
    }
    return _by_source(found, list(sizes)), report


class _Plan:
    """What to compare, block and train by, in Splink's terms; fields go by neutral names there."""

    def __init__(
        self,
        names: Mapping[str, str],
        kinds: Mapping[str, Kind],
        swaps: list[tuple[str, str]],
        rules: Mapping[blocking.Rule, int],
        prior: float,
    ) -> None:
        self.prior = prior
        self.rules = rules
        self.names = names
        others = {name: [b if a == name else a for a, b in swaps if name in (a, b)] for name in names}
        self.levels = {name: _levels(names[name], kinds[name], [names[o] for o in others[name]]) for name in names}
        touches = {name: {name, *others[name]} for name in names}
        self.training = blocking.training_rules(rules, touches)

    def settings(self) -> Any:
        """The settings that a linker starts from."""
        from splink import SettingsCreator, block_on
        from splink.comparison_library import CustomComparison

        return SettingsCreator(
            link_type="link_only",
            comparisons=[
                CustomComparison(levels, output_column_name=self.names[n]) for n, levels in self.levels.items()
            ],
            blocking_rules_to_generate_predictions=[block_on(*self.columns(rule)) for rule in self.rules],
            probability_two_random_records_match=self.prior,
            retain_matching_columns=False,
            linker_uid="tabsynth",
        )

    def columns(self, rule: blocking.Rule) -> list[str]:
        """A rule's fields by their neutral names."""
        return [self.names[name] for name in rule]


def _levels(column: str, kind: Kind, others: Sequence[str]) -> list[Any]:
    """How alike two values of a field can be, the most alike first.

    Agreement counts more for a rare value than for a frequent one. Words are close by Jaro and Winkler's measure,
    digits by the number of slips of a typist; names may stand in each other's field.
    """
    from splink import comparison_level_library as level

    close: list[Any] = []
    if kind == "text":
        close = [level.JaroWinklerLevel(column, 0.92), level.JaroWinklerLevel(column, 0.8)]
    elif kind in ("date", "identifier"):
        close = [level.DamerauLevenshteinLevel(column, 1), level.DamerauLevenshteinLevel(column, 2)]
    else:
        close = [level.DamerauLevenshteinLevel(column, 1)]
    swapped = [level.ColumnsReversedLevel(column, other) for other in others]
    exact = level.ExactMatchLevel(column, term_frequency_adjustments=True)
    return [level.NullLevel(column), exact, *swapped, *close, level.ElseLevel()]


def _score(
    con: Any, api: Any, plan: _Plan, sources: Sequence[str], low: float, seed: int
) -> tuple[pd.DataFrame, float]:
    """Train, then compare all blocked pairs; those at or above ``low``, and the number of matches expected in all."""
    from splink import Linker, block_on

    tables = [api.register(f"s{i}", dataset_display_name=f"d{i:04d}") for i in range(len(sources))]
    chunks = max(1, -(-sum(plan.rules.values()) // CHUNK))
    logger = logging.getLogger("splink")
    before = logger.level
    logger.setLevel(logging.CRITICAL)  # what Splink would advise on, the report says
    try:
        linker = Linker(tables, plan.settings(), log_level=None, validate_settings=False)
        with bar(1 + len(plan.training) + chunks, "link", "step", None) as shown:
            linker.training.estimate_u_using_random_sampling(CHANCE_PAIRS, seed=seed + 1, min_count_per_level=None)
            shown.update()
            for rule in plan.training:
                linker.training.estimate_parameters_using_expectation_maximisation(
                    block_on(*plan.columns(rule)), estimate_without_term_frequencies=True, max_pairs=TRAINING_PAIRS
                )
                shown.update()
            least = np.log2(low / (1 - low)) - SPARE_BITS if low < 1 else 0.0
            parts = []
            for i in range(chunks):
                part = linker.inference.predict_chunk(
                    (i + 1, chunks), (1, 1), threshold_match_weight=float(least), warning_mode="never"
                )
                parts.append(_fetch(con, part.physical_name))
                part.drop_table_from_database_and_remove_from_cache()
                shown.update()
    finally:
        logger.setLevel(before)
    found = pd.concat(parts, ignore_index=True)
    possible = _possible(con, len(sources))
    bits, matches = _posterior(found["match_weight"].to_numpy(float), plan.prior, possible)
    # A last digit that hangs on the order of a sum must not decide.
    found["weight"] = np.round(bits, 6)
    found["probability"] = np.round(1 / (1 + np.exp2(-found["weight"])), 9)
    return found[found["probability"] >= low], matches


def _fetch(con: Any, name: str) -> pd.DataFrame:
    """Scored pairs with the sources' numbers."""
    found: pd.DataFrame = con.sql(
        "SELECT CAST(substr(source_dataset_l, 2) AS SMALLINT) AS source_a, unique_id_l AS row_a, "
        "CAST(substr(source_dataset_r, 2) AS SMALLINT) AS source_b, unique_id_r AS row_b, match_weight "
        f"FROM {name}"
    ).df()
    return found


def _posterior(weight: npt.NDArray[np.float64], prior: float, possible: int) -> tuple[npt.NDArray[np.float64], float]:
    """Weights under the share of matches that the pairs themselves imply, and the number of matches expected.

    The share is the fixed point of expectation maximisation for it alone: the mean of the probabilities over all
    pairs, of which those that were not compared count as none.
    """
    base = weight - np.log2(prior / (1 - prior))
    share = prior
    for _ in range(100):
        total = float((1 / (1 + np.exp2(-(base + np.log2(share / (1 - share)))))).sum())
        after = min(max(total, 0.5) / possible, 0.5)
        if abs(after - share) < 1e-9 * share:
            break
        share = after
    return base + np.log2(share / (1 - share)), share * possible


def _chance(sizes: Mapping[str, int]) -> float:
    """The share of pairs that match if every record of the smaller source has its like in the larger."""
    both = list(itertools.combinations(sizes.values(), 2))
    return min(sum(min(pair) for pair in both) / sum(a * b for a, b in both), 0.5)


def _load(con: Any, tables: Mapping[str, pa.Table]) -> dict[str, float]:
    """Put each source into DuckDB as s0, s1, ... with columns f0, f1, ...; the share of pairs that have a field."""
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


def _count(con: Any, rule: blocking.Rule, names: Mapping[str, str], sizes: Mapping[str, int]) -> int:
    """How many pairs of records agree on the fields of a rule, over all pairs of sources."""
    columns = [names[name] for name in rule]
    key, filled = ", ".join(columns), " AND ".join(f"{column} IS NOT NULL" for column in columns)
    groups = [
        f"(SELECT {key}, count(*)::DOUBLE AS n FROM s{i} WHERE {filled} GROUP BY {key})" for i in range(len(sizes))
    ]
    every = " UNION ALL ".join(f"SELECT * FROM {group}" for group in groups)
    # Over sources, sum of products of two = (square of the sum - sum of the squares) / 2.
    per_key = f"SELECT (sum(n) * sum(n) - sum(n * n)) / 2 AS pairs FROM ({every}) GROUP BY {key}"
    return int(_run(con, f"SELECT coalesce(sum(pairs), 0) FROM ({per_key})")[0][0])


def _run(con: Any, sql: str) -> list[Any]:
    """Run a statement to its end and give its rows."""
    return list(con.execute(sql).fetchall())


def _possible(con: Any, sources: int) -> int:
    """Pairs of records of different sources."""
    sizes = [int(_run(con, f"SELECT count(*) FROM s{i}")[0][0]) for i in range(sources)]
    return sum(a * b for a, b in itertools.combinations(sizes, 2))


def _swaps(tables: Mapping[str, pa.Table], kinds: Mapping[str, Kind]) -> list[tuple[str, str]]:
    """Pairs of text fields whose values mix: what stands in one may belong in the other."""
    values = {
        name: pa.chunked_array(
            [table[name].chunk(i) for table in tables.values() for i in range(table[name].num_chunks)]
        )
        for name, kind in kinds.items()
        if kind == "text"
    }
    values = {name: column.drop_null() for name, column in values.items()}
    distinct = {name: pc.unique(column) for name, column in values.items()}

    def inside(name: str, other: str) -> float:
        return float(pc.mean(pc.is_in(values[name], distinct[other]).cast(pa.float64())).as_py())

    return [
        (a, b)
        for a, b in itertools.combinations(values, 2)
        if inside(a, b) >= SHARED_WORDS and inside(b, a) >= SHARED_WORDS
    ]


def _identifiers(tables: Mapping[str, pa.Table], kinds: Mapping[str, Kind]) -> dict[str, npt.NDArray[np.int64]]:
    """The identifiers' values as numbers, by source and field, to look for heavy ones."""
    return {
        f"{source}.{name}": pd.factorize(table[name].to_pandas())[0].astype(np.int64)
        for source, table in tables.items()
        for name, kind in kinds.items()
        if kind == "identifier"
    }


def _by_source(found: pd.DataFrame, sources: Sequence[str]) -> pd.DataFrame:
    """Pairs under the sources' names, the earlier source first, in an order that nothing random touches."""
    turn = found["source_a"] > found["source_b"]
    for name in ("source", "row"):
        a, b = found[f"{name}_a"], found[f"{name}_b"]
        found = found.assign(**{f"{name}_a": a.mask(turn, b), f"{name}_b": b.mask(turn, a)})
    found = found.sort_values(
        ["weight", "source_a", "source_b", "row_a", "row_b"],
        ascending=[False, True, True, True, True],
        ignore_index=True,
    )
    names = np.array(list(sources), object)
    for side in "ab":
        found[f"source_{side}"] = names[found[f"source_{side}"].to_numpy(int)]
    return found[["source_a", "row_a", "source_b", "row_b", "probability"]]
