"""The mixing plan and its YAML file.

``Plan.hash`` covers the inputs' contents and every decision, but not file locations, scores and remarks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from tabsynth.common.atomic_files import write_text
from tabsynth.common.yaml_files import dump_yaml_text, read_yaml
from tabsynth.errors import InputError, quote
from tabsynth.mixing.plan.entries import APPLIED_STATUSES, HarmonisationRule, Input, Match, check_recodings
from tabsynth.mixing.plan.validation import check_plan
from tabsynth.schema.schema import Schema

VERSION = 1
"""Version of the file format; later versions are rejected."""

DEFAULT_LINK: dict[str, Any] = {"engine": "none"}
DEFAULT_COMBINE: dict[str, Any] = {"op": "union", "cardinality": "1:1", "max_growth": 1.0, "on_missing_column": "mask"}
DEFAULT_RESOLVE: dict[str, Any] = {"default": "trust", "columns": {}}
DEFAULT_LINEAGE: dict[str, Any] = {"row": ["_source", "_entity", "_weight"], "cell": [], "publish": False}

HEADER = """\
# A plan to mix tables. Review it with its review page, then set each status: accepted, edited or rejected.
# Entries that are still proposed are not applied.
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """A plan for mixing several tables into one.

    Attributes:
        inputs: The sources by name.
        map: Column matches.
        harmonise: Units, codes, sentinels and dates, by column.
        link: Record linkage: the arguments of ``LinkSpec``.
        combine: ``op`` (union, join or fuse) and its limits.
        resolve: Conflict resolution: a ``default`` rule and rules by ``columns``.
        weights: Margins to rake to, or None.
        lineage: Lineage of rows and cells to keep, and whether it may be published (``publish``).
        questions: Open questions that do not belong to an entry.
        folder: Base folder of relative input paths.
        tables: Sources given as frames; they are not written to the file.
        schema: Declared schema of the mixed table; ``target`` in the file.
    """

    inputs: Mapping[str, Input]
    map: tuple[Match, ...]
    harmonise: tuple[HarmonisationRule, ...] = ()
    link: Mapping[str, Any] = field(default_factory=lambda: dict(DEFAULT_LINK))
    combine: Mapping[str, Any] = field(default_factory=lambda: dict(DEFAULT_COMBINE))
    resolve: Mapping[str, Any] = field(default_factory=lambda: dict(DEFAULT_RESOLVE))
    weights: Mapping[str, Any] | None = None
    lineage: Mapping[str, Any] = field(default_factory=lambda: dict(DEFAULT_LINEAGE))
    questions: tuple[str, ...] = ()
    folder: Path = field(default=Path(), repr=False)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict, repr=False)
    schema: Schema | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _check_names(self)
        _check_targets(self)
        check_recodings(self.harmonise, self.inputs)

    @classmethod
    def from_dict(
        cls,
        data: Any,
        *,
        name: str = "plan",
        folder: str | Path = ".",
        tables: Mapping[str, pd.DataFrame] | None = None,
    ) -> Plan:
        """Create a plan from plain data.

        Args:
            data: The plan as a mapping.
            name: Its name in messages.
            folder: Base folder of relative paths.
            tables: Sources that are frames rather than files.

        Raises:
            InputError: A key is unknown, missing or of the wrong type, or two entries contradict each other.
        """
        check_plan(data, name)
        return cls(
            inputs={key: Input.from_dict(value) for key, value in data["inputs"].items()},
            map=tuple(Match.from_dict(item) for item in data["map"]),
            harmonise=tuple(HarmonisationRule.from_dict(item) for item in data.get("harmonise", ())),
            link={**DEFAULT_LINK, **data.get("link", {})},
            combine={**DEFAULT_COMBINE, **data.get("combine", {})},
            resolve={**DEFAULT_RESOLVE, **data.get("resolve", {})},
            weights=data.get("weights"),
            lineage={**DEFAULT_LINEAGE, **data.get("lineage", {})},
            questions=tuple(data.get("questions", ())),
            folder=Path(folder),
            tables=dict(tables or {}),
            schema=Schema.from_dict(data["target"]) if "target" in data else None,
        )

    @classmethod
    def load(cls, path: str | Path, tables: Mapping[str, pd.DataFrame] | None = None) -> Plan:
        """Read a plan's file.

        Raises:
            SourceError: The file cannot be read, or is not YAML.
            InputError: It is not a valid plan.
        """
        source = Path(path)
        return cls.from_dict(read_yaml(source, "plan"), name=source.name, folder=source.parent, tables=tables)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data."""
        data: dict[str, Any] = {
            "version": VERSION,
            "inputs": {name: item.to_dict() for name, item in self.inputs.items()},
            "map": [item.to_dict() for item in self.map],
            "harmonise": [item.to_dict() for item in self.harmonise],
            "link": dict(self.link),
            "combine": dict(self.combine),
            "resolve": dict(self.resolve),
            "weights": self.weights,
            "lineage": dict(self.lineage),
            "target": None if self.schema is None else self.schema.to_dict(),
            "questions": list(self.questions),
        }
        return {key: value for key, value in data.items() if value is not None and value != []}

    def save(self, path: str | Path) -> None:
        """Write the plan's file; paths of inputs become relative to it."""
        target = Path(path)
        moved = {name: item.rebase(self.folder, target.parent) for name, item in self.inputs.items()}
        data = replace(self, inputs=moved).to_dict()
        text = dump_yaml_text(data, width=110, default_flow_style=None)
        write_text(target, HEADER + text)

    @property
    def hash(self) -> str:
        """SHA-256 of the decisions and the inputs' contents, as 64 hexadecimal digits."""
        return self._hash(("uri",))

    @property
    def decisions_hash(self) -> str:
        """SHA-256 of the decisions only, which is independent of the inputs' rows."""
        return self._hash(("uri", "sha256"))

    def _hash(self, left_out: tuple[str, ...]) -> str:
        data = self.to_dict()
        data.pop("questions", None)
        for item in data["inputs"].values():
            for key in left_out:
                item.pop(key, None)
        for entry in (*data["map"], *data.get("harmonise", ())):
            for remark in ("score", "margin", "question", "why"):
                entry.pop(remark, None)
        text = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def entries(self) -> tuple[Match | HarmonisationRule, ...]:
        """All entries: matches, then harmonisation rules."""
        return (*self.map, *self.harmonise)

    @property
    def open(self) -> list[str]:
        """Labels of undecided entries; rules of rejected columns need no decision."""
        rejected = {item.to for item in self.map if item.status == "rejected"}
        undecided: list[Match | HarmonisationRule] = [
            *self.map,
            *(item for item in self.harmonise if item.column not in rejected),
        ]
        return [item.label for item in undecided if item.status == "proposed"]

    def accept(self, columns: Iterable[str] | None = None) -> Plan:
        """Accept proposals: all of them, or those of some columns of the mixed table.

        Raises:
            InputError: The plan has no entry for one of the columns.
        """
        known = {item.to for item in self.map} | {item.column for item in self.harmonise}
        chosen = known if columns is None else set(columns)
        if chosen - known:
            raise InputError(f"the plan has no entry for {quote(sorted(chosen - known))}; it has {quote(known)}")
        return self._decide(lambda item, column: column in chosen)

    def accept_above(self, least: float) -> Plan:
        """Accept proposals without a question whose score is at least ``least``."""
        return self._decide(lambda item, _: (item.score or 0.0) >= least and not item.question)

    def _decide(self, good: Any) -> Plan:
        def decided(item: Any, column: str) -> Any:
            return replace(item, status="accepted") if item.status == "proposed" and good(item, column) else item

        return replace(
            self,
            map=tuple(decided(item, item.to) for item in self.map),
            harmonise=tuple(decided(item, item.column) for item in self.harmonise),
        )

    @property
    def mapped(self) -> dict[str, Match]:
        """The applied matches by column of the mixed table, in order."""
        return {item.to: item for item in self.map if item.status in APPLIED_STATUSES}

    def changes(self) -> str:
        """Return the plan's effect on every source, as a plain-text diff."""
        from tabsynth.mixing.review.diff import describe_changes

        return describe_changes(self)

    def _repr_html_(self) -> str:
        """Return the review page in a frame, for notebooks."""
        from tabsynth.mixing.review.page import render_frame

        return render_frame(self)

    def review(self, path: str | Path) -> None:
        """Write a review page with the evidence (``.html``), or a text diff (any other suffix).

        Raises:
            DataError: An input has changed since the plan was created.
            SourceError: An input cannot be read, or the file cannot be written.
        """
        if Path(path).suffix.lower() in (".html", ".htm"):
            from tabsynth.mixing.review.page import render

            write_text(path, render(self))
        else:
            write_text(path, self.changes())


