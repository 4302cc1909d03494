"""Probabilistic linkage by Splink on DuckDB; comparisons, blocking and training rules follow from the fields' kinds.

No labelled pairs are needed: chance agreement is estimated from random pairs, agreement within a person by expectation
maximisation, and the number of matches as the sum of the pairs' probabilities.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tabsynth.common.atomic_files import temporary_folder
from tabsynth.common.process_state import quiet_logger
from tabsynth.common.progress import progress_bar
from tabsynth.errors import DataError, InputError, missing_package
from tabsynth.mixing.linkage import blocking, comparisons
from tabsynth.mixing.linkage.database import count_pairs, count_possible_pairs, load_sources, open_database
from tabsynth.mixing.linkage.exact import key_report
from tabsynth.mixing.linkage.fields import FieldKind, prepare_fields

MAX_MEMORY = "1200MB"
"""DuckDB's memory limit."""

N_RANDOM_PAIRS = 2e6
"""Random pairs for estimating chance agreement."""

MAX_TRAINING_PAIRS = 1e6
"""Blocked pairs of each training rule for estimating agreement within persons."""

CHUNK_PAIRS = 10_000_000
"""Pairs compared at once."""

SPARE_BITS = 10.0
"""Margin of the match weight below that of the minimum probability, until the share of matches is estimated."""


