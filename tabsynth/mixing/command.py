"""What ``tabsynth mix`` does: suggest a plan, show it for review, apply it."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from tabsynth.common.atomic_files import check_writable, write_text
from tabsynth.errors import InputError
from tabsynth.mixing.matching.suggest import suggest
from tabsynth.mixing.mix import mix
from tabsynth.mixing.out_of_core.eligibility import unfit
from tabsynth.mixing.out_of_core.mix_to_file import MixedFile
from tabsynth.mixing.plan.plan import Plan
from tabsynth.mixing.report import report_text
from tabsynth.schema.schema import Schema

LARGE = 1 << 28
"""Bytes of input files from which tables are mixed batch by batch, where the plan allows it."""


def run_mix(args: Namespace) -> None:
    """Run the verb; messages go to stderr, a diff to stdout."""
    {"suggest": _suggest, "review": _review, "apply": _apply}[args.verb](args)


def _suggest(args: Namespace) -> None:
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
    _say(f"wrote {args.output}: {len(plan.entries)} entries, {asked} of them ask a question; next: tabsynth mix review")


def _review(args: Namespace) -> None:
    plan = Plan.load(args.plan)
    if args.output:
        check_writable(args.output)
        plan.review(args.output)
        _say(f"wrote {args.output}: look, and set each status in {args.plan}")
    else:
        print(plan.changes(), end="")


def _apply(args: Namespace) -> None:
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
        _say(f"alarm: {alarm}")
    _say(f"wrote {args.output}: {made.rows:,} rows, {len(made.schema)} columns, plan {made.plan_hash[:12]}")


def _large(plan: Plan) -> bool:
    """Whether the inputs are better mixed batch by batch, and the plan allows it."""
    paths = [plan.folder / item.uri for item in plan.inputs.values() if item.uri]
    return sum(path.stat().st_size for path in paths if path.is_file()) > LARGE and not unfit(plan)


def _streamed(plan: Plan, args: Namespace) -> MixedFile:
    """Mix batch by batch; lineage and persons are for tables in memory."""
    if args.lineage or args.person:
        raise InputError("--lineage and --person need all rows at once, which --stream and large inputs rule out")
    made: MixedFile = mix(plan, accept_above=args.accept_above, seed=args.seed, output=args.output)
    if args.report:
        write_text(args.report, report_text(made.report))
    if args.schema:
        made.schema.to_json(args.schema)
    return made


def _say(line: str) -> None:
    print(line, file=sys.stderr)
