"""``inspect`` on a folder: propose the schema of a database."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
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

    check_outputs([args.schema], list(table_files(args.file).values()))
    if args.schema:
        check_writable(args.schema)
    tables, schema = read_folder(args.file, options=read_options(args))
    if args.schema:
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
    questions = dict(schema.questions)
    questions |= {
        f"{name}.{key}": text for name, table in schema.tables.items() for key, text in table.questions.items()
    }
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


def _found_relations(tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema) -> list[str]:
    """Return the relations that hold in all rows, as formulas."""
    from tabsynth.relations.linked.linked_relations import LinkedRelations

    return LinkedRelations.discover(tables, schema, min_group=5)[0].describe()
