"""Write the schema of a database as JSON, as YAML with evidence and questions as comments, or as HTML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tabsynth.common.atomic_files import write_text
from tabsynth.common.html_tables import html_summary, html_table
from tabsynth.common.text import escape_controls, readable_json
from tabsynth.schema.schema_files import dump_yaml, is_yaml, to_json, to_yaml

if TYPE_CHECKING:
    from tabsynth.schema.database.database_schema import DatabaseSchema

HEAD = """\
# A tabsynth database schema. A table's first foreign key to another table is its main one: its rows are
# modelled as the history of that parent. `order` names the date or number by which they follow each other, `reference`
# the public tables, which are copied, and `composite_keys` the primary keys of several columns.
"""


def write_database_schema(schema: DatabaseSchema, path: str | Path) -> None:
    """Write a schema: YAML if the suffix is .yaml or .yml, else JSON."""
    write_text(path, _to_yaml(schema) if is_yaml(path) else to_json(schema.to_dict()))


def to_html(schema: DatabaseSchema) -> str:
    """Return a row for each table, and the open questions of tables and columns."""
    rows = []
    for name, table in schema.tables.items():
        key = schema.primary_keys.get(name) or ", ".join(schema.composite_keys.get(name, ()))
        links = [f"{link.column} to {link.parent}" for link in schema.foreign_keys if link.table == name]
        rows.append((name, len(table), key, ", ".join(links), schema.order.get(name, "")))
    asked = {
        f"{name}.{column}": text for name, table in schema.tables.items() for column, text in table.questions.items()
    }
    questions = {**schema.questions, **asked}
    out = html_table(("table", "columns", "primary key", "foreign keys", "order"), rows)
    return f"<div>{out}{html_summary('questions', questions) if questions else ''}</div>"


def _to_yaml(schema: DatabaseSchema) -> str:
    data = schema.to_dict()
    lines = [HEAD + f"version: {data.pop('version')}"]
    questions = [" ".join(f"{name}: {text}".split()) for name, text in schema.questions.items()]
    lines += [f"# question: {escape_controls(text)}" for text in questions]
    del data["tables"]
    lines += [dump_yaml(data).rstrip(), "tables:"]
    for name, table in schema.tables.items():
        key = dump_yaml({name: []}).rstrip().removesuffix(" []")
        # A name of several lines would not be a plain key; JSON quotes it in one.
        lines.append(f"  {readable_json(name).rstrip()}:" if key.startswith("? ") else f"  {key}")
        lines += [f"    {line}" for line in to_yaml(table, head="").splitlines()]
    return "\n".join(lines) + "\n"
