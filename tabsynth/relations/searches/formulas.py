"""Discover the formulas of a table, those of the simplest kinds first."""

from __future__ import annotations

from collections.abc import Mapping

from tabsynth.relations.formulas.by_group import discover_by_group
from tabsynth.relations.formulas.extrema import discover_extrema, discover_sums_without_extremes
from tabsynth.relations.formulas.factors import discover_factors
from tabsynth.relations.formulas.features import discover_features
from tabsynth.relations.formulas.found import Found
from tabsynth.relations.formulas.pieces import discover_pieces, discover_pieces_by_group
from tabsynth.relations.formulas.rule import FormulaRule
from tabsynth.relations.formulas.scaled_lines import discover_scaled_lines
from tabsynth.relations.formulas.two_terms import discover_two_terms
from tabsynth.relations.formulas.within_values import discover_within_values
from tabsynth.relations.rule_columns import Columns
from tabsynth.relations.searches.pair_lookups import discover_pair_lookups


def discover_formulas(columns: Columns, computed: Mapping[str, frozenset[str]]) -> list[FormulaRule]:
    """Find the numbers that a formula of other columns determines in all rows.

    Args:
        columns: The table.
        computed: Columns that an exact relation computes, with those that it reads.
    """
    found = Found.start(columns, computed)
    for search in (
        discover_extrema,
        discover_sums_without_extremes,
        discover_features,
        discover_factors,
        discover_two_terms,
        discover_pieces,
        discover_by_group,
        discover_pieces_by_group,
        discover_scaled_lines,
        discover_within_values,
        discover_pair_lookups,
    ):
        search(found)
    return found.rules
