"""Schema of a table: columns and constraints, as JSON and SDV metadata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabsynth.common.html_tables import html_table
from tabsynth.common.input_files import check_depth
from tabsynth.errors import SchemaError, did_you_mean, escape_controls, quote, warn_caller
from tabsynth.schema.columns import (
    KINDS,
    Boolean,
    Categorical,
    Column,
    Datetime,
    Identifier,
    Numeric,
    Origin,
    Resolution,
    Role,
    Text,
    Value,
    column_from_dict,
)
from tabsynth.schema.constraints import Constraint, constraint_from_dict

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "KINDS",
    "VERSION",
    "Boolean",
    "Categorical",
    "Column",
    "Datetime",
    "Identifier",
    "Numeric",
    "Origin",
    "Resolution",
    "Role",
    "Schema",
    "Text",
    "Value",
]

VERSION = 1
"""Version of the JSON form; a file of a later version is refused."""


@dataclass(frozen=True)
class Schema(Mapping[str, Column]):
    """Ordered columns and the constraints between them; a mapping from name to column.

    Attributes:
        columns: Each column by its name.
        constraints: Constraints between columns.
        sdv: Table-level SDV metadata (keys, relationships), if the schema was read from it.
        ledger: The privacy ledger of measured facts, as data; a fit with the schema includes its cost.

    Example:
        >>> schema = Schema.from_dict({"columns": {"age": {"kind": "numeric", "low": 0, "decimals": 0}}})
        >>> schema["age"].low
        0
    """

    columns: Mapping[str, Column]
    constraints: tuple[Constraint, ...] = field(default=())
    sdv: Mapping[str, Any] = field(default_factory=dict, hash=False)
    ledger: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name, column in self.columns.items():
            if name != column.name:
                raise SchemaError(f"column {name!r} is filed under another name: {column.name!r}")
        for constraint in self.constraints:
            unknown = [name for name in constraint.columns if name not in self.columns]
            if unknown:
                raise SchemaError(f"constraint {constraint.to_dict()} names unknown columns: {quote(unknown)}")
            constraint.check_columns(self.columns)
        for role in ("target", "person", "weight"):
            holders = self.with_role(role)
            if len(holders) > 1:
                raise SchemaError(f"role {role!r} is given to several columns: {quote(holders)}; keep one")

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __str__(self) -> str:
        width = max((len(name) for name in self.columns), default=0)
        rows = [f"{name:{width}}  {column.kind:11}  {column.role or ''}" for name, column in self.columns.items()]
        return escape_controls("\n".join(row.rstrip() for row in rows))

    def with_role(self, role: str) -> list[str]:
        """Return the names of the columns that have a role."""
        return [name for name, column in self.columns.items() if column.role == role]

    def replace(self, name: str, **changes: Any) -> Schema:
        """Return a copy with changed facts of one column; ``kind`` changes its kind and keeps shared facts.

        Raises:
            SchemaError: There is no such column, or its kind has no such fact.
        """
        if name not in self.columns:
            hint = did_you_mean(name, self.columns)
            raise SchemaError(f"no column {name!r}{hint}; there are {quote(self.columns)}")
        column = self.columns[name]
        kind = changes.pop("kind", column.kind)
        kept = fields(column if kind == column.kind else Column)
        facts = {item.name: getattr(column, item.name) for item in kept if item.name != "name"}
        new = column_from_dict(
            name, {**facts, "kind": kind, "origin": "declared", "why": "", "question": "", **changes}
        )
        return Schema({**self.columns, name: new}, self.constraints, self.sdv, self.ledger)

    def drop(self, *names: str) -> Schema:
        """Return a copy without some columns, as ``frame.drop(columns=...)`` for the frame.

        Raises:
            SchemaError: There is no such column, or a constraint names it.
        """
        unknown = [name for name in names if name not in self.columns]
        if unknown:
            raise SchemaError(f"no column {quote(unknown)}; there are {quote(self.columns)}")
        kept = {name: column for name, column in self.columns.items() if name not in names}
        return Schema(kept, self.constraints, self.sdv, self.ledger)

    @property
    def questions(self) -> dict[str, str]:
        """Open questions by column."""
        return {name: column.question for name, column in self.columns.items() if column.question}

    @classmethod
    def infer(cls, frame: pd.DataFrame) -> Schema:
        """Infer a schema from a table (see ``tabsynth.schema.inference``)."""
        from tabsynth.schema.inference import infer_schema

        return infer_schema(frame)

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as plain data."""
        out: dict[str, Any] = {
            "version": VERSION,
            "columns": {name: column.to_dict() for name, column in self.columns.items()},
        }
        if self.constraints:
            out["constraints"] = [constraint.to_dict() for constraint in self.constraints]
        for key in ("sdv", "ledger"):
            if getattr(self, key):
                out[key] = dict(getattr(self, key))
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Schema:
        """Rebuild the output of ``to_dict``.

        Facts of another kind, as a change of ``kind`` leaves them behind, are ignored with a warning.

        Raises:
            SchemaError: Not such a mapping, an unknown kind or key, or a later version.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("columns"), Mapping):
            raise SchemaError('a schema is a mapping with "columns": {name: {"kind": ...}}')
        check_depth(data, "the schema", SchemaError)
        version = data.get("version", VERSION)
        if not isinstance(version, int) or version > VERSION:
            raise SchemaError(f"schema version {version!r} is later than {VERSION}: upgrade tabsynth to read it")
        unknown = set(data) - {"version", "columns", "constraints", "sdv", "ledger"}
        if unknown:
            raise SchemaError(f"unknown keys in a schema: {quote(sorted(unknown, key=str))}")
        leftovers: dict[str, list[str]] = {}
        columns = {name: column_from_dict(name, facts, leftovers=leftovers) for name, facts in data["columns"].items()}
        _warn_of_leftovers(leftovers, columns)
        constraints = data.get("constraints", ())
        if not isinstance(constraints, (list, tuple)):
            raise SchemaError(f"a schema's constraints are a list, not {constraints!r}")
        more = [data.get(key, {}) for key in ("sdv", "ledger")]
        for key, held in zip(("sdv", "ledger"), more, strict=True):
            if not isinstance(held, Mapping):
                raise SchemaError(f"a schema's {key} is a mapping, not {held!r}")
        return cls(columns, tuple(constraint_from_dict(item) for item in constraints), *more)

    def _repr_html_(self) -> str:
        """Return a row for each column, for notebooks."""
        rows = [(name, own.kind, own.role or "", own.origin, own.question) for name, own in self.columns.items()]
        return html_table(("column", "kind", "role", "origin", "question"), rows)

    def to_json(self, path: str | Path) -> None:
        """Write the schema to a JSON file, or with the suffix .yaml to a YAML file with comments."""
        from tabsynth.schema.schema_files import write_schema

        write_schema(self, path)

    @classmethod
    def from_json(cls, path: str | Path) -> Schema:
        """Read a schema from a JSON file, or from a YAML file (.yaml, .yml).

        Raises:
            SchemaError: The file is missing, malformed, or not a schema.
        """
        from tabsynth.schema.schema_files import read_schema

        return cls.from_dict(read_schema(path))

    @classmethod
    def of(cls, schema: Any) -> Schema:
        """Return a schema from a ``Schema``, its dictionary, or the path of its file.

        Raises:
            SchemaError: None of these.
        """
        if isinstance(schema, Schema):
            return schema
        if isinstance(schema, Mapping):
            return cls.from_dict(schema)
        if isinstance(schema, (str, Path)):
            return cls.from_json(schema)
        check_depth(schema, "the schema", SchemaError)
        raise SchemaError(f"schema must be a Schema, its dictionary or the path of its file, not {schema!r:.80}")

    def to_sdv(self) -> dict[str, Any]:
        """Return the SDV 2 metadata as plain data: ``Metadata.load_from_dict(schema.to_sdv())``."""
        from tabsynth.schema.sdv_metadata import to_sdv

        return to_sdv(self)

    @classmethod
    def from_sdv(cls, metadata: Any) -> Schema:
        """Read SDV 2 metadata: a ``Metadata`` object, its dictionary, or a path to its JSON file."""
        from tabsynth.schema.sdv_metadata import from_sdv

        return from_sdv(metadata)


def _warn_of_leftovers(leftovers: Mapping[str, list[str]], columns: Mapping[str, Column]) -> None:
    """Warn of ignored facts, once for all columns with the same ones."""
    groups: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for name, keys in leftovers.items():
        groups.setdefault((tuple(keys), columns[name].kind), []).append(name)
    for (ignored, kind), names in groups.items():
        which = f"column{'s' if len(names) > 1 else ''} {quote(names)}"
        warn_caller(f"{which}: {quote(ignored)} does not belong to a {kind} column and is ignored")
