"""Tables that commands read: their options, and ``-`` for standard input and output."""

from __future__ import annotations

import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tabsynth.data.table import Table
    from tabsynth.schema.schema import Schema

OPTIONS = ("separator", "decimal", "encoding", "missing", "sheet")
DATABASE_OPTIONS = ("table", "query")

INPUTS = ("file", "train", "synthetic", "holdout")
"""Arguments that name a table to read, unless the command writes it."""

OUTPUTS = {"sample": "output"}
"""The argument that names the table to write, by command."""

WRITTEN = {"split": ("train", "holdout")}
"""Arguments of the names above that a command writes."""

MAGIC = {b"PAR1": ".parquet", b"ARROW1": ".arrow", b"{": ".jsonl", b"PK\x03\x04": ".xlsx"}
"""The suffix for a stream that starts with these bytes; every other one is CSV."""


def add_read_options(parser: ArgumentParser) -> None:
    """Add the options of ``tabsynth.read`` to a command."""
    group = parser.add_argument_group("reading real rows", "detected by default")
    group.add_argument("--separator", metavar="CHAR", help="field separator of a CSV file, such as ';'")
    group.add_argument("--decimal", choices=(".", ","), metavar="CHAR", help="decimal separator of numbers, '.' or ','")
    group.add_argument("--encoding", metavar="NAME", help="encoding of a CSV file, such as gb18030 or cp1252")
    group.add_argument("--missing", nargs="+", metavar="TEXT", help="texts that mean a missing value, such as NA ?")
    group.add_argument("--sheet", metavar="NAME", help="sheet of a workbook (default: the first)")
    group.add_argument("--table", metavar="NAME", help="table of a database; a URL may name it itself: URL#NAME")
    group.add_argument("--query", metavar="SQL", help="query of a database, instead of a table")


def open_real(name: str, schema: Schema | None, args: Namespace) -> Table | str:
    """Return a table of real rows, read now if options are given; shipped tables and databases are always read.

    Options of files apply to files, and ``--table`` and ``--query`` to URLs that name no table themselves.
    """
    from tabsynth.data.sample_datasets import is_shipped, open_table
    from tabsynth.data.sql.urls import is_database_url
    from tabsynth.errors import DataError
    from tabsynth.evaluation.inputs import relax_measured, relax_schema

    is_url = is_database_url(name)
    apply = DATABASE_OPTIONS if is_url else OPTIONS
    options = {key: value for key, value in read_options(args).items() if key in apply and "#" not in name * is_url}
    if not (options or is_url or is_shipped(name)):
        return name
    try:
        return open_table(name, None if schema is None else relax_measured(schema), options)
    except DataError:
        if schema is None:
            raise
        return open_table(name, relax_schema(schema), options)  # the comparison warns


def open_compared(args: Namespace) -> tuple[Schema | None, Table | str, Table | str, Table | str | None]:
    """Return the schema, the training rows, the synthetic rows and the held-out rows of a comparison."""
    from tabsynth.data.sample_datasets import is_shipped, open_table
    from tabsynth.schema.schema import Schema

    schema = Schema.from_json(args.schema) if args.schema else None
    synthetic = open_table(args.synthetic) if is_shipped(args.synthetic) else args.synthetic
    holdout = open_real(args.holdout, None, args) if args.holdout else None
    return schema, open_real(args.train, schema, args), synthetic, holdout


def read_options(args: Namespace) -> dict[str, Any]:
    """Return the options given, as keyword arguments of ``tabsynth.read``."""
    given = {name: getattr(args, name) for name in (*OPTIONS, *DATABASE_OPTIONS) if getattr(args, name) is not None}
    if given.get("separator") == "\\t":
        given["separator"] = "\t"
    return given


@contextmanager
def standard_streams(args: Namespace) -> Iterator[None]:
    """Put a temporary file in place of ``-``: the content of standard input, or what goes to standard output.

    Raises:
        InputError: Two inputs are ``-``.
    """
    from tabsynth.common.atomic_files import temporary_folder
    from tabsynth.errors import InputError

    names = [name for name in INPUTS if name not in WRITTEN.get(args.command, ()) and getattr(args, name, None) == "-"]
    if len(names) > 1:
        raise InputError("standard input, -, can be one table only")
    output = OUTPUTS.get(args.command)
    if not names and (output is None or getattr(args, output) != "-"):
        yield
        return
    with temporary_folder("tabsynth-") as folder:
        for name in names:
            setattr(args, name, str(_spool(folder)))
        if output is None or getattr(args, output) != "-":
            yield
            return
        target = folder / "output.csv"
        setattr(args, output, str(target))
        stdout = sys.stdout
        sys.stdout = sys.stderr  # the summary
        try:
            yield
        finally:
            sys.stdout = stdout
        if target.exists():
            with target.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.flush()


def _spool(folder: Path) -> Path:
    """Return the content of standard input as a file, with the suffix of its format."""
    path = folder / "stdin"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    with path.open("rb") as file:
        start = file.read(16).lstrip()
    suffix = next((suffix for magic, suffix in MAGIC.items() if start.startswith(magic)), ".csv")
    return path.rename(path.with_suffix(suffix))
