"""The command ``canaries``: bound a private synthesizer's epsilon from below."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tabsynth.cli.output import AddCommand, print_result, report_unmet, say

if TYPE_CHECKING:
    import pandas as pd

    from tabsynth.privacy.budget import Privacy
    from tabsynth.schema.schema import Schema


CANARIES = """\
examples:
  tabsynth canaries --schema schema.json --epsilon 1                     white box: the noisy counts of marginal
  tabsynth canaries --schema schema.json --epsilon 1 --runs 10_000 --output canaries.json
  tabsynth canaries --schema schema.json --epsilon 1 --model masked --runs 50          black box: synthetic rows only

Fits models to a small table that is simulated from the public schema, --runs times with and --runs times without one
row, and tries to distinguish the two cases. The result is a lower bound on epsilon. The verdict is VIOLATION (exit
code 3) if the bound significantly exceeds the claim, CONSISTENT, powered if twice the claim would have been detected,
and INCONCLUSIVE otherwise. No real table is read.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    canary = command("canaries", "Test a private synthesizer's epsilon by fits with and without one row.", CANARIES)
    canary.add_argument("--schema", required=True, metavar="FILE", help="schema file")
    canary.add_argument("--epsilon", type=float, required=True, metavar="E", help="the claimed epsilon")
    canary.add_argument("--delta", type=float, metavar="D", help="its delta (default: 1e-6)")
    canary.add_argument(
        "--unit",
        default="row",
        metavar="COLUMN",
        help="column that identifies persons (default: each row is protected)",
    )
    canary.add_argument(
        "--rows-per-person", type=int, metavar="K", help="maximum rows of a person: the canary has this many"
    )
    canary.add_argument("--model", default="marginal", metavar="KIND", help="synthesizer (default: %(default)s)")
    canary.add_argument(
        "--runs",
        type=int,
        default=1000,
        metavar="N",
        help="fits with the row, and fits without it (default: %(default)s)",
    )
    canary.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the order of the rows; the noise has no seed"
    )
    canary.add_argument("--output", "-o", metavar="FILE", help="also write the report as .json")


def run(args: Namespace) -> int:
    """Run the command."""
    from tabsynth.common.atomic_files import check_outputs, check_writable
    from tabsynth.errors import InputError
    from tabsynth.privacy.audit.canary import canaries as measure
    from tabsynth.privacy.budget import Privacy, gaussian_mu
    from tabsynth.privacy.public_schema import private_schema
    from tabsynth.schema.schema import Schema
    from tabsynth.synthesizers.canary_exposure import likelihood_ratio_pipeline, worst_case_tables

    if args.output:
        if not args.output.lower().endswith(".json"):
            raise InputError(f"--output {args.output}: the name must end in .json")
        check_outputs([args.output], [args.schema])
        check_writable(args.output)
    schema = Schema.from_json(args.schema)
    privacy = Privacy(args.epsilon, args.delta, unit=args.unit, rows_per_person=args.rows_per_person)
    private_schema(schema, args.unit)
    known = worst_case_tables(
        schema, alone=args.model != "marginal", unit=args.unit, rows_per_person=privacy.max_rows_per_unit
    )
    options: dict[str, Any] = {"canary": known[1], "runs": args.runs, "seed": args.seed}
    if args.model == "marginal":
        mu = gaussian_mu(privacy.epsilon, privacy.resolved_delta)
        report = measure(
            likelihood_ratio_pipeline(schema, privacy, known), known[0], privacy, score=float, mu=mu, **options
        )
    else:
        report = measure(_fit_and_sample(args.model, schema, privacy), known[0], privacy, **options)
    if args.output:
        report.save(args.output)
        say(f"wrote {args.output}")
    print_result(report.to_dict(), str(report))
    return report_unmet([report.text] if report.exit_code else [])


def _fit_and_sample(kind: str, schema: Schema, privacy: Privacy) -> Callable[[pd.DataFrame, int], pd.DataFrame]:
    """Return a black-box mechanism: fit, then release synthetic rows."""
    from tabsynth.synthesizers.registry import create

    def fit(frame: pd.DataFrame, number: int) -> pd.DataFrame:
        model = create(kind).fit(frame, schema=schema, privacy=privacy, progress=False)
        return model.sample(200, seed=number, progress=False)

    return fit
