"""Options of commands that read tables."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tabsynth.data.table import Table
    from tabsynth.schema.schema import Schema

OPTIONS = ("separator", "decimal", "encoding", "missing", "sheet")


def add_read_options(parser: ArgumentParser) -> None:
    """Add the options of ``tabsynth.read`` to a command."""
    group = parser.add_argument_group("reading real rows", "detected by default")
    group.add_argument("--separator", metavar="CHAR", help="field separator of a CSV file, such as ';'")
    group.add_argument("--decimal", choices=(".", ","), help="decimal separator of numbers")
    group.add_argument("--encoding", metavar="NAME", help="encoding of a CSV file, such as gb18030 or cp1252")
    group.add_argument("--missing", nargs="+", metavar="TEXT", help="spellings of missing values, such as NA ?")
    group.add_argument("--sheet", metavar="NAME", help="sheet of a workbook (default: the first)")


def open_real(name: str, schema: Schema | None, args: Namespace) -> Table | str:
    """A file of real rows, read now if options are given; shipped tables are always loaded."""
    from tabsynth.data.sample_datasets import is_shipped, open_table

    options = read_options(args)
    return open_table(name, schema, options) if options or is_shipped(name) else name


def read_options(args: Namespace) -> dict[str, Any]:
    """The options given, as keyword arguments of ``tabsynth.read``."""
    given = {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}
    if given.get("separator") == "\\t":
        given["separator"] = "\t"
    return given
