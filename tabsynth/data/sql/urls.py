"""Database URLs: where the passwords come from, and what of a URL may be shown."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, quote, unquote

from tabsynth.errors import SourceError, TabsynthError

T = TypeVar("T")

POSTGRESQL, SQLITE, DUCKDB, SQLALCHEMY = "postgresql", "sqlite", "duckdb", "sqlalchemy"

DIALECTS = {"postgresql": POSTGRESQL, "postgres": POSTGRESQL, "sqlite": SQLITE, "duckdb": DUCKDB}
"""Dialect by scheme; every other scheme is SQLAlchemy's."""

OTHER_SCHEMES = frozenset({"http", "https", "ftp", "file", "s3", "gs", "gcs", "az", "abfs", "hdfs"})
"""Schemes that are no databases."""

MIN_REDACTED = 3
"""A driver's message is not shown at all if a secret is shorter: it could not be redacted."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HOST = r"(?:\[[^\]]*\]|[^:,\[\]]*)(?::\d*)?"
_HOSTS = re.compile(f"{_HOST}(?:,{_HOST})*")
_SECRET_KEY = re.compile(r"pass(word|wd)?$|pwd|token|secret|credential|api_?key|odbc_connect", re.IGNORECASE)
_SAFE_PLACE = re.compile(r"[A-Za-z0-9._\[\]:,/ ~-]*")

REMEDY = (
    "put the password into PGPASSWORD, a .pgpass file, or an environment variable, and name that in the URL: "
    "${DB_URL}, or postgresql://user:${DB_PASSWORD}@host/database"
)


@dataclass(frozen=True)
class DatabaseUrl:
    """A parsed URL.

    Attributes:
        dialect: Driver with which the database is opened.
        label: The URL without secrets, for messages.
        table: The table named by the URL's fragment, if any.
        address: The address for the driver; it may contain a password and is never shown.
        secrets: Texts that are removed from every message of the driver.
    """

    dialect: str
    label: str
    table: str | None = None
    address: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def path(self) -> Path:
        """The file of SQLite or DuckDB."""
        return Path(self.address)

    @property
    def is_there(self) -> bool:
        """Whether there is a database to read: false for a file that does not exist yet."""
        return self.dialect not in (SQLITE, DUCKDB) or self.path.exists()

    def attempt(self, action: str, call: Callable[[], T]) -> T:
        """Call a driver; its errors become ours, without secrets and without the driver's exception in their chain.

        Args:
            action: The attempted action, for the message ("read the table 'a' from").
            call: The call.

        Raises:
            SourceError: The driver failed.
        """
        try:
            return call()
        except (TabsynthError, AssertionError, AttributeError, NameError):  # ours, or a fault of this program
            raise
        except Exception as error:
            reason = redact(f"{type(error).__name__}: {error}", self.secrets)
        # Raised outside the handler, so that the driver's exception, which may contain the address, is not its context.
        raise SourceError(f"cannot {action} {self.label}: {reason}")


def is_database_url(name: object) -> bool:
    """Return whether a name is a database's URL, or the environment variable of one such as ``${DB_URL}``."""
    if not isinstance(name, str):
        return False
    scheme = _SCHEME.match(name)
    return bool(scheme or _VARIABLE.fullmatch(name.partition("#")[0]))


def check_no_password(name: str) -> None:
    """Raise SourceError, which does not show it, if a URL contains a password.

    A password that a variable of the environment holds, such as ``user:${DB_PASSWORD}@``, is accepted.
    """
    scheme = _SCHEME.match(name)
    if scheme is None or DIALECTS.get(scheme[1].lower()) in (SQLITE, DUCKDB):
        return
    rest = name[scheme.end() :]
    userinfo, at, _ = rest.rpartition("@")
    password = userinfo.partition(":")[2] if at else ""
    options = parse_qsl(rest.partition("?")[2].partition("#")[0], keep_blank_values=True)
    named = any(_SECRET_KEY.search(key) and not _VARIABLE.fullmatch(value) for key, value in options)
    if named or (password and not _VARIABLE.fullmatch(password)):
        raise SourceError(f"the URL {redacted_label(name)} contains a password; {REMEDY}")


