"""Column kinds, their facts, and where each fact comes from."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, Literal, get_args

from tabsynth.errors import SchemaError, did_you_mean, quote
from tabsynth.schema.number_formats import NumberFormat

Role = Literal["target", "sensitive", "quasi_identifier", "person", "weight", "source"]
Origin = Literal["declared", "measured", "inferred"]
DIRECTIVES = re.compile("%(?:[-^]?[aAbBcdfHIjmMpSUwWyYZzxXGuVPe]|:z|%)")
"""Directives of formats of dates."""
Resolution = Literal["ns", "us", "ms", "s", "min", "h", "D"]
Value = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class Column:
    """Facts shared by all kinds of columns.

    Attributes:
        name: The column's name in the table.
        nullable: Whether a value may be missing.
        role: A special use of the column.
        origin: ``declared`` by a person, ``measured`` under differential privacy (and charged), or
            ``inferred`` from the data, which a private fit refuses.
        description: Meaning of the column, for readers.
        why: Evidence on which ``Schema.infer`` decided.
        question: A decision that ``Schema.infer`` leaves to a person; empty if there is none.
        sdv: The column's entry in SDV metadata, where it came from there; it keeps what the other facts do not
            express (see ``tabsynth.schema.sdv_metadata``).
        sql_type: The column's type in the database that it was read from, such as ``numeric(10,2)``; a table that is
            written to a database gets it again.
    """

    kind: ClassVar[str]

    name: str
    nullable: bool = False
    role: Role | None = None
    origin: Origin = "declared"
    description: str = ""
    why: str = ""
    question: str = ""
    sdv: Mapping[str, Any] = field(default_factory=dict, hash=False)
    sql_type: str = ""

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
        self._require(isinstance(self.sdv, Mapping), f"sdv must be a mapping, not {self.sdv!r}")
        for name in ("description", "why", "question", "sql_type"):
            self._require(isinstance(getattr(self, name), str), f"{name} must be text, not {getattr(self, name)!r}")

    def _require(self, condition: bool, message: str) -> None:
        if not condition:
            raise SchemaError(f"column {self.name!r}: {message}")

    def to_dict(self) -> dict[str, Any]:
        """Return the column as plain data, without defaults."""
        out: dict[str, Any] = {"kind": self.kind}
        for item in fields(self):
            value = getattr(self, item.name)
            default = item.default if item.default_factory is MISSING else item.default_factory()
            if item.name != "name" and value != default:
                out[item.name] = list(value) if isinstance(value, tuple) else value
        return out


@dataclass(frozen=True, kw_only=True)
class Categorical(Column):
    """A value from a set. ``values=None`` means that the training table defines the set.

    ``ordered`` says that the order of ``values`` means something (low, medium, high). ``replacement`` is the value
    of synthetic rows in place of values that too few persons share ("Other").
    """

    kind: ClassVar[str] = "categorical"
    values: tuple[Value, ...] | None = None
    ordered: bool = False
    replacement: Value | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(isinstance(self.ordered, bool), f"ordered must be true or false, not {self.ordered!r}")
        self._require(
            self.replacement is None or isinstance(self.replacement, (str, int, float, bool)),
            f"replacement must be text, a number or a boolean, not {self.replacement!r}",
        )
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
    """A number, with optional bounds (inclusive) and a number of decimals (0 = integer, None = as it comes).

    ``format`` is how text spells it, such as ``$#,##0.00`` or ``#.##0,## €``; None where it is not text.
    ``csv_format`` is how CSV files spell the numbers of a column that is not text, such as ``0.00`` or ``#.000``.
    """

    kind: ClassVar[str] = "numeric"
    low: float | None = None
    high: float | None = None
    decimals: int | None = None
    format: str | None = None
    csv_format: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            self.format is None or (isinstance(self.format, str) and NumberFormat.parse(self.format) is not None),
            f"format must be a number format such as '#,##0.00', not {self.format!r}",
        )
        spelled = NumberFormat.parse(self.csv_format) if isinstance(self.csv_format, str) else None
        self._require(
            self.csv_format is None or (spelled is not None and spelled.is_plain),
            f"csv_format must be a format of plain numbers such as '0.00' or '#.000', not {self.csv_format!r}",
        )
        for name in ("low", "high"):
            bound = getattr(self, name)
            self._require(
                bound is None
                or (isinstance(bound, (int, float)) and not isinstance(bound, bool) and math.isfinite(bound)),
                f"{name} must be a finite number, not {bound!r}; leave it out where there is no bound",
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
        self._require(
            self.format is None or (isinstance(self.format, str) and "%" in self.format),
            f"format must be a strftime format such as '%Y-%m-%d', not {self.format!r}",
        )
        odd = re.search("%.{0,2}", DIRECTIVES.sub("", self.format or ""))
        self._require(odd is None, f"format {self.format!r} has the unknown directive {odd and odd[0]!r}")
        for name in ("low", "high"):
            object.__setattr__(self, name, self._instant(name))
        if self.low is not None and self.high is not None:
            first, last = (to_naive_utc(datetime.datetime.fromisoformat(bound)) for bound in (self.low, self.high))
            self._require(first <= last, f"low {self.low} is above high {self.high}")

    def _instant(self, name: str) -> str | None:
        """Return a bound as ISO 8601 text; dates, as YAML reads them, are accepted too."""
        bound = getattr(self, name)
        if isinstance(bound, datetime.date):
            bound = bound.isoformat()
        try:
            good = bound is None or bool(datetime.datetime.fromisoformat(bound))
        except (TypeError, ValueError):
            good = False
        self._require(good, f"{name} must be a date in ISO 8601, such as '2024-12-31', not {bound!r}")
        return bound if bound is None else str(bound)


@dataclass(frozen=True, kw_only=True)
class Identifier(Column):
    """A key. Never learned: synthetic rows get new unique keys of the same ``pattern`` (a regular expression)."""

    kind: ClassVar[str] = "identifier"
    pattern: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pattern is None:
            return
        try:
            re.compile(self.pattern)
        except (TypeError, re.error) as error:
            raise SchemaError(
                f"column {self.name!r}: pattern {self.pattern!r} is not a regular expression: {error}"
            ) from error


@dataclass(frozen=True, kw_only=True)
class Text(Column):
    """Free text. Never learned and never copied: synthetic rows get ``replacement``.

    ``pii`` names what the text holds in SDV's words ("email", "first_name"), if known.
    """

    kind: ClassVar[str] = "text"
    replacement: str = "[text removed]"
    pii: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(isinstance(self.replacement, str), f"replacement must be text, not {self.replacement!r}")
        self._require(self.pii is None or isinstance(self.pii, str), f"pii must be text, not {self.pii!r}")


KINDS: dict[str, type[Column]] = {
    kind.kind: kind for kind in (Categorical, Boolean, Numeric, Datetime, Identifier, Text)
}


def column_from_dict(name: str, facts: Any, *, leftovers: dict[str, list[str]] | None = None) -> Column:
    """Rebuild the output of ``Column.to_dict``.

    Args:
        name: The column's name.
        facts: Its kind and facts.
        leftovers: Ignore facts of other kinds, as a file has them whose ``kind`` was edited, and add them here.

    Raises:
        SchemaError: An unknown kind or key, or a fact that the kind cannot have.
    """
    if not isinstance(facts, Mapping):
        raise SchemaError(f'column {name!r}: expected {{"kind": ...}}, not {facts!r}')
    kind = KINDS.get(str(facts.get("kind")))
    if kind is None:
        hint = did_you_mean(str(facts.get("kind")).lower(), KINDS)
        raise SchemaError(f"column {name!r}: kind {facts.get('kind')!r} is not one of {', '.join(KINDS)}{hint}")
    known = {f.name for f in fields(kind)} - {"name"}
    if leftovers is not None and (ignored := _leftovers(kind, facts)):
        leftovers[name] = ignored
        facts = {key: value for key, value in facts.items() if key not in ignored}
    unknown = set(facts) - known - {"kind"}
    if unknown:
        raise SchemaError(
            f"column {name!r}: {quote(sorted(unknown, key=str))} does not belong to a {kind.kind} column; "
            f"there are {', '.join(sorted(known))}"
        )
    return kind(name=name, **{key: value for key, value in facts.items() if key != "kind"})


def _leftovers(kind: type[Column], facts: Mapping[str, Any]) -> list[str]:
    """Return the facts of other kinds, and formats of numbers for dates or the other way round."""
    own = {f.name for f in fields(kind)}
    known = {f.name for other in KINDS.values() for f in fields(other)}
    out = [key for key in facts if key in known - own]
    form = facts.get("format")
    if isinstance(form, str) and kind in (Numeric, Datetime):
        is_number_format = NumberFormat.parse(form) is not None
        if (kind is Datetime and is_number_format) or (kind is Numeric and not is_number_format and "%" in form):
            out.append("format")
    return out


def to_naive_utc(instant: datetime.datetime) -> datetime.datetime:
    """Return an instant in UTC without its zone; one without a zone is taken as UTC already."""
    return instant if instant.tzinfo is None else instant.astimezone(datetime.UTC).replace(tzinfo=None)
