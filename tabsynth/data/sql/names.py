"""Names of tables and columns, which are always quoted so that no name is parsed as SQL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tabsynth.errors import DataError, SourceError, quote

_PART = re.compile(r'"(?:[^"]|"")+"|[^."]+')


@dataclass(frozen=True)
class TableName:
    """A table, and the database schema that contains it; None is the connection's default."""

    table: str
    schema: str | None = None

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Read ``table`` or ``schema.table``; a part that contains a dot is written in double quotes.

        Raises:
            SourceError: The text is neither.
        """
        parts = _PART.findall(text)
        if not 1 <= len(parts) <= 2 or ".".join(parts) != text or "\0" in text:
            raise SourceError(f'{text!r} is not the name of a table; write table, schema.table or "odd.name"')
        plain = [part[1:-1].replace('""', '"') if part.startswith('"') else part for part in parts]
        return cls(plain[-1], plain[0] if len(plain) == 2 else None)

    @property
    def sql(self) -> str:
        """The quoted name."""
        return ".".join(quote_identifier(part) for part in (self.schema, self.table) if part is not None)

    def __str__(self) -> str:
        return ".".join(part for part in (self.schema, self.table) if part is not None)


def check_names(names: Sequence[str]) -> None:
    """Raise DataError if columns of a query have the same name."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"the query has duplicate column names: {quote(repeated)}; name each with AS")


def quote_identifier(name: str) -> str:
    """Quote a name as standard SQL does.

    Raises:
        SourceError: The name is not valid in any database.
    """
    if not name or "\0" in name:
        raise SourceError(f"{name!r} cannot be the name of a table or column in a database; rename it")
    return '"' + name.replace('"', '""') + '"'


def quote_literal(value: object) -> str:
    """Return a number, boolean or text as a literal of standard SQL, for definitions, which take no parameters."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)):
        return repr(value)
    text = str(value)
    if "\0" in text:
        raise SourceError(f"{text!r} cannot be in a database: it contains a zero byte; rename it")
    return "'" + text.replace("'", "''") + "'"
