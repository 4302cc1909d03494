"""The command ``split``: split a table into training and held-out rows."""

from __future__ import annotations

from argparse import Namespace

from tabsynth.cli.database.split import split_folder
from tabsynth.cli.output import AddCommand, non_negative_integer, print_result
from tabsynth.cli.reading import add_read_options, read_options

SPLIT = """\
examples:
  tabsynth split patients.csv --train train.csv --holdout holdout.csv
  tabsynth split patients.csv --share 0.3 --target outcome --train train.parquet --holdout holdout.parquet
  tabsynth split clinic/ --train train/ --holdout holdout/        a folder of linked tables

Rows are stratified by the target. All rows of a person (role `person` of the schema) stay together, and so do all
rows below one row of the root table. Fit the training rows only; evaluate and audit take the held-out rows with
--holdout.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    split = command("split", "Split a table into training and held-out rows.", SPLIT)
    split.add_argument(
        "file", metavar="FILE", help="CSV, Parquet or Excel file, a database's URL, sklearn:NAME, or a folder of tables"
    )
    split.add_argument("--train", required=True, metavar="FILE", help="file or folder for the training rows")
    split.add_argument("--holdout", required=True, metavar="FILE", help="file or folder for the held-out rows")
    split.add_argument("--share", type=float, default=0.2, metavar="P", help="share to hold out (default: %(default)s)")
    split.add_argument("--target", metavar="COLUMN", help="the column to stratify by (default: the one of role target)")
    split.add_argument("--schema", metavar="FILE", help="schema file (default: inferred)")
    add_read_options(split)
    split.add_argument("--seed", type=non_negative_integer, default=0, metavar="N", help="seed (default: %(default)s)")


def run(args: Namespace) -> int:
    """Run the command."""
    from pathlib import Path

    from tabsynth.common.atomic_files import check_outputs
    from tabsynth.data.database.folders import holds_linked_tables
    from tabsynth.data.read_write import write
    from tabsynth.data.sample_datasets import open_table
    from tabsynth.data.train_test_split import split
    from tabsynth.errors import InputError
    from tabsynth.pipeline.outputs import check_table_output
    from tabsynth.schema.schema import Schema

    paths = [path if "://" in path else Path(path).resolve() for path in (args.file, args.train, args.holdout)]
    if len(set(paths)) < 3:
        raise InputError("FILE, --train and --holdout must be three different files")
    check_outputs([args.train, args.holdout], [args.file, args.schema])
    if holds_linked_tables(args.file):
        return split_folder(args)
    for path in (args.train, args.holdout):
        check_table_output(path)
    schema = Schema.from_json(args.schema) if args.schema else None
    table = open_table(args.file, schema, read_options(args))
    train, holdout = split(table, args.share, seed=args.seed, target=args.target)
    for part, path in ((train, args.train), (holdout, args.holdout)):
        write(part, path, separator=_separator(args, path))
    data = {"train": args.train, "holdout": args.holdout, "rows": {"train": len(train), "holdout": len(holdout)}}
    text = f"wrote {len(train):,} rows to {args.train} and {len(holdout):,} to {args.holdout}"
    return print_result({**data, "seed": args.seed}, text)


def _separator(args: Namespace, output: str) -> str | None:
    """Return the separator of the file that is split, if both it and a part are CSV files of the same suffix."""
    from pathlib import Path

    from tabsynth.data.csv_dialects import separator_of
    from tabsynth.data.file_formats import default_separator, file_format
    from tabsynth.data.sample_datasets import is_shipped
    from tabsynth.data.sql.urls import is_database_url

    source, target = Path(args.file), Path(output)
    if any(map(is_database_url, (args.file, output))) or is_shipped(args.file) or not source.is_file():
        return None
    if file_format(source) != "csv" or file_format(target) != "csv":
        return None
    usual = default_separator(source)
    if default_separator(target) != usual:
        return None
    return read_options(args).get("separator") or separator_of(source, usual=usual)
