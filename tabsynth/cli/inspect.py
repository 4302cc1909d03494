"""The command ``inspect``: describe the columns of a table."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabsynth.cli.database.inspect import inspect_folder
from tabsynth.cli.output import AddCommand, format_table, print_result, say
from tabsynth.cli.reading import add_read_options, read_options

if TYPE_CHECKING:
    from tabsynth.schema.columns import Column


INSPECT = """\
examples:
  tabsynth inspect patients.csv                        on a terminal: a table
  tabsynth inspect patients.csv --schema schema.yaml   also write the inferred schema, to edit and pass to fit;
                                                       if it exists, describe the table by it, and leave it unchanged
  tabsynth inspect patients.csv --suggest-rules        also propose rules such as admitted <= discharged
  tabsynth inspect patients.csv --json | jq .questions
  tabsynth inspect clinic/ --schema clinic.yaml        a folder of linked tables: keys and links are proposed
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    inspect = command("inspect", "Describe each column: inferred type, evidence, open questions.", INSPECT)
    inspect.add_argument(
        "file", metavar="FILE", help="CSV, Parquet or Excel file, a database's URL, sklearn:NAME, or a folder of tables"
    )
    inspect.add_argument(
        "--schema",
        "--output",
        "-o",
        metavar="FILE",
        help="write the inferred schema (.yaml: with comments); an existing schema file is read instead",
    )
    inspect.add_argument(
        "--suggest-rules", action="store_true", help="propose constraints that hold in every row, for the schema file"
    )
    inspect.add_argument("--json", action="store_true", help="print JSON, also on a terminal")
    add_read_options(inspect)


def run(args: Namespace) -> int:
    """Run the command. Values of the table are shown on a terminal only."""
    from tabsynth.common.atomic_files import check_outputs, check_writable
    from tabsynth.data.database.folders import holds_linked_tables
    from tabsynth.data.sample_datasets import open_table
    from tabsynth.relations.declared.suggestion import suggest_constraints
    from tabsynth.schema.description import describe, open_questions
    from tabsynth.schema.schema import Schema

    if holds_linked_tables(args.file):
        return inspect_folder(args)
    check_outputs([args.schema], [args.file])
    if args.schema:
        check_writable(args.schema)
    table = open_table(args.file, options=read_options(args))
    schema, questions = table.schema, table.schema.questions
    if args.schema and Path(args.schema).exists():
        table = open_table(args.file, Schema.from_json(args.schema), read_options(args))
        questions = open_questions(schema, table.schema)
        schema = table.schema
        say(f"read {args.schema}, which exists, and did not change it; name another file to write the inferred schema")
    elif args.schema:
        schema.to_json(args.schema)
        say(f"wrote {args.schema}: edit it and pass it to fit with --schema")
    described = describe(schema, table.frame)
    rows = [
        [r["column"], r["kind"], _describe_column(schema[r["column"]]), _describe_values(r), r["because"]]
        for r in described
    ]
    text = f"{args.file}: {len(table):,} rows, {len(schema)} columns\n\n"
    text += format_table(["column", "kind", "facts", "values", "why"], rows)
    if questions:
        text += "\n\nopen questions (edit the schema that --schema writes):\n"
        text += "\n".join(f"  {name}: {question}" for name, question in questions.items())
    data = {"file": args.file, "rows": len(table), "schema": schema.to_dict(), "questions": questions}
    if args.suggest_rules:
        rules = suggest_constraints(table)
        data["suggested_rules"] = [rule.to_dict() for rule in rules]
        text += "\n\nrules that hold in every row (keep those that must, under constraints: in the schema file):\n"
        text += "\n".join(f"  - {json.dumps(rule.to_dict(), ensure_ascii=False)}" for rule in rules) or "  none"
    return print_result(data, text, force_json=args.json)


def _describe_values(row: Mapping[str, Any]) -> str:
    """Return the quantiles of a number or date, else frequent values; then the share of missing ones."""
    parts = row["quantiles"]
    examples = ", ".join(row["examples"])
    if more := row["distinct"] - len(row["examples"]):
        examples += f" and {more} more" if examples else f"{more} different"
    values = f"{parts[0]} to {parts[-1]}, quartiles {', '.join(parts[1:-1])}" if parts else examples
    return f"{values}; {row['missing']:.1%} missing" if row["missing"] else values


def _describe_column(column: Column) -> str:
    """Return the properties of a column beyond its kind."""
    from tabsynth.schema.columns import Categorical, Numeric

    plain = column.to_dict()
    facts: list[str] = [column.role] if column.role else []
    if isinstance(column, Categorical) and column.values is not None:
        shown = ", ".join(str(value) for value in column.values[:4])
        facts.append(shown if len(column.values) <= 4 else f"{len(column.values)} values: {shown}, ...")
    if plain.get("low") is not None or plain.get("high") is not None:
        facts.append(f"{plain.get('low', '')} to {plain.get('high', '')}")
    if isinstance(column, Numeric) and column.decimals is not None:
        facts.append("integers" if column.decimals == 0 else f"decimals: {column.decimals}")
    if plain.get("format"):
        facts.append(f"written as {plain['format']}")
    facts += [str(plain[key]) for key in ("resolution", "pattern", "pii") if plain.get(key)]
    if column.nullable:
        facts.append("may be missing")
    return "; ".join(facts)
