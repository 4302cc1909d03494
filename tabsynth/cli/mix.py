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
  tabsynth mix review plan.yaml --output review.html         inspect it, then set each status in plan.yaml
  tabsynth mix apply plan.yaml --output mixed.parquet --report mixed.json

Entries of a suggested plan have the status 'proposed' until a person accepts them. 'apply --accept-above 0.8' accepts
proposals with a score of at least 0.8 and no question.
"""

MIN_STREAMED_BYTES = 1 << 28
"""Size of inputs from which a plan is applied batch by batch, if it allows that."""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    verbs = command("mix", "Merge several tables according to a plan that a person reviews.", MIX).add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    suggest = verbs.add_parser("suggest", help="propose a plan")
    suggest.add_argument("tables", nargs="+", metavar="NAME=FILE", help="the named sources")
    suggest.add_argument("--target", metavar="FILE", help="schema file of the mixed table")
    suggest.add_argument("--output", "-o", required=True, metavar="PLAN", help="the YAML file to write")
    review = verbs.add_parser("review", help="show the entries of a plan with their evidence")
    review.add_argument("plan", metavar="PLAN", help="a plan's YAML file")
    review.add_argument("--output", "-o", metavar="FILE", help="page to write (.html); by default a diff on stdout")
    apply = verbs.add_parser("apply", help="write the mixed table")
    apply.add_argument("plan", metavar="PLAN", help="a plan's YAML file")
    apply.add_argument("--output", "-o", required=True, metavar="FILE", help="CSV, Parquet or Excel file to write")
    apply.add_argument(
        "--accept-above",
        type=float,
        metavar="SCORE",
        help="accept proposals that have at least this score and no question",
    )
    apply.add_argument("--report", metavar="FILE", help="also write the report, as JSON")
    apply.add_argument("--lineage", metavar="FILE", help="also write the rows' sources, if the plan publishes them")
    apply.add_argument("--schema", metavar="FILE", help="also write the mixed table's schema, for fit --schema")
    apply.add_argument(
        "--stream", action="store_true", help="process the inputs in batches (default for inputs above 256 MB)"
    )
    apply.add_argument(
        "--person", action="store_true", help="add the column _entity, which identifies people across sources"
    )
    apply.add_argument("--seed", type=int, default=0, metavar="N", help="seed (default: %(default)s)")


def run(args: Namespace) -> int:
    """Run the command."""
    {"suggest": _suggest, "review": _review, "apply": _apply}[args.verb](args)
    return DONE


def _suggest(args: Namespace) -> None:
    from tabsynth.common.atomic_files import check_outputs, check_writable
    from tabsynth.errors import InputError
    from tabsynth.mixing.matching.suggest import suggest
    from tabsynth.schema.schema import Schema

    check_outputs([args.output], [*(text.partition("=")[2] for text in args.tables), args.target])
    check_writable(args.output)
    tables = {}
    for text in args.tables:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise InputError(f"a source is NAME=FILE, not {text!r}")
        if name in tables:
            raise InputError(f"two sources are named {name!r}; names must be unique")
        tables[name] = path
    plan = suggest(tables, Schema.from_json(args.target) if args.target else None)
    plan.save(args.output)
    n_questions = sum(bool(item.question) for item in plan.entries)
    say(f"wrote {args.output}: {len(plan.entries)} entries, {n_questions} with a question; next: tabsynth mix review")


def _review(args: Namespace) -> None:
    from tabsynth.common.atomic_files import check_outputs, check_writable
    from tabsynth.mixing.plan.plan import Plan

    plan = Plan.load(args.plan)
    if args.output:
        check_outputs([args.output], [args.plan])
        check_writable(args.output)
        plan.review(args.output)
        say(f"wrote {args.output}: inspect it, and set each status in {args.plan}")
    else:
        print(plan.changes(), end="")


def _apply(args: Namespace) -> None:
    from tabsynth.common.atomic_files import check_outputs, check_writable
    from tabsynth.mixing.mix import mix
    from tabsynth.mixing.out_of_core.mix_to_file import MixedFile
    from tabsynth.mixing.plan.plan import Plan

    for path in (args.output, args.report, args.lineage, args.schema):
        if path:
            check_writable(path)
    plan = Plan.load(args.plan)
    sources = [plan.folder / source.uri for source in plan.inputs.values() if source.uri]
    check_outputs([args.output, args.report, args.lineage, args.schema], [args.plan, *sources])
    if args.stream or _should_stream(plan):
        written = _mix_to_file(plan, args)
    else:
        mixed = mix(plan, accept_above=args.accept_above, seed=args.seed)
        mixed.save(args.output, report=args.report, lineage=args.lineage, schema=args.schema, person=args.person)
        written = MixedFile(
            path=Path(args.output),
            rows=len(mixed.frame),
            schema=mixed.schema,
            plan_hash=mixed.plan_hash,
            report=mixed.report,
        )
    for alarm in written.report["link"]["alarms"]:
        say(f"alarm: {alarm}")
    say(f"wrote {args.output}: {written.rows:,} rows, {len(written.schema)} columns, plan {written.plan_hash[:12]}")


def _should_stream(plan: Plan) -> bool:
    """Return whether the inputs are large and the plan can be applied batch by batch."""
    from tabsynth.mixing.out_of_core.eligibility import unsupported_features

    paths = [plan.folder / item.uri for item in plan.inputs.values() if item.uri]
    size = sum(path.stat().st_size for path in paths if path.is_file())
    return size > MIN_STREAMED_BYTES and not unsupported_features(plan)


def _mix_to_file(plan: Plan, args: Namespace) -> MixedFile:
    """Apply the plan batch by batch."""
    from tabsynth.common.atomic_files import write_text
    from tabsynth.errors import InputError
    from tabsynth.mixing.mix import mix
    from tabsynth.mixing.report import report_text

    if args.lineage or args.person:
        raise InputError(
            "--lineage and --person need all rows in memory: leave out --stream, or use inputs below 256 MB"
        )
    written: MixedFile = mix(plan, accept_above=args.accept_above, seed=args.seed, output=args.output)
    if args.report:
        write_text(args.report, report_text(written.report))
    if args.schema:
        written.schema.to_json(args.schema)
    return written
