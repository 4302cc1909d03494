"""The command ``evaluate``: measure a synthetic table, check gates, or compare several."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabsynth.cli.output import AddCommand, failed, non_negative_integer, number, pair, say, show, stages

if TYPE_CHECKING:
    from tabsynth.evaluation.score import Score


EVALUATE = """\
examples:
  tabsynth evaluate train.csv synthetic.csv --output report.html
  tabsynth evaluate train.csv synthetic.csv --holdout test.csv --target outcome --output report.html --json report.json
  tabsynth evaluate train.csv synthetic.csv --require NAME=0.9       exit with 3 when the score NAME is worse than 0.9
  tabsynth evaluate train.csv synthetic.csv --gates gates.yaml       exit with 3 when a gate is missed and not waived
  tabsynth evaluate train.csv masked.csv --also vae=vae.csv --output report.html      several tables side by side

With --holdout (real rows that were not fitted) the report also says what real data reach and whether rows were copied.
A limit is the least value of a score where higher is better, the greatest where lower is better, and the greatest
distance from its target where it aims at one.

A gates file holds limits and waivers; --gates default holds those that fresh real rows never fail:

  gates:
    fidelity.trend_error: {max: 2.0}
    utility.utility_gap: {above_floor: 0.05}
  waivers:
    - {gate: fidelity.trend_error, who: A. Analyst, why: pilot only, until: 2031-01-31}
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    evaluate = command("evaluate", "Compare a synthetic table with the real one.", EVALUATE)
    evaluate.add_argument("train", metavar="TRAIN", help="the real rows that were fitted")
    evaluate.add_argument("synthetic", metavar="SYNTH", help="the synthetic rows")
    evaluate.add_argument("--holdout", metavar="TEST", help="real rows that were not fitted")
    evaluate.add_argument("--target", metavar="COLUMN", help="the column that the table is used to predict")
    evaluate.add_argument("--schema", metavar="FILE", help="what the columns are, as JSON (default: inferred)")
    evaluate.add_argument(
        "--seed", type=non_negative_integer, default=0, metavar="N", help="seed (default: %(default)s)"
    )
    evaluate.add_argument("--output", "-o", metavar="REPORT", help="report to write: .html, .md or .json")
    evaluate.add_argument("--json", metavar="FILE", help="also write the report as JSON; - prints it on stdout")
    evaluate.add_argument("--quick", action="store_true", help="only scores that train no model, detection on a sample")
    evaluate.add_argument("--gates", metavar="FILE", help="limits and waivers as YAML, or the word default")
    evaluate.add_argument("--also", action="append", default=[], metavar="NAME=FILE", help="compare another table too")
    evaluate.add_argument("--require", action="append", default=[], metavar="NAME=LIMIT", help="least quality")


def run(args: Namespace) -> int:
    """Compare a synthetic table with the real one."""
    from tabsynth.data.sample_datasets import is_shipped, open_table
    from tabsynth.errors import InputError
    from tabsynth.evaluation.evaluate import evaluate as measure
    from tabsynth.evaluation.gates import hold, missed, read_gates, unmet
    from tabsynth.pipeline.outputs import check_report
    from tabsynth.schema.schema import Schema

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
