"""The command ``canaries``: test a private synthesizer's epsilon by fits with and without one row."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tabsynth.cli.output import AddCommand, failed, say, show

if TYPE_CHECKING:
    import pandas as pd

    from tabsynth.privacy.budget import Privacy
    from tabsynth.schema.schema import Schema


CANARIES = """\
examples:
  tabsynth canaries --schema schema.json --epsilon 1                     the mixture of noisy counts, seen from inside
  tabsynth canaries --schema schema.json --epsilon 1 --runs 10_000 --output canaries.json
  tabsynth canaries --schema schema.json --epsilon 1 --model masked --runs 50          seen by its rows alone

Fits a tiny table, made of the schema's public facts, with and without one row, so many times each, and tells the two
apart. What is measured is a lower bound: VIOLATION (exit code 3) where it surely exceeds the claim, CONSISTENT, powered
where twice the claim would have been found, else INCONCLUSIVE. Nothing of a real table is read or spent.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    canary = command("canaries", "Fit with and without one row: is the claimed epsilon kept?", CANARIES)
    canary.add_argument("--schema", required=True, metavar="FILE", help="what the columns are, as JSON")
    canary.add_argument("--epsilon", type=float, required=True, metavar="E", help="the privacy that is claimed")
    canary.add_argument("--delta", type=float, metavar="D", help="its delta (default: 1e-6)")
    canary.add_argument("--model", default="marginal", metavar="KIND", help="synthesizer (default: %(default)s)")
    canary.add_argument("--runs", type=int, default=1000, metavar="N", help="fits a side (default: %(default)s)")
    canary.add_argument("--seed", type=int, default=0, metavar="N", help="order of the rows; noise is never seeded")
    canary.add_argument("--output", "-o", metavar="FILE", help="also write the report as .json")


def run(args: Namespace) -> int:
    """Audit a private synthesizer in the worst case; the exit code is 3 on a violation.

    The table is crafted from the schema's public facts alone, so that nothing of a real one is read or spent.
    """
    from tabsynth.common.atomic_files import check_writable
    from tabsynth.errors import InputError
    from tabsynth.privacy.audit.canary import canaries as measure
    from tabsynth.privacy.budget import Privacy, zcdp_rho
    from tabsynth.schema.schema import Schema
    from tabsynth.synthesizers.canary_exposure import exposing, released

    if args.output:
        if not args.output.lower().endswith(".json"):
            raise InputError(f"--output {args.output}: the report is JSON, its name must end in .json")
        check_writable(args.output)
    schema = Schema.from_json(args.schema)
    privacy = Privacy(epsilon=args.epsilon, delta=args.delta)
    known = exposing(schema, alone=args.model != "marginal")
    options: dict[str, Any] = {"canary": known[1].iloc[0].to_dict(), "runs": args.runs, "seed": args.seed}
    if args.model == "marginal":
        # zCDP of rho by Gaussian noise is mu = sqrt(2 rho): Dong, Roth and Su, 2022
        mu = math.sqrt(2 * zcdp_rho(privacy.epsilon, privacy.resolved_delta))
        report = measure(released(schema, privacy, known), known[0], privacy, score=float, mu=mu, **options)
    else:
        report = measure(_drawn(args.model, schema, privacy), known[0], privacy, **options)
    if args.output:
        report.save(args.output)
        say(f"wrote {args.output}")
    show(report.to_dict(), str(report))
    return failed([report.text] if report.exit_code else [])


def _drawn(kind: str, schema: Schema, privacy: Privacy) -> Callable[[pd.DataFrame, int], pd.DataFrame]:
    """A whole synthesizer of which only the rows are seen."""
    from tabsynth.synthesizers.registry import create

    def fit(frame: pd.DataFrame, number: int) -> pd.DataFrame:
        model = create(kind).fit(frame, schema=schema, privacy=privacy, progress=False)
        return model.sample(200, seed=number, progress=False)

    return fit
