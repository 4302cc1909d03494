"""The command ``sample``: sample from a model file."""

from __future__ import annotations

from argparse import Namespace

from tabsynth.cli.conditions import parse_given
from tabsynth.cli.output import AddCommand, non_negative_integer, positive_integer, print_result

SAMPLE = """\
examples:
  tabsynth sample m.tabsynth -n 1000 --output synthetic.parquet
  tabsynth sample m.tabsynth -n 10_000_000 --seed 1 --output synthetic.csv      in chunks: constant memory
  tabsynth sample m.tabsynth -n 500 --given sex=f --given age=60:80 --output women.csv

A condition is COLUMN=VALUE, COLUMN=LOW:HIGH for numbers and dates (inclusive; one end may be empty), COLUMN=A,B for
several categories, or COLUMN= for a missing value.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    sample = command("sample", "Sample synthetic rows from a model file.", SAMPLE)
    sample.add_argument("model", metavar="MODEL", help="a model file of fit")
    sample.add_argument("--output", "-o", required=True, metavar="FILE", help="CSV, Parquet or Excel file to write")
    sample.add_argument(
        "--rows", "-n", type=positive_integer, metavar="N", help="number of rows (default: as the training table)"
    )
    sample.add_argument("--given", action="append", default=[], metavar="CONDITION", help="condition of every row")
    sample.add_argument("--seed", type=non_negative_integer, metavar="N", help="seed (default: random, and printed)")


def run(args: Namespace) -> int:
    """Run the command."""
    from tabsynth.common.validation import random_seed
    from tabsynth.pipeline.outputs import check_table_output, write_sample
    from tabsynth.synthesizers.registry import known_values, load

    check_table_output(args.output)
    model = load(args.model)
    given = parse_given(args.given, model.schema_, known_values(model))
    rows = model.rows_ if args.rows is None else args.rows
    seed = random_seed() if args.seed is None else args.seed
    write_sample(model, args.output, rows, given=given, seed=seed)
    return print_result({"output": args.output, "rows": rows, "seed": seed}, f"wrote {rows:,} rows to {args.output}")
