"""Report of a database's evaluation: plain data first; page and text are rendered from it."""

from __future__ import annotations

import html as escaping
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tabsynth.errors import DataError
from tabsynth.evaluation.metric_specs import LEVELS, Level
from tabsynth.evaluation.relational.database_specs import METRICS, RULE, RULE_LIMITS
from tabsynth.evaluation.report import align_rows, markdown_cell, render_checked
from tabsynth.evaluation.score import Score
from tabsynth.reporting.number_format import format_number
from tabsynth.reporting.report_files import write_report

VERSION = 1
"""Version of the JSON form; a later one is refused."""

FORMAT = "tabsynth-database-evaluation"
MAX_WORST = 12


@dataclass(frozen=True, kw_only=True, repr=False)
class DatabaseReport:
    """Scores of tables, links, sequences, keys and rules.

    Attributes:
        scores: Scores by name: ``TABLE.SCORE`` for tables and sequences, ``TABLE.COLUMN.SCORE`` for links.
        tables: Description of each table: rows of both sides, key, order.
        links: Description of each link: child, column, parent, and children per parent on both sides.
        distributions: Counts for the pictures of each table.
        notes: Omissions and their reasons.
        provenance: Contents' fingerprints, seed, versions, and the model's card if one was given.
    """

    scores: Mapping[str, Score]
    tables: list[dict[str, Any]]
    links: list[dict[str, Any]]
    distributions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def levels(self) -> dict[str, Level]:
        """The level of each score that has limits."""
        return {name: level for name, score in self.scores.items() if (level := level_of(score)) is not None}

    @property
    def verdict(self) -> str:
        """The scores in a sentence or two."""
        levels = self.levels
        faulty = [name for name, level in levels.items() if name.endswith("_keys") and level != "good"]
        keys = f"Keys are faulty: {_named(self.scores[faulty[0]])}. " if faulty else ""
        text, worst = f"{keys}{self.outline}", self.worst
        return f"{text[:-1]}; furthest from real data: {_named(worst[0])}." if worst else text

    @property
    def outline(self) -> str:
        """The levels of the scores in a sentence, without a figure of the tables."""
        levels = self.levels
        counts = {level: list(levels.values()).count(level) for level in LEVELS}
        share = counts["good"] / max(len(levels), 1)
        manner = "closely" if share >= 0.9 and not counts["poor"] else "in outline" if share >= 0.5 else "loosely"
        text = (
            f"The synthetic database follows the real one {manner}: {counts['good']} of {len(levels)} scores are good"
        )
        return text + "".join(f", {counts[level]} {level}" for level in LEVELS[1:] if counts[level]) + "."

    @property
    def worst(self) -> list[Score]:
        """Scores that are not good, furthest above their limits first, at most 12."""
        levels = self.levels
        found = [score for name, score in self.scores.items() if levels.get(name, "good") != "good"]
        return sorted(found, key=lambda score: -_excess(score) / max(_limits(score)[1], 0.01))[:MAX_WORST]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, which JSON can hold."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "verdict": self.verdict,
            "levels": dict(self.levels),
            "worst": [score.name for score in self.worst],
            "scores": [score.to_dict() for score in self.scores.values()],
            "tables": self.tables,
            "links": self.links,
            "distributions": self.distributions,
            "notes": list(self.notes),
            "provenance": self.provenance,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DatabaseReport:
        """Read what ``to_dict`` writes; verdict and levels are recomputed.

        Raises:
            DataError: Not such a report, or one of a later version.
        """
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise DataError(f'not the evaluation of a database: "format" should be "{FORMAT}"')
        if not isinstance(data.get("version"), int) or data["version"] > VERSION:
            raise DataError(f"report version {data.get('version')!r} is later than {VERSION}: upgrade tabsynth")
        try:
            scores = [Score.from_dict(item) for item in data["scores"]]
            return cls(
                scores={score.name: score for score in scores},
                tables=list(data["tables"]),
                links=list(data["links"]),
                distributions=dict(data["distributions"]),
                notes=list(data["notes"]),
                provenance=dict(data["provenance"]),
            )
        except KeyError as error:
            raise DataError(f"the key {error} is missing from the evaluation report") from error

    def save(self, path: str | Path) -> None:
        """Write the report; the suffix decides: ``.html``, ``.json`` or ``.md``.

        Raises:
            SourceError: Another suffix, or the file cannot be written.
        """
        write_report(self, path)

    def to_html(self) -> str:
        """Return one self-contained page, with a diagram of the tables first.

        Raises:
            DataError: The report was read from a file, whose details are not those that an evaluation writes.
        """
        from tabsynth.evaluation.relational.database_page import render_database

        return render_checked(lambda: render_database(self.to_dict()))

    def to_markdown(self) -> str:
        """Return the verdict and scores as Markdown."""
        lines = ["# Evaluation of a synthetic database", "", f"**{markdown_cell(self.verdict)}**", ""]
        lines += ["| Score | Value | 95 % interval | Real data | Level |", "|---|---:|---:|---:|---|"]
        lines += ["| " + " | ".join(markdown_cell(cell) for cell in row) + " |" for row in self._rows()]
        if self.notes:
            lines += ["", "## Notes", "", *(f"- {markdown_cell(note)}" for note in self.notes)]
        return "\n".join([*lines, "", "Figures of the real tables are shown: for internal use.", ""])

    def __repr__(self) -> str:
        return f"<DatabaseReport of {len(self.tables)} tables: {self.verdict}>"

    def __str__(self) -> str:
        rows = [("score", "value", "95 % interval", "real data", "level"), *self._rows()]
        lines = [self.verdict, "", *align_rows(rows)]
        return "\n".join([*lines, *self.notes])

    def _repr_html_(self) -> str:
        """Return the page in a frame, so that its style stays its own."""
        page, title = (escaping.escape(text, quote=True) for text in (self.to_html(), self.verdict))
        return (
            f'<div><iframe title="{title}" srcdoc="{page}" sandbox="" loading="lazy" '
            'style="width:100%;height:720px;border:1px solid #8884;border-radius:8px"></iframe></div>'
        )

    def _rows(self) -> list[tuple[str, str, str, str, str]]:
        """Return the scores' cells for a table of text."""
        levels, rows = self.levels, []
        for name, score in self.scores.items():
            interval = "–"
            if score.interval is not None:
                interval = " to ".join(format_number(bound, score.unit) for bound in score.interval)
            floor = format_number(score.floor, score.unit) if score.floor is not None else "–"
            rows.append((name, format_number(score.value, score.unit), interval, floor, levels.get(name, "–")))
        return rows


