"""The command ``tune``: search a model's options."""

from __future__ import annotations

from argparse import Namespace

from tabsynth.cli.output import (
    AddCommand,
    non_negative_integer,
    positive_integer,
    positive_number,
    print_result,
    say,
)
from tabsynth.cli.reading import add_read_options, read_options

TUNE = """\
examples:
  tabsynth tune patients.csv --trials 20 --output best.yaml
  tabsynth tune patients.csv --objective utility --target outcome --holdout 0.3 --output best.yaml

Each trial is a fit. One half of the held-out rows selects the best options, the other half compares them with the
defaults. best.yaml contains the best options as the model step of a pipeline file. Needs the package optuna.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    tune = command("tune", "Search a model's options by a score on held-out rows.", TUNE)
    tune.add_argument("file", metavar="FILE", help="CSV, Parquet or Excel file, a database's URL, or sklearn:NAME")
    tune.add_argument("--output", "-o", required=True, metavar="YAML", help="file for the best options")
    tune.add_argument("--model", default="masked", metavar="KIND", help="kind of synthesizer (default: %(default)s)")
    tune.add_argument(
        "--trials", type=positive_integer, default=20, metavar="N", help="number of fits (default: %(default)s)"
    )
    tune.add_argument(
        "--minutes", type=positive_number, metavar="N", help="start no further fit, and stop the current one, after N"
    )
    tune.add_argument("--objective", default="detection_auc", metavar="SCORE", help="score (default: %(default)s)")
    tune.add_argument(
        "--holdout", type=float, default=0.2, metavar="SHARE", help="share of held-out rows (default: %(default)s)"
    )
    tune.add_argument("--target", metavar="COLUMN", help="the column to predict")
    tune.add_argument("--schema", metavar="FILE", help="schema file (default: inferred)")
    tune.add_argument("--seed", type=non_negative_integer, default=0, metavar="N", help="seed (default: %(default)s)")
    add_read_options(tune)


def run(args: Namespace) -> int:
    """Run the command."""
    from tabsynth.common.atomic_files import check_outputs, check_writable
    from tabsynth.data.sample_datasets import open_table
    from tabsynth.schema.schema import Schema
    from tabsynth.tune import tune as search

    check_outputs([args.output], [args.file, args.schema])
    check_writable(args.output)
    schema = Schema.from_json(args.schema) if args.schema else None
    table = open_table(args.file, schema, read_options(args))
    options = {name: getattr(args, name) for name in ("trials", "minutes", "objective", "holdout", "target", "seed")}
    result = search(table, args.model, **options, say=say)
    result.save(args.output)
    data = {"output": args.output, "kind": args.model, "options": dict(result.options), "objective": args.objective}
    data |= {"confirmed": result.confirmed.value, "default": result.default.value}
    return print_result(data, f"{result}\nwrote {args.output}")
