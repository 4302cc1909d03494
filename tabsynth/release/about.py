"""Publisher's description of a release, and file names of the bundle."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tabsynth.errors import InputError, quote

CONTRACT, TABLE_SCHEMA, PACKAGE = "contract.yaml", "table-schema.json", "datapackage.json"
CROISSANT, EVALUATION, AUDIT = "croissant.json", "evaluation.json", "audit.json"
PRIVACY, GATES, VERSIONS = "privacy.json", "gates.json", "sbom.json"
MODEL_CARD, DATA_CARD, REPORT = "model-card.md", "data-card.md", "report.html"

_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
MAX_TEXT = 10_000


@dataclass(frozen=True, kw_only=True)
class About:
    """Publisher's description of a release.

    Attributes:
        name: A short name, which also names the data files: lower-case letters, digits, ``-``, ``_`` and ``.``.
        title: The title for people.
        description: Content of the table, its intended uses, and uses for which it is not suitable.
        license: Name or address of the licence.
        publisher: Who vouches for the release.
        version: The release's version.
        date: The day of the release; all dates in the bundle are this one.
        url: Address of the release, if it has one.
    """

    name: str
    title: str = ""
    description: str = ""
    license: str = ""
    publisher: str = ""
    version: str = "1.0.0"
    date: datetime.date
    url: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _SLUG.fullmatch(self.name):
            raise InputError(
                f"the release's name {self.name!r} must be of lower-case letters, digits, '-', '_' and '.', such as "
                "'patients-2026'"
            )
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name != "date" and (not isinstance(value, str) or len(value) > MAX_TEXT):
                raise InputError(f"the release's {item.name} must be text of at most {MAX_TEXT:,} characters")

    @classmethod
    def of(cls, facts: About | Mapping[str, Any]) -> About:
        """Return an ``About``, or one from a mapping; its date may be text, and is today (UTC) where it is left out.

        Raises:
            InputError: An unknown key, or a date that is none.
        """
        if isinstance(facts, About):
            return facts
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(map(str, facts)) - known)
        if unknown:
            raise InputError(f"unknown key {quote(unknown)} of a release; there are {', '.join(sorted(known))}")
        if "name" not in facts:
            raise InputError("a release needs a name")
        given = {key: value for key, value in facts.items() if value is not None}
        return cls(**{**given, "date": parse_date(given.get("date"))})

    @property
    def parquet(self) -> str:
        """The Parquet file."""
        return f"data/{self.name}.parquet"

    @property
    def csv(self) -> str:
        """The CSV file."""
        return f"data/{self.name}.csv"


def parse_date(value: Any) -> datetime.date:
    """Return a date, from ISO 8601 text or a date; today (UTC) for None.

    Raises:
        InputError: Not a date.
    """
    if value is None:
        return datetime.datetime.now(datetime.UTC).date()
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value
    try:
        return datetime.date.fromisoformat(str(value))
    except ValueError:
        raise InputError(f"the release's date must be one such as 2026-12-31, not {value!r}") from None
