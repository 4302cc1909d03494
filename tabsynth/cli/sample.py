"""The command ``sample``: sample from a model file."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabsynth.cli.database.sample import sample_folder
from tabsynth.cli.output import (
    AddCommand,
    non_negative_integer,
    parse_number,
    positive_integer,
    positive_number,
    print_result,
    say,
)

if TYPE_CHECKING:
    from tabsynth.schema.columns import Column
    from tabsynth.schema.schema import Schema
    from tabsynth.synthesizers.base import Synthesizer

SAMPLE = """\
examples:
  tabsynth sample m.tabsynth -n 1000 --output synthetic.parquet
  tabsynth sample m.tabsynth -n 10_000_000 --seed 1 --output synthetic.csv      in chunks: constant memory
  tabsynth sample m.tabsynth -n 100_000_000 --seed 1 --shards --workers 4 --output folder/    Parquet files, in parallel
  tabsynth sample m.tabsynth -n 500 --given sex=f --given age=60:80 --output women.csv
  tabsynth sample clinic.tabsynth --scale 2 --output synthetic/                 linked tables: a folder

A condition is COLUMN=VALUE, COLUMN=LOW:HIGH for numbers and dates (inclusive; one end may be empty), COLUMN=A,B for
several categories, or COLUMN= for a missing value; TABLE.COLUMN in a model of linked tables.

With --shards, the files are the same for any number of workers, and the same command resumes after an interruption.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    sample = command("sample", "Sample synthetic rows from a model file.", SAMPLE)
    sample.add_argument("model", metavar="MODEL", help="model file, written by fit")
    sample.add_argument(
        "--output",
        "-o",
        required=True,
        metavar="FILE",
        help="CSV, Parquet or Excel file to write, a folder with --shards and for linked tables, or a database's URL",
    )
    sample.add_argument("--table", metavar="NAME", help="table of a database; a URL may name it itself: URL#NAME")
    sample.add_argument(
        "--mode", choices=["create", "append", "replace"], help="how to write a table of a database (default: create)"
    )
    sample.add_argument(
        "--rows",
        "-n",
        type=positive_integer,
        metavar="N",
        help="number of rows, or of root rows for linked tables (default: as in the training table)",
    )
    sample.add_argument(
        "--scale",
        type=positive_number,
        metavar="X",
        help="number of rows as a multiple of the rows of the training table",
    )
    sample.add_argument("--format", choices=["parquet", "csv"], help="format of a folder's tables (default: parquet)")
    sample.add_argument("--separator", metavar="CHAR", help="field separator of a CSV file, such as ';'")
    sample.add_argument(
        "--keep-formulas",
        action="store_true",
        help="write text such as =A1 unchanged; by default it is marked, so that spreadsheets do not run it",
    )
    sample.add_argument(
        "--given",
        action="append",
        default=[],
        metavar="CONDITION",
        help="condition that every row satisfies (see below)",
    )
    sample.add_argument("--seed", type=non_negative_integer, metavar="N", help="seed (default: random, and printed)")
    sample.add_argument("--shards", action="store_true", help="write a folder of Parquet files, in parallel")
    sample.add_argument(
        "--workers",
        type=positive_integer,
        default=1,
        metavar="N",
        help="with --shards: number of processes (default: %(default)s)",
    )
    sample.add_argument(
        "--shard-rows",
        type=positive_integer,
        default=250_000,
        metavar="N",
        help="with --shards: rows of each file (default: %(default)s)",
    )
    sample.add_argument(
        "--executor",
        choices=["processes", "ray"],
        default="processes",
        help="with --shards: processes on this machine, or tasks of the Ray cluster at RAY_ADDRESS",
    )


def run(args: Namespace) -> int:
    """Run the command."""
    from tabsynth.common import model_file
    from tabsynth.common.atomic_files import check_outputs
    from tabsynth.common.validation import random_seed
    from tabsynth.data.file_formats import file_format
    from tabsynth.data.sql.urls import is_database_url
    from tabsynth.data.write_tables import check_csv_separator
    from tabsynth.errors import InputError
    from tabsynth.pipeline.outputs import check_table_output, write_sample
    from tabsynth.synthesizers.registry import DATABASE_KINDS, from_file, known_values

    if args.scale is not None and args.rows is not None:
        raise InputError("--rows and --scale exclude each other; give one")
    if args.shards:
        return _sample_shards(args)
    check_outputs([args.output], [args.model])
    file = model_file.load(args.model)
    if file.kind in DATABASE_KINDS:
        return sample_folder(args, parse_given)
    if args.format is not None:
        raise InputError("--format is for linked tables; the suffix of --output decides the format of one table")
    if args.mode is not None and not is_database_url(args.output):
        raise InputError("--mode is for databases; a file is always replaced")
    if args.keep_formulas and (is_database_url(args.output) or file_format(Path(args.output)) not in ("csv", "excel")):
        raise InputError("--keep-formulas is for CSV files and workbooks; other formats mark no formulas")
    separator = {"\\t": "\t"}.get(args.separator, args.separator)
    check_csv_separator(separator, args.output)
    check_table_output(args.output, args.table)
    model = from_file(file, args.model)
    given = parse_given(args.given, model.schema_, known_values(model))
    rows = _n_rows(args, model)
    seed = random_seed() if args.seed is None else args.seed
    how = {"table": args.table, "mode": args.mode, "keep_formulas": args.keep_formulas, "separator": separator}
    write_sample(model, args.output, rows, given=given, seed=seed, **how)
    return print_result({"output": args.output, "rows": rows, "seed": seed}, f"wrote {rows:,} rows to {args.output}")


