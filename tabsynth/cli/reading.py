"""Options of commands that read tables."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tabsynth.data.table import Table
    from tabsynth.schema.schema import Schema

OPTIONS = ("separator", "decimal", "encoding", "missing", "sheet")
DATABASE_OPTIONS = ("table", "query")


def add_read_options(parser: ArgumentParser) -> None:
    """Add the options of ``tabsynth.read`` to a command."""
    group = parser.add_argument_group("reading real rows", "detected by default")
    group.add_argument("--separator", metavar="CHAR", help="field separator of a CSV file, such as ';'")
    group.add_argument("--decimal", choices=(".", ","), help="decimal separator of numbers")
    group.add_argument("--encoding", metavar="NAME", help="encoding of a CSV file, such as gb18030 or cp1252")
    group.add_argument("--missing", nargs="+", metavar="TEXT", help="spellings of missing values, such as NA ?")
    group.add_argument("--sheet", metavar="NAME", help="sheet of a workbook (default: the first)")
    group.add_argument("--table", metavar="NAME", help="table of a database; a URL may name it itself: URL#NAME")
    group.add_argument("--query", metavar="SQL", help="query of a database, instead of a table")


def open_real(name: str, schema: Schema | None, args: Namespace) -> Table | str:
    """A table of real rows, read now if options are given; shipped tables and databases are always read.

    Options of files apply to files, and ``--table`` and ``--query`` to URLs that name no table themselves.
    """
    from tabsynth.data.sample_datasets import is_shipped, open_table
    from tabsynth.data.sql.urls import is_database_url

    is_url = is_database_url(name)
    apply = DATABASE_OPTIONS if is_url else OPTIONS
    options = {key: value for key, value in read_options(args).items() if key in apply and "#" not in name * is_url}
    return open_table(name, schema, options) if options or is_url or is_shipped(name) else name


def read_options(args: Namespace) -> dict[str, Any]:
    """The options given, as keyword arguments of ``tabsynth.read``."""
    given = {name: getattr(args, name) for name in (*OPTIONS, *DATABASE_OPTIONS) if getattr(args, name) is not None}
    if given.get("separator") == "\\t":
        given["separator"] = "\t"
    return given
