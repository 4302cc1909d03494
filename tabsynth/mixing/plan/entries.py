"""Entries of a plan: inputs, column matches and harmonisation rules."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tabsynth.errors import InputError, quote

APPLIED_STATUSES = ("accepted", "edited")
"""Statuses of an applied entry."""

Code = str | int | float | bool


def code_text(value: object) -> str:
    """Return the canonical text of a code: ``1``, ``1.0`` and ``"1"`` are equal."""
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        return "true" if value else "false"
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def code_texts(values: pd.Series) -> pd.Series:
    """Return ``code_text`` of every value, vectorised with Arrow; missing values stay missing."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.map(dict(zip(values.cat.categories, code_texts(values.cat.categories.to_series()), strict=True)))
    text = None
    try:
        array = pa.array(values, from_pandas=True)
        if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
            text = pc.utf8_trim_whitespace(array)
        elif pa.types.is_integer(array.type):
            text = array.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # values of several types
        pass
    if text is None:
        return values.map(code_text, na_action="ignore").astype(object)
    return pd.Series(text.to_numpy(zero_copy_only=False), index=values.index, name=values.name, dtype=object)


@dataclass(frozen=True, kw_only=True)
class Input:
    """One source.

    Attributes:
        uri: Its file; None for a frame.
        sha256: Of the file's bytes, or of the frame's content.
        key: Its columns that identify a person (or another entity).
        trust: Weight of its values in conflicts, 0 to 1.
        na: Values that mean missing, by column.
    """

    uri: str | None = None
    sha256: str
    key: tuple[str, ...] = ()
    trust: float = 1.0
    na: Mapping[str, tuple[Code, ...]] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Input:
        """Rebuild the output of ``to_dict``."""
        return cls(
            uri=data.get("uri"),
            sha256=data["sha256"],
            key=tuple(data.get("key", ())),
            trust=float(data.get("trust", 1.0)),
            na={name: tuple(values) for name, values in data.get("na", {}).items()},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data without defaults, except the trust."""
        data: dict[str, Any] = {"uri": self.uri, "sha256": self.sha256, "key": list(self.key), "trust": self.trust}
        data["na"] = {name: list(values) for name, values in self.na.items()}
        return {key: value for key, value in data.items() if value not in (None, [], {})}

    def rebase(self, here: Path, there: Path) -> Input:
        """Return the input with its relative path rebased to another folder."""
        if self.uri is None or Path(self.uri).is_absolute():
            return self
        uri = Path(os.path.relpath(here / self.uri, there)).as_posix()
        return Input(uri=uri, sha256=self.sha256, key=self.key, trust=self.trust, na=self.na)


@dataclass(frozen=True, kw_only=True)
class Match:
    """Columns of the sources that become one column of the mixed table.

    Attributes:
        to: Its name.
        kind: Its kind (``numeric``, ``categorical``, ``boolean``, ``datetime``, ``identifier`` or ``text``).
        sources: The column's name in each source; several names are joined with ``joiner``.
        score: Score of the match, 0 to 1.
        margin: Lead over the runner-up.
        status: ``proposed``, ``accepted``, ``edited`` or ``rejected``.
        question: The open decision; empty if there is none.
        why: The evidence.
    """

    to: str
    kind: str = "text"
    sources: Mapping[str, tuple[str, ...]]
    joiner: str = "|"
    score: float | None = None
    margin: float | None = None
    status: str = "proposed"
    question: str = ""
    why: str = ""

    @property
    def label(self) -> str:
        """A description for messages."""
        columns = ", ".join(f"{source}.{'+'.join(names)}" for source, names in self.sources.items())
        return f"{self.to!r} from {columns}"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Match:
        """Rebuild the output of ``to_dict``."""
        fields = {key: value for key, value in data.items() if key != "from"}
        names = {key: (value,) if isinstance(value, str) else tuple(value) for key, value in data["from"].items()}
        return cls(sources=names, **fields)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data without empty remarks."""
        names = {key: value[0] if len(value) == 1 else list(value) for key, value in self.sources.items()}
        data = {"to": self.to, "kind": self.kind, "from": names, "joiner": self.joiner, "score": self.score}
        data |= {"margin": self.margin, "status": self.status, "question": self.question, "why": self.why}
        if all(len(value) == 1 for value in self.sources.values()):
            del data["joiner"]
        return {key: value for key, value in data.items() if value not in (None, "")}


@dataclass(frozen=True, kw_only=True)
class HarmonisationRule:
    """Harmonisation of one column's values.

    Attributes:
        column: The column of the mixed table.
        unit: Its unit.
        units: The unit in each source where it differs.
        analyte: The substance, for conversion between mass and amount (mg/dL, mmol/L).
        mixed: By source, a second unit of the values ``below`` or ``above`` a bound.
        range: Minimum and maximum; values outside fail or become missing (``outside``).
        values: Meaning by code, for all sources, or by source.
        unmapped: Treatment of other codes: ``fail``, ``keep`` or ``missing``.
        na: By source, the values that mean missing.
        dates: By source, the strftime format.
        budget: Maximum share of a source's values that cannot be parsed; they become missing.
        status, score, question, why: As in ``Match``.
    """

    column: str
    unit: str | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    analyte: str | None = None
    mixed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    range: tuple[float | None, float | None] | None = None
    outside: str = "fail"
    values: Mapping[str, Any] = field(default_factory=dict)
    unmapped: str = "fail"
    na: Mapping[str, tuple[Code, ...]] = field(default_factory=dict)
    dates: Mapping[str, str] = field(default_factory=dict)
    budget: float = 0.0
    status: str = "accepted"
    score: float | None = None
    question: str = ""
    why: str = ""

    @property
    def label(self) -> str:
        """A description for messages."""
        parts = {"units": self.units or self.mixed, "codes": self.values, "sentinels": self.na, "dates": self.dates}
        empty = "question about values" if self.range is None else "range"
        return f"{' and '.join(key for key, value in parts.items() if value) or empty} of {self.column!r}"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> HarmonisationRule:
        """Rebuild the output of ``to_dict``."""
        fields = {key: value for key, value in data.items() if key not in ("from", "range", "na")}
        bounds = data.get("range")
        return cls(
            units=data.get("from", {}),
            range=None if bounds is None else (bounds[0], bounds[1]),
            na={key: tuple(values) for key, values in data.get("na", {}).items()},
            **fields,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data without defaults."""
        data: dict[str, Any] = {"column": self.column, "unit": self.unit, "from": dict(self.units)}
        data |= {"analyte": self.analyte, "mixed": {key: dict(value) for key, value in self.mixed.items()}}
        data["range"] = None if self.range is None else list(self.range)
        data |= {"outside": self.outside if self.outside != "fail" else None, "values": _plain_values(self.values)}
        data["unmapped"] = self.unmapped if self.values else None
        data |= {"na": {key: list(values) for key, values in self.na.items()}, "dates": dict(self.dates)}
        data |= {"budget": self.budget or None, "status": self.status, "score": self.score}
        data |= {"question": self.question, "why": self.why}
        return {key: value for key, value in data.items() if value is not None and value not in ("", {})}

    def recoding(self, source: str) -> dict[str, Code]:
        """Return the meaning by code (as text) for one source; empty without recoding."""
        mapping = self.values.get(source, {}) if is_by_source(self.values) else self.values
        return {code_text(key): value for key, value in mapping.items()}


def is_by_source(values: Mapping[str, Any]) -> bool:
    """Return whether a map of values has a map for each source."""
    return bool(values) and all(isinstance(value, Mapping) for value in values.values())


def _plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}


def check_recodings(entries: Iterable[HarmonisationRule], inputs: Iterable[str]) -> None:
    """Check that each code of a source has one meaning.

    Raises:
        InputError: A code has two meanings, or is not a scalar.
    """
    names = set(inputs)
    seen: dict[tuple[str, str, str], Code] = {}
    for entry in entries:
        if entry.status == "rejected" or not entry.values:
            continue
        mixed = {isinstance(value, Mapping) for value in entry.values.values()}
        if len(mixed) == 2:
            raise InputError(f"harmonise: values of {entry.column!r} are given both by source and for all; choose one")
        unknown = [key for key in entry.values if mixed == {True} and key not in names]
        if unknown:
            raise InputError(f"harmonise: values of {entry.column!r} name {quote(unknown)}, which is not an input")
        for source in entry.values if mixed == {True} else names:
            mapping = entry.values[source] if mixed == {True} else entry.values
            for key, value in mapping.items():
                if isinstance(key, bool) or isinstance(value, (Mapping, list)):
                    raise InputError(
                        f"harmonise: values of {entry.column!r}: {key!r}: {value!r} is not a code and its meaning; "
                        "write words such as yes and no in quotes"
                    )
                known = seen.setdefault((entry.column, source, code_text(key)), value)
                if code_text(known) != code_text(value):
                    raise InputError(
                        f"harmonise: code {key!r} of {entry.column!r} in {source!r} means both {known!r} and "
                        f"{value!r}; keep one"
                    )
