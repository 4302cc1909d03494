"""The command ``plan-privacy``: simulate the error at each epsilon."""

from __future__ import annotations

from argparse import Namespace

from tabsynth.cli.output import (
    AddCommand,
    format_table,
    non_negative_integer,
    parse_number,
    positive_integer,
    print_result,
)

PLAN_PRIVACY = """\
examples:
  tabsynth plan-privacy --schema schema.json -n 30_000
  tabsynth plan-privacy --schema schema.json -n 30_000 --rows-per-person 5 --epsilons 0.5,1,2 --output plan.html
  tabsynth plan-privacy --cardinalities 2,2,5,12,40 -n 10_000

The plan uses only the schema; no real table is read. The plan makes assumptions for facts that are missing in the
schema, and lists them. It therefore also accepts a schema that 'tabsynth inspect' wrote.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    plan = command("plan-privacy", "Compute and simulate the error of private fits at each epsilon.", PLAN_PRIVACY)
    what = plan.add_mutually_exclusive_group(required=True)
    what.add_argument("--schema", metavar="FILE", help="schema file")
    what.add_argument("--cardinalities", metavar="N,N,...", help="number of values of each column, instead of a schema")
    plan.add_argument(
        "--rows", "-n", type=positive_integer, required=True, metavar="N", help="approximate number of rows (public)"
    )
    plan.add_argument(
        "--epsilons", default="0.1,0.3,1,3,10", metavar="E,E,...", help="values of epsilon (default: %(default)s)"
    )
    plan.add_argument("--delta", type=float, metavar="D", help="delta (default: depends on the number of rows)")
    plan.add_argument(
        "--mechanisms",
        default="marginal",
        metavar="NAME,...",
        help="marginal, masked or both (default: %(default)s)",
    )
    plan.add_argument("--rules", metavar="YAML", help="file of rules that generate the simulated table")
    plan.add_argument(
        "--rows-per-person", type=positive_integer, default=1, metavar="K", help="protect people with up to K rows"
    )
    plan.add_argument("--seed", type=non_negative_integer, default=0, metavar="N", help="seed (default: %(default)s)")
    plan.add_argument("--output", "-o", metavar="FILE", help="also write a page (.html) or a chart (.svg)")


def run(args: Namespace) -> int:
    """Run the command."""
    from tabsynth.budget_planning import report
    from tabsynth.budget_planning.simulation import from_cardinalities
    from tabsynth.budget_planning.simulation import plan_privacy as simulate
    from tabsynth.common.atomic_files import check_outputs, check_writable, write_text
    from tabsynth.errors import InputError
    from tabsynth.schema.schema import Schema

    if args.output:
        if not args.output.lower().endswith((".html", ".svg")):
            raise InputError(f"--output {args.output}: the name must end in .html or .svg")
        check_outputs([args.output], [args.schema, args.rules])
        check_writable(args.output)
    sizes = [int(parse_number(text, "--cardinalities")) for text in (args.cardinalities or "").split(",") if text]
    schema = Schema.from_json(args.schema) if args.schema else from_cardinalities(sizes)
    plan = simulate(
        schema,
        args.rows,
        epsilons=[parse_number(text, "--epsilons") for text in args.epsilons.split(",")],
        delta=args.delta,
        mechanisms=args.mechanisms.split(","),
        rules=args.rules,
        rows_per_person=args.rows_per_person,
        seed=args.seed,
    )
    if args.output:
        render = report.render_page if args.output.lower().endswith(".html") else report.render_svg
        write_text(args.output, render(plan))
    parts = [report.summarise(plan), report.summarise_assumptions(plan)]
    parts += [format_table(report.HEADER, report.table_rows(plan)), report.summarise_pairs(plan)]
    if worst := report.worst_rows(plan):
        parts.append(f"Pairs with the largest errors:\n{format_table(report.worst_header(plan), worst)}")
    bounds = [[epsilon, f"{tpr:.1%}", f"{guess:.2%}"] for epsilon, tpr, guess in report.attacker_rows(plan)]
    attackers = format_table(["epsilon", "recognised", "secret guessed"], bounds)
    parts += [report.summarise_structure(plan), f"{report.explain_attackers(plan)}\n{attackers}", report.advise(plan)]
    return print_result(plan.to_dict(), "\n\n".join(part for part in parts if part))
