"""The command ``canaries``: does a private synthesizer keep the epsilon that it claims? Fits with and without a row."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import pandas as pd

from tabsynth.common.atomic_files import check_writable
from tabsynth.echo import failed, say, show
from tabsynth.errors import InputError
from tabsynth.privacy.budget import Privacy
from tabsynth.schema.schema import Schema


def canaries(args: Namespace) -> int:
    """Audit a private synthesizer in the worst case; the exit code is 3 on a violation.

    The table is crafted from the schema's public facts alone, so that nothing of a real one is read or spent.
    """
    from tabsynth.privacy.audit.canary import canaries as measure
    from tabsynth.privacy.budget import zcdp_rho
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
