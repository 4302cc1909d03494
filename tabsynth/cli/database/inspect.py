"""``inspect`` on a folder: propose the schema of a database."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tabsynth.cli.output import format_table, print_result, say
from tabsynth.cli.reading import read_options

if TYPE_CHECKING:
    import pandas as pd

    from tabsynth.schema.database.database_schema import DatabaseSchema


def inspect_folder(args: Namespace) -> int:
    """Propose tables, keys, links and order columns, with questions; write them with ``--schema``."""
    from tabsynth.common.atomic_files import check_outputs, check_writable
    from tabsynth.data.database.folders import read_folder, table_files
    from tabsynth.schema.database.database_schema import DatabaseSchema

    check_outputs([args.schema], list(table_files(args.file).values()))
    if args.schema:
        check_writable(args.schema)
    tables, schema = read_folder(args.file, options=read_options(args))
    questions = {**schema.questions, **_column_questions(schema)}
    if args.schema and Path(args.schema).exists():
        inferred = schema
        tables, schema = read_folder(args.file, DatabaseSchema.from_json(args.schema), read_options(args))
        questions = _column_questions(inferred, schema)
        say(f"read {args.schema}, which exists, and did not change it; name another file to write the inferred schema")
    elif args.schema:
        schema.to_json(args.schema)
        say(f"wrote {args.schema}: edit it and pass it to fit with --schema")
    rows = []
    for name in schema.sorted_tables:
        links = [key for key in schema.foreign_keys if key.table == name]
        rows.append(
            [
                name,
                f"{len(tables[name]):,}",
                str(len(schema.tables[name])),
                schema.primary_keys.get(name, "–"),
                schema.order.get(name, "–"),
                ", ".join(f"{key.column} → {key.parent}" for key in links) or "–",
            ]
        )
    text = f"{args.file}: {len(tables)} tables\n\n"
    text += format_table(["table", "rows", "columns", "primary key", "order", "foreign keys"], rows)
    if questions:
        text += "\n\nopen questions (edit the schema that --schema writes):\n"
        text += "\n".join(f"  {name}: {question}" for name, question in questions.items())
    found: dict[str, list[str]] = {}
    if args.suggest_rules:
        found["relations"] = _found_relations(tables, schema)
        text += "\n\nrelations along histories and between tables, which fit keeps in every row:\n"
        text += "\n".join(f"  {one}" for one in found["relations"]) or "  none"
    data = {
        "folder": args.file,
        "rows": {name: len(frame) for name, frame in tables.items()},
        "schema": schema.to_dict(),
        "questions": questions,
        **found,
    }
    return print_result(data, text, force_json=args.json)


def _column_questions(inferred: DatabaseSchema, declared: DatabaseSchema | None = None) -> dict[str, str]:
    """Return the questions about columns; without those of columns that a declared schema changes."""
    from tabsynth.schema.description import open_questions
    from tabsynth.schema.schema import Schema

    out: dict[str, str] = {}
    for name, table in inferred.tables.items():
        own = table if declared is None else declared.tables.get(name, Schema({}))
        out |= {f"{name}.{column}": text for column, text in open_questions(table, own).items()}
    return out


def _found_relations(tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema) -> list[str]:
    """Return the relations that hold in all rows, as formulas."""
    from tabsynth.relations.linked.linked_relations import LinkedRelations

    return LinkedRelations.discover(tables, schema, min_group=5)[0].describe()
