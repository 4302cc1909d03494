"""What a table is: its columns, their kinds, bounds, roles, and where each fact comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from tabsynth.constraints import Constraint, constraint_from_dict
from tabsynth.errors import SchemaError, listed

if TYPE_CHECKING:
    import pandas as pd

VERSION = 1
"""Version of the JSON form; a file of a later version is refused."""

Role = Literal["target", "sensitive", "quasi_identifier", "person", "weight", "source"]
Origin = Literal["declared", "measured", "inferred"]
Resolution = Literal["ns", "us", "ms", "s", "min", "h", "D"]
Value = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class Column:
    """What every column has, whatever its kind.

    Attributes:
        name: The column's name in the table.
        nullable: Whether a value may be missing.
        role: What the column is used for, if anything special.
        origin: ``declared`` by a person, ``measured`` under differential privacy (and charged), or
            ``inferred`` from the data, which a private fit refuses.
        why: What ``Schema.infer`` saw that made it decide so.
        question: What ``Schema.infer`` could not decide and a person should; empty when nothing is open.
    """

    kind: ClassVar[str]

    name: str
    nullable: bool = False
    role: Role | None = None
    origin: Origin = "declared"
    why: str = ""
    question: str = ""

    def __post_init__(self) -> None:
        self._require(isinstance(self.name, str), f"a column's name must be text, not {self.name!r}")
        self._require(isinstance(self.nullable, bool), f"nullable must be true or false, not {self.nullable!r}")
        self._require(
            self.role is None or self.role in get_args(Role),
            f"role {self.role!r} is not one of {', '.join(get_args(Role))}",
        )
        self._require(
            self.origin in get_args(Origin), f"origin {self.origin!r} is not one of {', '.join(get_args(Origin))}"
        )

    def _require(self, condition: bool, message: str) -> None:
        if not condition:
            raise SchemaError(f"column {self.name!r}: {message}")

    def to_dict(self) -> dict[str, Any]:
        """The column as plain data; what has its default is left out."""
        out: dict[str, Any] = {"kind": self.kind}
        for item in fields(self):
            value = getattr(self, item.name)
            default = item.default if item.default_factory is MISSING else item.default_factory()
            if item.name != "name" and value != default:
                out[item.name] = list(value) if isinstance(value, tuple) else value
        return out


@dataclass(frozen=True, kw_only=True)
class Categorical(Column):
    """A value from a set. ``values=None`` means that the set is read off the training table.

    ``ordered`` says that the order of ``values`` means something (low, medium, high).
    """

    kind: ClassVar[str] = "categorical"
    values: tuple[Value, ...] | None = None
    ordered: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.values is None:
            return
        self._require(
            isinstance(self.values, (tuple, list)), f"values must be a list, not {type(self.values).__name__}"
        )
        object.__setattr__(self, "values", tuple(self.values))
        self._require(len(self.values) > 0, "values must not be empty; leave it out to read it off the data")
        for value in self.values:
            self._require(
                isinstance(value, (str, int, float, bool)) and value == value,
                f"value {value!r} is not text, a number or a boolean (missing is said by nullable)",
            )
        self._require(len(set(self.values)) == len(self.values), "values holds a value twice")


@dataclass(frozen=True, kw_only=True)
class Boolean(Column):
    """True or false."""

    kind: ClassVar[str] = "boolean"


@dataclass(frozen=True, kw_only=True)
class Numeric(Column):
    """A number, with optional bounds (inclusive) and a number of decimals (0 = integer, None = as it comes)."""

    kind: ClassVar[str] = "numeric"
    low: float | None = None
    high: float | None = None
    decimals: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("low", "high"):
            bound = getattr(self, name)
            self._require(
                bound is None or (isinstance(bound, (int, float)) and not isinstance(bound, bool)),
                f"{name} must be a number, not {bound!r}",
            )
        if self.low is not None and self.high is not None:
            self._require(self.low <= self.high, f"low {self.low} is above high {self.high}")
        self._require(
            self.decimals is None
            or (isinstance(self.decimals, int) and not isinstance(self.decimals, bool) and 0 <= self.decimals <= 17),
            f"decimals must be a whole number from 0 to 17, not {self.decimals!r}",
        )


@dataclass(frozen=True, kw_only=True)
class Datetime(Column):
    """A point in time. ``format`` is how text spells it (strftime); None for real datetimes.

    ``resolution`` is the finest unit that varies; ``low`` and ``high`` are inclusive ISO 8601 bounds.
    """

    kind: ClassVar[str] = "datetime"
    format: str | None = None
    resolution: Resolution | None = None
    low: str | None = None
    high: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            self.resolution is None or self.resolution in get_args(Resolution),
            f"resolution {self.resolution!r} is not one of {', '.join(get_args(Resolution))}",
        )


@dataclass(frozen=True, kw_only=True)
class Identifier(Column):
    """A key. Never learned: synthetic rows get fresh unique ones of the same ``pattern`` (a regular expression)."""

    kind: ClassVar[str] = "identifier"
    pattern: str | None = None


@dataclass(frozen=True, kw_only=True)
class Text(Column):
    """Free text. Never learned and never copied: synthetic rows get ``replacement``.

    ``pii`` names what the text holds in SDV's words ("email", "first_name"), if known.
    """

    kind: ClassVar[str] = "text"
    replacement: str = "[text removed]"
    pii: str | None = None


KINDS: dict[str, type[Column]] = {
    kind.kind: kind for kind in (Categorical, Boolean, Numeric, Datetime, Identifier, Text)
}


@dataclass(frozen=True)
class Schema(Mapping[str, Column]):
    """Ordered columns and the constraints between them; a mapping from name to column.

    Example:
        >>> schema = Schema.from_dict({"columns": {"age": {"kind": "numeric", "low": 0, "decimals": 0}}})
        >>> schema["age"].low
        0
    """

    columns: Mapping[str, Column]
    constraints: tuple[Constraint, ...] = field(default=())

    def __post_init__(self) -> None:
        for name, column in self.columns.items():
            if name != column.name:
                raise SchemaError(f"column {name!r} is filed under another name: {column.name!r}")
        for constraint in self.constraints:
            unknown = [name for name in constraint.columns if name not in self.columns]
            if unknown:
                raise SchemaError(f"constraint {constraint} names unknown columns: {listed(unknown)}")
        for role in ("target", "person", "weight"):
            holders = self.with_role(role)
            if len(holders) > 1:
                raise SchemaError(f"role {role!r} is given to several columns: {listed(holders)}; keep one")

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def with_role(self, role: str) -> list[str]:
        """Names of the columns that have a role."""
        return [name for name, column in self.columns.items() if column.role == role]

    def replace(self, name: str, **changes: Any) -> Schema:
        """A copy in which one column has other facts; ``kind`` changes its kind and keeps what both share."""
        if name not in self.columns:
            raise SchemaError(f"no column {name!r}; there are {listed(self.columns)}")
        column = self.columns[name]
        kind = changes.pop("kind", column.kind)
        changes = {"origin": "declared", "question": "", **changes}
        if kind == column.kind:
            new = replace(column, **changes)
        else:
            shared = {f.name: getattr(column, f.name) for f in fields(Column)}
            new = _column(name, {"kind": kind, **{k: v for k, v in shared.items() if k != "name"}, **changes})
        return Schema({**self.columns, name: new}, self.constraints)

    @property
    def questions(self) -> dict[str, str]:
        """What a person should still decide, by column."""
        return {name: column.question for name, column in self.columns.items() if column.question}

    @classmethod
    def infer(cls, frame: pd.DataFrame) -> Schema:
        """Read a schema off a table: see ``tabsynth.infer``. Every fact is marked ``inferred``."""
        from tabsynth.infer import infer_schema

        return infer_schema(frame)

    def to_dict(self) -> dict[str, Any]:
        """The schema as plain data."""
        out: dict[str, Any] = {
            "version": VERSION,
            "columns": {name: column.to_dict() for name, column in self.columns.items()},
        }
        if self.constraints:
            out["constraints"] = [constraint.to_dict() for constraint in self.constraints]
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Schema:
        """Read what ``to_dict`` writes.

        Raises:
            SchemaError: Not such a mapping, an unknown kind or key, or a later version.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("columns"), Mapping):
            raise SchemaError('a schema is a mapping with "columns": {name: {"kind": ...}}')
        version = data.get("version", VERSION)
        if not isinstance(version, int) or version > VERSION:
            raise SchemaError(f"schema version {version!r} is later than {VERSION}: upgrade tabsynth to read it")
        unknown = set(data) - {"version", "columns", "constraints"}
        if unknown:
            raise SchemaError(f"unknown keys in a schema: {listed(sorted(unknown))}")
        columns = {name: _column(name, facts) for name, facts in data["columns"].items()}
        return cls(columns, tuple(constraint_from_dict(item) for item in data.get("constraints", ())))

    def to_json(self, path: str | Path) -> None:
        """Write the schema to a JSON file."""
        from tabsynth.files import write_text

        write_text(path, json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def from_json(cls, path: str | Path) -> Schema:
        """Read a schema from a JSON file.

        Raises:
            SchemaError: The file is missing, not JSON, or not a schema.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise SchemaError(f"cannot read the schema {str(path)!r}: {error.strerror or error}") from error
        except ValueError as error:
            raise SchemaError(f"{str(path)!r} is not JSON: {error}") from error
        return cls.from_dict(data)

    def to_sdv(self) -> dict[str, Any]:
        """SDV 2 metadata as plain data: ``Metadata.load_from_dict(schema.to_sdv())``."""
        from tabsynth.sdv_metadata import to_sdv

        return to_sdv(self)

    @classmethod
    def from_sdv(cls, metadata: Any) -> Schema:
        """Read SDV 2 metadata: a ``Metadata`` object, its dictionary, or a path to its JSON file."""
        from tabsynth.sdv_metadata import from_sdv

        return from_sdv(metadata)


def _column(name: str, facts: Any) -> Column:
    """One column from its plain data."""
    if not isinstance(facts, Mapping):
        raise SchemaError(f'column {name!r}: expected {{"kind": ...}}, not {facts!r}')
    kind = KINDS.get(str(facts.get("kind")))
    if kind is None:
        raise SchemaError(f"column {name!r}: kind {facts.get('kind')!r} is not one of {', '.join(KINDS)}")
    known = {f.name for f in fields(kind)} - {"name"}
    unknown = set(facts) - known - {"kind"}
    if unknown:
        raise SchemaError(
            f"column {name!r}: {listed(sorted(unknown))} does not belong to a {kind.kind} column; "
            f"there are {', '.join(sorted(known))}"
        )
    return kind(name=name, **{key: value for key, value in facts.items() if key != "kind"})
