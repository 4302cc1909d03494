"""What ``tabsynth mix`` does: suggest a plan, show it for review, apply it."""

from __future__ import annotations

import sys
from argparse import Namespace

from tabsynth.errors import InputError
from tabsynth.files import check_writable
from tabsynth.mixing.apply import mix
from tabsynth.mixing.plan import Plan
from tabsynth.mixing.suggest import suggest
from tabsynth.schema import Schema


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
    mixed = mix(args.plan, accept_above=args.accept_above, seed=args.seed)
    mixed.save(args.output, report=args.report, lineage=args.lineage, schema=args.schema, person=args.person)
    for alarm in mixed.report["link"]["alarms"]:
        _say(f"alarm: {alarm}")
    _say(f"wrote {args.output}: {len(mixed.frame):,} rows, {mixed.frame.shape[1]} columns, plan {mixed.plan_hash[:12]}")


def _say(line: str) -> None:
    print(line, file=sys.stderr)
