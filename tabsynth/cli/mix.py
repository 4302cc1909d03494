"""The command ``mix``: suggest, review and apply a mixing plan."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from tabsynth.cli.output import DONE, AddCommand, say

if TYPE_CHECKING:
    from tabsynth.mixing.out_of_core.mix_to_file import MixedFile
    from tabsynth.mixing.plan.plan import Plan


MIX = """\
examples:
  tabsynth mix suggest cleveland=a.parquet va=b.csv --output plan.yaml
  tabsynth mix review plan.yaml --output review.html         look, then set each status in plan.yaml
  tabsynth mix apply plan.yaml --output mixed.parquet --report mixed.json

suggest decides nothing: every entry of the plan is proposed until a person accepts it, or apply --accept-above 0.8
takes those that score at least 0.8 and ask nothing.
"""

MIN_STREAMED_BYTES = 1 << 28
"""Bytes of input files from which tables are mixed batch by batch, where the plan allows it."""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
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


def run(args: Namespace) -> int:
    """Run the verb; messages go to stderr, a diff to stdout."""
    {"suggest": _suggest, "review": _review, "apply": _apply}[args.verb](args)
    return DONE


def _suggest(args: Namespace) -> None:
    from tabsynth.common.atomic_files import check_writable
    from tabsynth.errors import InputError
    from tabsynth.mixing.matching.suggest import suggest
    from tabsynth.schema.schema import Schema

    check_writable(args.output)
    tables = {}
    for text in args.tables:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise InputError(f"a source is NAME=FILE, not {text!r}")
        if name in tables:
            raise InputError(f"two sources are named {name!r}; give each a name of its own")
        tables[name] = path
    plan = suggest(tables, Schema.from_json(args.target) if args.target else None)
    plan.save(args.output)
    asked = sum(bool(item.question) for item in plan.entries)
    say(f"wrote {args.output}: {len(plan.entries)} entries, {asked} of them ask a question; next: tabsynth mix review")


def _review(args: Namespace) -> None:
    from tabsynth.common.atomic_files import check_writable
    from tabsynth.mixing.plan.plan import Plan

    plan = Plan.load(args.plan)
    if args.output:
        check_writable(args.output)
        plan.review(args.output)
        say(f"wrote {args.output}: look, and set each status in {args.plan}")
    else:
        print(plan.changes(), end="")


def _apply(args: Namespace) -> None:
    from tabsynth.common.atomic_files import check_writable
    from tabsynth.mixing.mix import mix
    from tabsynth.mixing.out_of_core.mix_to_file import MixedFile
    from tabsynth.mixing.plan.plan import Plan

    for path in (args.output, args.report, args.lineage, args.schema):
        if path:
            check_writable(path)
    plan = Plan.load(args.plan)
    if args.stream or _large(plan):
        made = _streamed(plan, args)
    else:
        mixed = mix(plan, accept_above=args.accept_above, seed=args.seed)
        mixed.save(args.output, report=args.report, lineage=args.lineage, schema=args.schema, person=args.person)
        made = MixedFile(
            path=Path(args.output),
            rows=len(mixed.frame),
            schema=mixed.schema,
            plan_hash=mixed.plan_hash,
            report=mixed.report,
        )
    for alarm in made.report["link"]["alarms"]:
        say(f"alarm: {alarm}")
    say(f"wrote {args.output}: {made.rows:,} rows, {len(made.schema)} columns, plan {made.plan_hash[:12]}")


def _large(plan: Plan) -> bool:
    """Whether the inputs are better mixed batch by batch, and the plan allows it."""
    from tabsynth.mixing.out_of_core.eligibility import unsupported_features

    paths = [plan.folder / item.uri for item in plan.inputs.values() if item.uri]
    size = sum(path.stat().st_size for path in paths if path.is_file())
    return size > MIN_STREAMED_BYTES and not unsupported_features(plan)


def _streamed(plan: Plan, args: Namespace) -> MixedFile:
    """Mix batch by batch; lineage and persons are for tables in memory."""
    from tabsynth.common.atomic_files import write_text
    from tabsynth.errors import InputError
    from tabsynth.mixing.mix import mix
    from tabsynth.mixing.report import report_text

    if args.lineage or args.person:
        raise InputError("--lineage and --person need all rows at once, which --stream and large inputs rule out")
    made: MixedFile = mix(plan, accept_above=args.accept_above, seed=args.seed, output=args.output)
    if args.report:
        write_text(args.report, report_text(made.report))
    if args.schema:
        made.schema.to_json(args.schema)
    return made