def redacted_label(url: str) -> str:
    """Return the scheme, host and database of a URL, without user, password and options.

    Example:
        >>> redacted_label("postgresql://ann:s3cret@db.example.org/clinic?sslmode=require")
        'postgresql://***@db.example.org/clinic'
    """
    scheme = _SCHEME.match(url)
    if scheme is None:
        return "***"
    _userinfo, at, place = url[scheme.end() :].rpartition("@")
    place = re.split(r"[?#]", place, maxsplit=1)[0]
    port = re.fullmatch(r"[^:/]*:([^/]*)(/.*)?", place)
    is_plain = _SAFE_PLACE.fullmatch(place) and (port is None or port[1].isdigit())
    return f"{scheme[1]}://{'***@' if at else ''}{place if is_plain else '***'}"


def parse_url(name: str) -> DatabaseUrl:
    """Parse a URL and fill in variables of the environment.

    Raises:
        SourceError: It contains a password, names a variable that is not set, or is not a database's.
    """
    check_no_password(name)
    location, sign, table = name.partition("#")
    values = [_environment(variable) for variable in _VARIABLE.findall(location)]
    whole = _VARIABLE.fullmatch(location)
    # Of a value inside a URL every sign is literal; a whole URL is already written as one.
    url = values[0] if whole else _VARIABLE.sub(lambda found: quote(_environment(found[1]), safe=""), location)
    scheme = _SCHEME.match(url)
    if scheme is None:
        raise SourceError(
            f"the environment variable {location} does not contain a URL such as postgresql://host/database"
        )
    rest = url[scheme.end() :]
    if whole and sign == "" and "#" in rest and "@" not in rest.partition("#")[2]:
        rest, _, table = rest.partition("#")
    dialect = DIALECTS.get(scheme[1].lower(), SQLALCHEMY)
    if scheme[1].lower() in OTHER_SCHEMES:
        raise SourceError(f"{redacted_label(url)} is not a database; fetch the file first and give its path")
    label = location if values else redacted_label(location) if "@" in location or "?" in location else location
    if dialect in (SQLITE, DUCKDB):
        path = unquote(rest.removeprefix("/"))
        if not path or not rest.startswith("/"):
            raise SourceError(f"{label}: write {dialect}:///file for a relative path, {dialect}:////folder/file else")
        return DatabaseUrl(dialect, label, unquote(table) or None, path)
    userinfo, at, place = rest.rpartition("@")
    if not _HOSTS.fullmatch(re.split(r"[/?]", place, maxsplit=1)[0]):
        raise SourceError(f"{label}: the text after the host is not a port number; write user@host:port/database")
    user, _, password = userinfo.partition(":")
    password = unquote(password)
    address = f"{scheme[1]}://{place}"
    if at:
        login = quote(unquote(user), safe="") + (f":{quote(password, safe='')}" if password else "")
        address = f"{scheme[1]}://{login}@{place}"
    passwords = [password, *(values if not whole else ()), os.environ.get("PGPASSWORD", "")]
    passwords += [value for key, value in parse_qsl(place.partition("?")[2]) if _SECRET_KEY.search(key)]
    forms = {form for one in passwords if one for form in (one, quote(one, safe=""), quote(one), repr(one)[1:-1])}
    secrets = sorted({*forms, *(values if whole else ())}, key=len, reverse=True)
    return DatabaseUrl(dialect, label, unquote(table) or None, address, tuple(secrets))


def relative_to(name: str, folder: Path) -> str:
    """Return the URL of an SQLite or DuckDB file with its path resolved against a folder; others are unchanged."""
    scheme = _SCHEME.match(name)
    if scheme is None or DIALECTS.get(scheme[1].lower()) not in (SQLITE, DUCKDB):
        return name
    rest = name[scheme.end() :]
    return name if rest.startswith("//") or not rest.startswith("/") else f"{scheme[0]}/{quote(str(folder))}{rest}"


def redact(text: str, secrets: tuple[str, ...]) -> str:
    """Return a driver's message on one line, without secrets."""
    if any(len(secret) < MIN_REDACTED for secret in secrets):
        return text.partition(":")[0]
    for secret in secrets:
        text = text.replace(secret, "***")
    return " ".join(text.split())


def _environment(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise SourceError(f"the environment variable {name} is not set; set it to the database's URL or password")
    return value
