"""The command ``evaluate``: one synthetic table judged, by gates too, or several compared."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabsynth.echo import failed, number, pair, say, show, stages
from tabsynth.errors import InputError
from tabsynth.schema.schema import Schema

if TYPE_CHECKING:
    from tabsynth.evaluation.score import Score


def evaluate(args: Namespace) -> int:
    """Compare a synthetic table with the real one."""
    from tabsynth.data.sample_datasets import is_shipped, open_table
    from tabsynth.evaluation.evaluate import evaluate as measure
    from tabsynth.evaluation.gates import hold, missed, read_gates, unmet
    from tabsynth.pipeline.outputs import check_report

    require = {name: number(value, "--require") for name, value in (pair(t, "--require") for t in args.require)}
    gates = read_gates(args.gates) if args.gates else []
    others = dict(pair(text, "--also") for text in args.also)
    outputs = [path for path in (args.output, args.json) if path and path != "-"]
    for path in outputs:
        check_report(path)
    schema = Schema.from_json(args.schema) if args.schema else None
    train, synthetic, holdout = (
        open_table(name) if name and is_shipped(name) else name for name in (args.train, args.synthetic, args.holdout)
    )
    options = {"target": args.target, "schema": schema, "seed": args.seed, "quick": args.quick, "progress": stages()}
    if others:
        first = Path(args.synthetic).stem
        if first in others or len(others) < len(args.also):
            raise InputError(f"--also: a name is given twice; the first table is called {first!r}")
        if gates or require:
            raise InputError("--also compares, --gates and --require judge one table: leave one of them out")
        return _compared(train, {first: synthetic, **others}, holdout, options, outputs, args.json == "-")
    report = measure(train, synthetic, holdout, **options, on_scores=_announced)
    if gates:
        report = hold(report, gates)
    for path in outputs:
        report.save(path)
        say(f"wrote {path}")
    amiss = [*unmet(report, require), *missed(report)]
    show(report.to_dict(), str(report), force_json=args.json == "-")
    return failed(amiss)


def _announced(scores: Sequence[Score]) -> None:
    """Print scores as soon as they are computed, where somebody watches."""
    from tabsynth.reporting.number_format import figure

    if sys.stderr.isatty():
        for score in scores:
            floor = "" if score.floor is None else f", real data {figure(score.floor, score.unit)}"
            say(f"  {score.title}: {figure(score.value, score.unit)}{floor}")


def _compared(
    train: Any,
    synthetic: Mapping[str, Any],
    holdout: Any,
    options: dict[str, Any],
    outputs: Sequence[str],
    force_json: bool,
) -> int:
    """Several synthetic tables in one report."""
    from tabsynth.evaluation.compare import compare

    report = compare(train, synthetic, holdout, **options)
    for path in outputs:
        report.save(path)
        say(f"wrote {path}")
    return show(report.to_dict(), str(report), force_json=force_json)