def score_pairs(
    records: Mapping[str, pd.DataFrame], fields: Sequence[str], low: float, seed: int = 0
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Score the blocked pairs of records of different sources.

    Args:
        records: The sources, one row for each record.
        fields: The columns to compare.
        low: Minimum probability of a returned pair.
        seed: Random seed.

    Returns:
        ``source_a``, ``row_a``, ``source_b``, ``row_b``, ``probability`` in descending order; and the report.

    Raises:
        MissingDependencyError: Splink or DuckDB is not installed.
        InputError: There are too few fields.
        DataError: A field is missing or empty, or every blocking rule has too many pairs.
    """
    try:
        import duckdb  # noqa: F401 - both or neither
        from splink import DuckDBAPI
    except ImportError as error:
        raise missing_package("linking with engine splink", "splink", "mixing") from error
    if len(fields) < 2:
        raise InputError(f"splink needs at least two fields to learn from, not {list(fields)!r}; use engine 'exact'")
    tables, kinds = prepare_fields(records, fields)
    heavy = key_report(_identifier_codes(tables, kinds))["heavy_keys"]
    swaps = comparisons.find_swappable_fields(tables, kinds)
    with temporary_folder("tabsynth-") as folder:
        con = open_database(folder, MAX_MEMORY)
        try:
            filled = load_sources(con, tables)
            del tables
            sizes = {source: len(frame) for source, frame in records.items()}
            names = {name: f"f{i}" for i, name in enumerate(fields)}
            rules, reach = blocking.choose_rules(
                fields, filled, lambda rule: count_pairs(con, rule, names, sizes), max(sizes.values())
            )
            if not rules:
                raise DataError(
                    f"no combination of the fields {list(fields)!r} distinguishes records well enough; add a field "
                    "with more values, such as a date of birth, a postcode or a name"
                )
            grouped = comparisons.group_dependent_fields(con, names, sizes)
            plan = _SplinkModel(names, kinds, swaps, grouped, rules, _match_prior(sizes))
            scored, matches = _train_and_score(con, DuckDBAPI(con), plan, list(sizes), low, seed)
        finally:
            con.close()
    report = {
        "fields": dict(kinds),
        "swaps": [list(swap) for swap in swaps],
        "together": [group for group in grouped if len(group) > 1],
        "blocking": [{"fields": list(rule), "pairs": number} for rule, number in rules.items()],
        "blocking_reach": round(reach, 5),
        "expected_matches": round(matches, 1),
        "heavy_keys": heavy,
    }
    return _name_sources(scored, list(sizes)), report


class _SplinkModel:
    """Comparisons, blocking and training rules in Splink's terms, with neutral field names."""

    def __init__(
        self,
        names: Mapping[str, str],
        kinds: Mapping[str, FieldKind],
        swaps: list[tuple[str, str]],
        grouped: list[list[str]],
        rules: Mapping[blocking.Rule, int],
        prior: float,
    ) -> None:
        self.prior = prior
        self.rules = rules
        self.names = names
        others = {name: [b if a == name else a for a, b in swaps if name in (a, b)] for name in names}
        self.levels = {
            group[0]: comparisons.comparison_levels(
                [(names[n], kinds[n], [names[o] for o in others[n]]) for n in group]
            )
            for group in grouped
        }
        touches = {group[0]: set(group).union(*(others[name] for name in group)) for group in grouped}
        self.training = blocking.choose_training_rules(rules, touches)

    def settings(self) -> Any:
        """Return Splink's settings."""
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
        """Return a rule's neutral field names."""
        return [self.names[name] for name in rule]


def _train_and_score(
    con: Any, api: Any, plan: _SplinkModel, sources: Sequence[str], low: float, seed: int
) -> tuple[pd.DataFrame, float]:
    """Train, compare all blocked pairs, and return those with at least ``low`` and the expected number of matches."""
    from splink import Linker, block_on

    tables = [api.register(f"s{i}", dataset_display_name=f"d{i:04d}") for i in range(len(sources))]
    chunks = max(1, -(-sum(plan.rules.values()) // CHUNK_PAIRS))
    with quiet_logger("splink").made():  # the report contains what Splink would log
        linker = Linker(tables, plan.settings(), log_level=None, validate_settings=False)
        with progress_bar(1 + len(plan.training) + chunks, "link", "step", None) as bar:
            linker.training.estimate_u_using_random_sampling(N_RANDOM_PAIRS, seed=seed + 1, min_count_per_level=None)
            bar.update()
            for rule in plan.training:
                linker.training.estimate_parameters_using_expectation_maximisation(
                    block_on(*plan.columns(rule)), estimate_without_term_frequencies=True, max_pairs=MAX_TRAINING_PAIRS
                )
                bar.update()
            min_weight = np.log2(low / (1 - low)) - SPARE_BITS if low < 1 else 0.0
            parts = []
            for i in range(chunks):
                part = linker.inference.predict_chunk(
                    (i + 1, chunks), (1, 1), threshold_match_weight=float(min_weight), warning_mode="never"
                )
                parts.append(_fetch_pairs(con, part.physical_name))
                part.drop_table_from_database_and_remove_from_cache()
                bar.update()
    scored = pd.concat(parts, ignore_index=True)
    possible = count_possible_pairs(con, len(sources))
    bits, matches = _posterior(scored["match_weight"].to_numpy(float), plan.prior, possible)
    # Rounding makes the result independent of the order of summation.
    scored["weight"] = np.round(bits, 6)
    scored["probability"] = np.round(1 / (1 + np.exp2(-scored["weight"])), 9)
    return scored[scored["probability"] >= low], matches


def _fetch_pairs(con: Any, name: str) -> pd.DataFrame:
    """Fetch scored pairs with the sources' numbers."""
    pairs: pd.DataFrame = con.sql(
        "SELECT CAST(substr(source_dataset_l, 2) AS SMALLINT) AS source_a, unique_id_l AS row_a, "
        "CAST(substr(source_dataset_r, 2) AS SMALLINT) AS source_b, unique_id_r AS row_b, match_weight "
        f"FROM {name}"
    ).df()
    return pairs


def _posterior(weight: npt.NDArray[np.float64], prior: float, possible: int) -> tuple[npt.NDArray[np.float64], float]:
    """Return match weights for the estimated share of matches, and the expected number of matches.

    The share is the fixed point of EM: the mean probability over all pairs, where pairs not compared count as 0.
    """
    base = weight - np.log2(prior / (1 - prior))
    share = prior
    for _ in range(100):
        total = float((1 / (1 + np.exp2(-(base + np.log2(share / (1 - share)))))).sum())
        updated = min(max(total, 0.5) / possible, 0.5)
        if abs(updated - share) < 1e-9 * share:
            break
        share = updated
    return base + np.log2(share / (1 - share)), share * possible


def _match_prior(sizes: Mapping[str, int]) -> float:
    """Return the share of matching pairs if every record of the smaller source has a match."""
    both = list(itertools.combinations(sizes.values(), 2))
    return min(sum(min(pair) for pair in both) / sum(a * b for a, b in both), 0.5)


def _identifier_codes(
    tables: Mapping[str, pa.Table], kinds: Mapping[str, FieldKind]
) -> dict[str, npt.NDArray[np.int64]]:
    """Return the identifiers' values as numbers, by source and field."""
    return {
        f"{source}.{name}": pd.factorize(table[name].to_pandas())[0].astype(np.int64)
        for source, table in tables.items()
        for name, kind in kinds.items()
        if kind == "identifier"
    }


def _name_sources(pairs: pd.DataFrame, sources: Sequence[str]) -> pd.DataFrame:
    """Return the pairs with the sources' names, the earlier source first, in a deterministic order."""
    is_reversed = pairs["source_a"] > pairs["source_b"]
    for name in ("source", "row"):
        a, b = pairs[f"{name}_a"], pairs[f"{name}_b"]
        pairs = pairs.assign(**{f"{name}_a": a.mask(is_reversed, b), f"{name}_b": b.mask(is_reversed, a)})
    pairs = pairs.sort_values(
        ["weight", "source_a", "source_b", "row_a", "row_b"],
        ascending=[False, True, True, True, True],
        ignore_index=True,
    )
    names = np.array(list(sources), object)
    for side in "ab":
        pairs[f"source_{side}"] = names[pairs[f"source_{side}"].to_numpy(int)]
    return pairs[["source_a", "row_a", "source_b", "row_b", "probability"]]
