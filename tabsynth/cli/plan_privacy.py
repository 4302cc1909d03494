"""The command ``plan-privacy``: simulate the quality at each epsilon."""

from __future__ import annotations

from argparse import Namespace

from tabsynth.cli.output import AddCommand, aligned, non_negative_integer, number, positive_integer, show

PLAN_PRIVACY = """\
examples:
  tabsynth plan-privacy --schema schema.json -n 30_000
  tabsynth plan-privacy --schema schema.json -n 30_000 --rows-per-person 5 --epsilons 0.5,1,2 --output plan.html
  tabsynth plan-privacy --cardinalities 2,2,5,12,40 -n 10_000

Simulated on a table that is made by rule from public facts alone; nothing of a real table is read or spent.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    plan = command("plan-privacy", "Say what each epsilon costs in quality, before it is spent.", PLAN_PRIVACY)
    what = plan.add_mutually_exclusive_group(required=True)
    what.add_argument("--schema", metavar="FILE", help="what the columns will be, as JSON")
    what.add_argument("--cardinalities", metavar="N,N,...", help="how many values each column has, without a schema")
    plan.add_argument(
        "--rows", "-n", type=positive_integer, required=True, metavar="N", help="about how many rows: public"
    )
    plan.add_argument("--epsilons", default="0.1,0.3,1,3,10", metavar="E,E,...", help="budgets (default: %(default)s)")
    plan.add_argument("--delta", type=float, metavar="D", help="delta (default: that of Privacy for so many rows)")
    plan.add_argument("--mechanisms", default="marginal,tree", metavar="NAME,...", help="of marginal, tree, masked")
    plan.add_argument("--rules", metavar="YAML", help="rules that the simulated table follows")
    plan.add_argument(
        "--rows-per-person", type=positive_integer, default=1, metavar="K", help="protect persons of K rows"
    )
    plan.add_argument("--seed", type=non_negative_integer, default=0, metavar="N", help="seed (default: %(default)s)")
    plan.add_argument("--output", "-o", metavar="FILE", help="also write a page (.html) or the drawing (.svg)")


def run(args: Namespace) -> int:
    """Say what each epsilon would cost in quality, before anything is spent."""
    from tabsynth.budget_planning.report import HEAD, about, drawing, page, rows_of
    from tabsynth.budget_planning.simulation import from_cardinalities
    from tabsynth.budget_planning.simulation import plan_privacy as simulate
    from tabsynth.common.atomic_files import check_writable, write_text
    from tabsynth.errors import InputError
    from tabsynth.schema.schema import Schema

    if args.output:
        if not args.output.endswith((".html", ".svg")):
            raise InputError(f"--output {args.output}: the plan is written as .html or .svg")
        check_writable(args.output)
    sizes = [int(number(text, "--cardinalities")) for text in (args.cardinalities or "").split(",") if text]
    schema = Schema.from_json(args.schema) if args.schema else from_cardinalities(sizes)
    plan = simulate(
        schema,
        args.rows,
        epsilons=[number(text, "--epsilons") for text in args.epsilons.split(",")],
        delta=args.delta,
        mechanisms=args.mechanisms.split(","),
        rules=args.rules,
        rows_per_person=args.rows_per_person,
        seed=args.seed,
    )
    if args.output:
        write_text(args.output, page(plan) if args.output.endswith(".html") else drawing(plan))
    return show(plan.to_dict(), f"{about(plan)}\n\n{aligned(HEAD, rows_of(plan))}")
