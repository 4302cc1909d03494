"""The command line of mixing: what ``tabsynth mix suggest``, ``review`` and ``apply`` take. Parsing alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable

MIX = """\
examples:
  tabsynth mix suggest cleveland=a.parquet va=b.csv --output plan.yaml
  tabsynth mix review plan.yaml --output review.html         look, then set each status in plan.yaml
  tabsynth mix apply plan.yaml --output mixed.parquet --report mixed.json

suggest decides nothing: every entry of the plan is proposed until a person accepts it, or apply --accept-above 0.8
takes those that score at least 0.8 and ask nothing.
"""


def add_mix(command: Callable[[str, str, str], argparse.ArgumentParser]) -> None:
    """Add ``mix`` and its three verbs to the parser of all commands."""
    verbs = command("mix", "Make one table of several by a plan that a person reviews.", MIX).add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    suggest = verbs.add_parser("suggest", help="write a plan for some tables")
    suggest.add_argument("tables", nargs="+", metavar="NAME=FILE", help="the sources, each with a name")
    suggest.add_argument("--target", metavar="FILE", help="the schema of the mixed table, as JSON")
    suggest.add_argument("--output", "-o", required=True, metavar="PLAN", help="the YAML file to write")
    review = verbs.add_parser("review", help="show the evidence for a plan's entries")
    review.add_argument("plan", metavar="PLAN", help="a plan's YAML file")
    review.add_argument("--output", "-o", metavar="FILE", help="page to write (.html); without it: a diff on stdout")
    apply = verbs.add_parser("apply", help="make the mixed table")
    apply.add_argument("plan", metavar="PLAN", help="a plan's YAML file")
    apply.add_argument("--output", "-o", required=True, metavar="FILE", help="CSV, Parquet or Excel file to write")
    apply.add_argument(
        "--accept-above", type=float, metavar="SCORE", help="accept proposals that score so and ask nothing"
    )
    apply.add_argument("--report", metavar="FILE", help="also write what was done, as JSON")
    apply.add_argument("--lineage", metavar="FILE", help="also write where rows come from, if the plan publishes it")
    apply.add_argument("--schema", metavar="FILE", help="also write the mixed table's schema, for fit --schema")
    apply.add_argument(
        "--stream", action="store_true", help="batch by batch, in little memory; by itself for inputs of over 256 MB"
    )
    apply.add_argument(
        "--person", action="store_true", help="add the column _entity, so that no person is split or counted twice"
    )
    apply.add_argument("--seed", type=int, default=0, metavar="N", help="seed (default: %(default)s)")
