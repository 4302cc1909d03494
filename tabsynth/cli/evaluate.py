"""The command ``evaluate``: measure a synthetic table, check gates, or compare several."""

from __future__ import annotations

import sys
from argparse import BooleanOptionalAction, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabsynth.cli.database.evaluate import evaluate_folders
from tabsynth.cli.output import (
    AddCommand,
    add_report_options,
    non_negative_integer,
    parse_number,
    parse_pair,
    print_result,
    progress_callback,
    report_paths,
    report_unmet,
    save_report,
    say,
)
from tabsynth.cli.reading import add_read_options, open_compared

if TYPE_CHECKING:
    from tabsynth.evaluation.score import Score


EVALUATE = """\
examples:
  tabsynth evaluate train.csv synthetic.csv --output report.html
  tabsynth evaluate train.csv synthetic.csv --holdout test.csv --target outcome --output report.html --json report.json
  tabsynth evaluate train.csv synthetic.csv --require NAME=0.9       exit with 3 if the score NAME is worse than 0.9
  tabsynth evaluate train.csv synthetic.csv --gates gates.yaml       exit with 3 if a gate fails and is not waived
  tabsynth evaluate clinic/ synthetic/ --output report.html          folders of linked tables
  tabsynth evaluate train.csv masked.csv --also vae=vae.csv --output report.html      several tables side by side

With --holdout (real rows that are not in the training table) the report also contains utility, tests for copied rows,
and floors: the scores of the held-out rows. The LIMIT of --require is a minimum if higher is better, a maximum if lower
is better, and a maximum distance from the target if the score has one.

--gates default uses limits that real rows pass. A gates file contains limits and waivers:

  gates:
    fidelity.trend_error: {max: 2.0}
    utility.utility_gap: {above_floor: 0.05}
  waivers:
    - {gate: fidelity.trend_error, who: A. Analyst, why: pilot only, until: 2031-01-31}
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    evaluate = command("evaluate", "Compare a synthetic table with the real one.", EVALUATE)
    evaluate.add_argument("train", metavar="TRAIN", help="the real training rows, or a folder of tables")
    evaluate.add_argument("synthetic", metavar="SYNTH", help="the synthetic rows, or a folder of tables")
    evaluate.add_argument("--holdout", metavar="TEST", help="held-out real rows")
    evaluate.add_argument("--target", metavar="COLUMN", help="the column to predict")
    evaluate.add_argument("--schema", metavar="FILE", help="schema file (default: inferred)")
    evaluate.add_argument(
        "--seed", type=non_negative_integer, default=0, metavar="N", help="seed (default: %(default)s)"
    )
    add_report_options(evaluate)
    evaluate.add_argument(
        "--quick", action="store_true", help="compute only scores that train no model, and detection on a sample"
    )
    evaluate.add_argument(
        "--sdmetrics",
        action=BooleanOptionalAction,
        help="add the scores of SDMetrics, or leave them out (default: added up to 60 columns, if it is installed)",
    )
    evaluate.add_argument("--gates", metavar="FILE", help="YAML file of limits and waivers, or the word default")
    evaluate.add_argument(
        "--also", action="append", default=[], metavar="NAME=FILE", help="compare with another synthetic table"
    )
    evaluate.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="NAME=LIMIT",
        help="exit with code 3 if the score misses the limit",
    )
    add_read_options(evaluate)


def run(args: Namespace) -> int:
    """Run the command."""
    from tabsynth.common.atomic_files import check_outputs
    from tabsynth.data.database.folders import holds_linked_tables
    from tabsynth.errors import InputError
    from tabsynth.evaluation.evaluate import evaluate as measure
    from tabsynth.evaluation.gates import apply_gates, check_requirements, failed_gates, read_gates, unmet_requirements
    from tabsynth.reporting.report_files import check_report_output

    require = {
        name: parse_number(value, "--require") for name, value in (parse_pair(t, "--require") for t in args.require)
    }
    gates = read_gates(args.gates) if args.gates else []
    others = dict(parse_pair(text, "--also") for text in args.also)
    outputs = report_paths(args)
    check_outputs(outputs, [args.train, args.synthetic, args.holdout, args.schema, args.gates, *others.values()])
    for path in outputs:
        check_report_output(path)
    if holds_linked_tables(args.train):
        return evaluate_folders(args, require, outputs, progress_callback())
    check_requirements(require, "--require")
    schema, train, synthetic, holdout = open_compared(args)
    options = {
        "target": args.target,
        "schema": schema,
        "seed": args.seed,
        "quick": args.quick,
        "sdmetrics": args.sdmetrics,
        "progress": progress_callback(),
    }
    if others:
        first = Path(args.synthetic).stem
        if first in others or len(others) < len(args.also):
            raise InputError(f"--also: a name occurs twice; the first table is named {first!r}")
        if gates or require:
            raise InputError("--also compares tables, --gates and --require apply to one; leave one of them out")
        return _compare_tables(train, {first: synthetic, **others}, holdout, options, outputs, args.json == "-")
    report = measure(train, synthetic, holdout, **options, on_scores=_print_scores)
    if gates:
        report = apply_gates(report, gates)
    unmet_limits = [*unmet_requirements(report, require), *failed_gates(report)]
    written = save_report(report, outputs, unmet_limits)
    scores = {name: score.value for name, score in report.scores.items()}
    files = {"report": written.get(args.output, args.output), "json": written.get(args.json, args.json)}
    short = {"files": files, "verdict": report.verdict.text}
    short |= {"scores": scores, "unmet": unmet_limits}
    print_result(report.to_dict(), str(report), force_json=args.json == "-", summary=short if outputs else None)
    return report_unmet(unmet_limits)


def _print_scores(scores: Sequence[Score]) -> None:
    """Print scores as soon as they are computed, on a terminal."""
    from tabsynth.reporting.number_format import format_number

    if sys.stderr.isatty():
        for score in scores:
            floor = "" if score.floor is None else f", real data {format_number(score.floor, score.unit)}"
            say(f"  {score.title}: {format_number(score.value, score.unit)}{floor}")


def _compare_tables(
    train: Any,
    synthetic: Mapping[str, Any],
    holdout: Any,
    options: dict[str, Any],
    outputs: Sequence[str],
    force_json: bool,
) -> int:
    """Compare several synthetic tables in one report."""
    from tabsynth.evaluation.compare import compare

    report = compare(train, synthetic, holdout, **{**options, "sdmetrics": bool(options["sdmetrics"])})
    save_report(report, outputs)
    files = dict(zip(("report", "json"), outputs, strict=False))
    short = {"files": files, "tables": list(synthetic)} if outputs else None
    return print_result(report.to_dict(), str(report), force_json=force_json, summary=short)
