"""Report of the evaluation of a database, as plain data; the page and the text are rendered from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tabsynth.errors import DataError, escape_controls
from tabsynth.evaluation.metric_specs import LEVELS, Level
from tabsynth.evaluation.relational.database_specs import METRICS, RULE, RULE_LIMITS
from tabsynth.evaluation.report import render_checked, score_cells
from tabsynth.evaluation.score import Score
from tabsynth.reporting.number_format import format_number
from tabsynth.reporting.report_files import (
    SavedReport,
    align_rows,
    check_format,
    markdown_cell,
    markdown_section,
    markdown_table,
)

VERSION = 1
"""Version of the JSON format; later versions are rejected."""

FORMAT = "tabsynth-database-evaluation"
MAX_WORST = 12


@dataclass(frozen=True, kw_only=True, repr=False)
class DatabaseReport(SavedReport):
    """Scores of tables, links, sequences, keys and rules.

    Attributes:
        scores: Scores by name: ``TABLE.SCORE`` for tables and sequences, ``TABLE.COLUMN.SCORE`` for links.
        tables: Description of each table: rows of both databases, key, order.
        links: Description of each link: child, column, parent, and children per parent in both databases.
        distributions: Histogram counts of each table.
        notes: Omissions and their reasons.
        provenance: Fingerprints of the tables, seed, versions, and the model's card if there is one.
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
        return {name: level for name, score in self.scores.items() if (level := _level(score)) is not None}

    @property
    def verdict(self) -> str:
        """The conclusion from the scores, in one or two sentences."""
        levels = self.levels
        faulty = [name for name, level in levels.items() if name.endswith("_keys") and level != "good"]
        keys = f"Keys are faulty: {_named(self.scores[faulty[0]])}. " if faulty else ""
        text, worst = f"{keys}{self.outline}", self.worst
        return f"{text[:-1]}; largest difference: {_named(worst[0])}." if worst else text

    @property
    def headline(self) -> str:
        """The verdict."""
        return self.verdict

    @property
    def outline(self) -> str:
        """The levels of the scores in a sentence, without statistics of the tables."""
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
        """Scores that are not good, sorted by their excess over the limits, at most 12."""
        levels = self.levels
        faulty = [score for name, score in self.scores.items() if levels.get(name, "good") != "good"]
        return sorted(faulty, key=lambda score: -_excess(score) / max(_limits(score)[1], 0.01))[:MAX_WORST]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON."""
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
        """Rebuild the output of ``to_dict``; ``verdict`` and ``levels`` are recomputed.

        Raises:
            DataError: The data are not such a report, or one of a later version.
        """
        check_format(data, FORMAT, VERSION, "the evaluation of a database")
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

    def to_html(self) -> str:
        """Render the report as one self-contained page that begins with a diagram of the tables.

        Raises:
            DataError: The report was read from a file with malformed details.
        """
        from tabsynth.evaluation.relational.database_page import render_database

        return render_checked(lambda: render_database(self.to_dict()))

    def to_markdown(self) -> str:
        """Return the verdict and scores as Markdown."""
        lines = ["# Evaluation of a synthetic database", "", f"**{markdown_cell(self.verdict)}**", ""]
        lines += markdown_table(("Score", "Value", "95 % interval", "Real data", "Level"), self._rows(), 3)
        lines += markdown_section("Notes", self.notes)
        return "\n".join([*lines, "", "Contains statistics of the real tables: for internal use.", ""])

    def __repr__(self) -> str:
        return f"<DatabaseReport of {len(self.tables)} tables: {self.verdict}>"

    def __str__(self) -> str:
        rows = [("score", "value", "95 % interval", "real data", "level"), *self._rows()]
        lines = [self.verdict, "", *align_rows(rows, 3)]
        return escape_controls("\n".join([*lines, *self.notes]))

    def _rows(self) -> list[tuple[str, str, str, str, str]]:
        """Return the scores as rows of text."""
        levels = self.levels
        return [(name, *score_cells(score), levels.get(name, "–")) for name, score in self.scores.items()]


def _level(score: Score) -> Level | None:
    """Return good, fair or poor by the better end of the interval; None for a score without limits."""
    if score.floor is None or (RULE not in score.name and _metric(score) not in METRICS):
        return None
    excess, (good, fair) = _excess(score), _limits(score)
    return "good" if excess <= good else "fair" if excess <= fair else "poor"


def _metric(score: Score) -> str:
    return score.name.rpartition(".")[2]


def _limits(score: Score) -> tuple[float, float]:
    return RULE_LIMITS if RULE in score.name else METRICS[_metric(score)].limits


def _excess(score: Score) -> float:
    """Return the excess of the interval's better end over the floor; for an AUC, the distance in either direction."""
    low, high = score.interval if score.interval is not None else (score.value, score.value)
    floor = score.floor or 0.0
    return max(low - floor, floor - high) if score.unit == "AUC" else low - floor


def _named(score: Score) -> str:
    """Describe a score by its subject, title and value."""
    value = format_number(score.value, score.unit)
    if RULE in score.name:
        return f"{value} of {score.name.partition(f'.{RULE}')[0]} violate {score.title}"
    title = score.title if score.title[:2].isupper() else score.title[0].lower() + score.title[1:]
    return f"{title} of {score.name.rpartition('.')[0]} ({value})"