def _sample_shards(args: Namespace) -> int:
    """Sample into a folder of Parquet files."""
    from tabsynth.common.validation import random_seed
    from tabsynth.distributed import sample_to
    from tabsynth.errors import InputError
    from tabsynth.synthesizers.registry import load

    if args.given or args.format is not None or args.keep_formulas or args.separator is not None:
        raise InputError(
            "--shards takes no --given, --format, --keep-formulas or --separator; sample into one file instead"
        )
    model = load(args.model)
    seed = random_seed() if args.seed is None else args.seed
    executor = "serial" if args.workers == 1 and args.executor == "processes" else args.executor
    if args.seed is None:
        say(f"the seed is {seed}; give it with --seed to resume this run")
    how = {"shard_rows": args.shard_rows, "executor": executor, "workers": args.workers}
    manifest = sample_to(args.output, model, _n_rows(args, model), seed=seed, **how)
    rows, shards = manifest.plan.rows, len(manifest.shards)
    data = {"output": args.output, "rows": rows, "seed": seed, "shards": shards}
    return print_result(data, f"wrote {rows:,} rows to {shards} files in {args.output}")


def _n_rows(args: Namespace, model: Synthesizer) -> int:
    return int(args.rows or max(round(model.rows_ * (args.scale or 1)), 1))


def parse_given(
    conditions: Iterable[str], schema: Schema, known: Mapping[str, Sequence[Any]] | None = None
) -> dict[str, Any] | None:
    """Parse conditions into the form of ``sample(given=...)``.

    Args:
        conditions: ``COLUMN=VALUE``, ``COLUMN=LOW:HIGH`` (numbers and dates; one end may be empty), ``COLUMN=A,B``
            (categories) or ``COLUMN=`` (missing).
        schema: The model's schema.
        known: The model's vocabulary by column, for columns whose values the schema does not declare.

    Raises:
        ConditionError: A condition is malformed, its column is unknown, or its value is impossible.
    """
    from tabsynth.errors import ConditionError, quote

    given: dict[str, Any] = {}
    for text in conditions:
        places = [i for i, letter in enumerate(text) if letter == "=" and text[:i] in schema]
        if not places:
            name, sign, _ = text.partition("=")
            wrong = f"unknown column {name!r}; there are {quote(schema, 12)}" if sign else "write COLUMN=VALUE"
            raise ConditionError(f"--given {text}: {wrong}")
        name, value = text[: places[-1]], text[places[-1] + 1 :]
        if name in given:
            raise ConditionError(f"--given names column {name!r} twice; combine the conditions")
        given[name] = _parse_condition(schema[name], value, (known or {}).get(name, ()))
    return given or None


def _parse_condition(column: Column, text: str, known: Sequence[Any]) -> Any:
    from tabsynth.errors import ConditionError, quote
    from tabsynth.schema.columns import Boolean, Categorical, Datetime, Numeric

    if isinstance(column, (Numeric, Datetime)):
        single = partial(parse_number, option=f"--given {column.name}") if isinstance(column, Numeric) else str
        ends = _parse_range(text, times=isinstance(column, Datetime))
        if ends is not None:
            return tuple(single(end) if end else None for end in ends)
        return single(text) if text else None
    if isinstance(column, Boolean) and text:
        if text.lower() not in ("true", "false"):
            raise ConditionError(f"--given {column.name}={text}: the column is boolean; give true or false")
        return text.lower() == "true"
    declared = column.values if isinstance(column, Categorical) else None
    values = {str(value): value for value in declared or known}
    if text in values or not values:
        return values.get(text, text or None)
    parts = text.split(",")
    if all(part in values for part in parts):
        return [values[part] for part in parts]
    if not text:
        return None
    raise ConditionError(f"--given {column.name}={text}: the column has the values {quote(values, 12)}")


def _parse_range(text: str, *, times: bool) -> tuple[str, str] | None:
    """Split LOW:HIGH; None for a single value."""
    if text.startswith(":") or text.endswith(":"):
        return (text[:-1], "") if text.endswith(":") else ("", text[1:])
    # Times contain colons too: the middle one separates two ends of the same format.
    parts = text.split(":")
    low, high = ":".join(parts[: len(parts) // 2]), ":".join(parts[len(parts) // 2 :])
    alike = re.sub(r"\d+", "0", low) == re.sub(r"\d+", "0", high)
    return (low, high) if len(parts) % 2 == 0 and (alike or not times) else None