def level_of(score: Score) -> Level | None:
    """Good, fair or poor by the better end of the interval; None for a score without limits."""
    if score.floor is None or (RULE not in score.name and _metric(score) not in METRICS):
        return None
    excess, (good, fair) = _excess(score), _limits(score)
    return "good" if excess <= good else "fair" if excess <= fair else "poor"


def _metric(score: Score) -> str:
    return score.name.rpartition(".")[2]


def _limits(score: Score) -> tuple[float, float]:
    return RULE_LIMITS if RULE in score.name else METRICS[_metric(score)].limits


def _excess(score: Score) -> float:
    """Return the excess of the interval's better end over the floor; of an AUC in either direction."""
    low, high = score.interval if score.interval is not None else (score.value, score.value)
    floor = score.floor or 0.0
    return max(low - floor, floor - high) if score.unit == "AUC" else low - floor


def _named(score: Score) -> str:
    """Return a score in a few words: its subject, title and value."""
    value = format_number(score.value, score.unit)
    if RULE in score.name:
        return f"{value} of {score.name.partition(f'.{RULE}')[0]} violate {score.title}"
    title = score.title if score.title[:2].isupper() else score.title[0].lower() + score.title[1:]
    return f"{title} of {score.name.rpartition('.')[0]} ({value})"