def _check_names(plan: Plan) -> None:
    """Check that entries name existing inputs."""
    named: list[tuple[str, str, Mapping[str, Any]]] = [("map", item.label, item.sources) for item in plan.map]
    for entry in plan.harmonise:
        for part in (entry.units, entry.mixed, entry.na, entry.dates):
            named.append(("harmonise", entry.label, part))
    for where, label, part in named:
        unknown = [name for name in part if name not in plan.inputs]
        if unknown:
            raise InputError(f"{where}: {label} names {quote(unknown)}; the inputs are {quote(plan.inputs)}")


def _check_targets(plan: Plan) -> None:
    """Check that every source column and every target column is used once."""
    seen: dict[tuple[str, str], str] = {}
    targets: set[str] = set()
    for item in plan.map:
        if item.status == "rejected":
            continue
        if item.to in targets:
            raise InputError(f"map: two entries define the column {item.to!r}; keep one")
        if item.to.startswith("_"):
            raise InputError(f"map: {item.to!r} begins with an underscore, which is reserved for lineage; rename it")
        targets.add(item.to)
        for source, names in item.sources.items():
            for name in names:
                if (source, name) in seen:
                    raise InputError(
                        f"map: {name!r} of {source!r} goes to {seen[source, name]!r} and to {item.to!r}: keep one"
                    )
                seen[source, name] = item.to
    columns = {item.to for item in plan.map}
    for entry in plan.harmonise:
        if entry.column not in columns:
            raise InputError(f"harmonise: no entry of map defines {entry.column!r}; there are {quote(sorted(columns))}")
