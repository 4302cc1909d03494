"""The command ``inspect``: describe the columns of a table."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from tabsynth.cli.output import AddCommand, aligned, say, show

if TYPE_CHECKING:
    from tabsynth.schema.columns import Column


INSPECT = """\
examples:
  tabsynth inspect patients.csv                        a table for people
  tabsynth inspect patients.csv --schema schema.json   also write what was inferred, to edit and give to fit
  tabsynth inspect patients.csv --json | jq .questions
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    inspect = command("inspect", "Say what each column of a table is, why, and what a person should decide.", INSPECT)
    inspect.add_argument("file", metavar="FILE", help="CSV, Parquet or Excel file, or sklearn:NAME")
    inspect.add_argument("--schema", metavar="FILE", help="write the inferred schema to this JSON file")
    inspect.add_argument("--json", action="store_true", help="print JSON, also on a terminal")


def run(args: Namespace) -> int:
    """Say what each column is, why, and what a person should decide. Only people see values of the table."""
    from tabsynth.common.atomic_files import check_writable
    from tabsynth.data.sample_datasets import open_table
    from tabsynth.schema.inference import describe

    if args.schema:
        check_writable(args.schema)
    table = open_table(args.file)
    schema = table.schema
    if args.schema:
        schema.to_json(args.schema)
        say(f"wrote {args.schema}: edit it and give it to fit with --schema")
    described = describe(schema, table.frame)
    rows = [
        [r["column"], r["kind"], _facts(schema[r["column"]]), ", ".join(r["examples"]), r["because"]] for r in described
    ]
    text = f"{args.file}: {len(table):,} rows, {len(schema)} columns\n\n"
    text += aligned(["column", "kind", "facts", "frequent values", "why"], rows)
    if schema.questions:
        text += "\n\nto decide (edit the schema that --schema writes):\n"
        text += "\n".join(f"  {name}: {question}" for name, question in schema.questions.items())
    data = {"file": args.file, "rows": len(table), "schema": schema.to_dict(), "questions": schema.questions}
    return show(data, text, force_json=args.json)


def _facts(column: Column) -> str:
    """What is known of a column beyond its kind, in a few words."""
    from tabsynth.schema.columns import Categorical, Numeric

    plain = column.to_dict()
    words: list[str] = [column.role] if column.role else []
    if isinstance(column, Categorical) and column.values is not None:
        shown = ", ".join(str(value) for value in column.values[:4])
        words.append(shown if len(column.values) <= 4 else f"{len(column.values)} values: {shown}, ...")
    if plain.get("low") is not None or plain.get("high") is not None:
        words.append(f"{plain.get('low', '')} to {plain.get('high', '')}")
    if isinstance(column, Numeric) and column.decimals is not None:
        words.append("whole numbers" if column.decimals == 0 else f"decimals: {column.decimals}")
    words += [str(plain[key]) for key in ("format", "resolution", "pattern", "pii") if plain.get(key)]
    if column.nullable:
        words.append("may be missing")
    return "; ".join(words)
