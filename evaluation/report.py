"""Report of an evaluation, as plain data; the page, the notebook view and the text are rendered from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tabsynth.errors import DataError, escape_controls
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.verdict import Verdict, assess, assess_uses, recommend
from tabsynth.reporting.number_format import format_number
from tabsynth.reporting.report_files import (
    SavedReport,
    align_rows,
    check_format,
    markdown_cell,
    markdown_section,
    markdown_table,
)

VERSION = 2
"""Version of the JSON format (``report.schema.json``); earlier versions are read, later ones are rejected."""

MAX_WORST = 25


@dataclass(frozen=True, kw_only=True, repr=False)
class Report(SavedReport):
    """Scores, findings and provenance of an evaluation.

    Attributes:
        scores: Scores by name.
        distributions: Histogram counts, one entry for each scored column.
        notes: Omissions and their reasons.
        provenance: Fingerprints of the tables, seed, versions, and the model's card if there is one.
        findings: Descriptions of faults (``tabsynth.evaluation.findings``), each with the place, ``where``.
        drilldown: Further data of the page: the ``projection``, and ``telltale``, the rows detected as synthetic.
        gates: Results of the gates, if any were applied (``tabsynth.evaluation.gates``).
    """

    scores: Mapping[str, Score]
    distributions: list[dict[str, Any]] = field(default_factory=list, repr=False)
    notes: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict, repr=False)
    findings: list[dict[str, Any]] = field(default_factory=list)
    drilldown: dict[str, Any] = field(default_factory=dict, repr=False)
    gates: list[dict[str, Any]] = field(default_factory=list, repr=False)

    @property
    def verdict(self) -> Verdict:
        """The conclusion from the scores, by the fixed limits of ``tabsynth.evaluation.metric_specs``."""
        return assess(self.scores)

    @property
    def headline(self) -> str:
        """The sentence of the verdict."""
        return self.verdict.text

    @property
    def worst(self) -> list[Part]:
        """Columns and pairs with the largest excess over the floor, the worst first, at most 25.

        ``part.columns`` names one column (its shape) or two (their trend); ``part.value`` is the error in percent.
        """
        parts = [
            part for name in ("shape_error", "trend_error") if name in self.scores for part in self.scores[name].detail
        ]
        return sorted(parts, key=lambda part: -part.excess)[:MAX_WORST]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON."""
        return {
            "format": "tabsynth-evaluation",
            "version": VERSION,
            "verdict": self.verdict.to_dict(),
            "uses": assess_uses(self.scores, self.findings),
            "findings": list(self.findings),
            "gates": list(self.gates),
            "scores": [score.to_dict() for score in self.scores.values()],
            "worst": [part.to_dict() for part in self.worst],
            "distributions": self.distributions,
            "drilldown": self.drilldown,
            "notes": list(self.notes),
            "provenance": self.provenance,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """Rebuild the output of ``to_dict``; ``verdict`` and ``worst`` are recomputed.

        Raises:
            DataError: The data are not a report, or one of a later version.
        """
        check_format(data, "tabsynth-evaluation", VERSION, "an evaluation report")
        try:
            scores = [Score.from_dict(item) for item in data["scores"]]
            return cls(
                scores={score.name: score for score in scores},
                distributions=list(data["distributions"]),
                notes=list(data["notes"]),
                provenance=dict(data["provenance"]),
                findings=list(data.get("findings", [])),  # added in version 2
                drilldown=dict(data.get("drilldown", {})),
                gates=list(data.get("gates", [])),
            )
        except KeyError as error:
            raise DataError(f"the key {error} is missing from the evaluation report") from error
        except (TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"the evaluation report is malformed: {error}; evaluate again") from error

    def to_html(self) -> str:
        """Render the report as one self-contained page.

        Raises:
            DataError: The report was read from a file with malformed details.
        """
        from tabsynth.evaluation.rendering.page import render

        return render_checked(lambda: render(self.to_dict()))

    def to_markdown(self) -> str:
        """Return the verdict, scores and the worst parts as Markdown."""
        lines = ["# Evaluation of a synthetic table", "", f"**{markdown_cell(self.verdict.text)}**", ""]
        lines += markdown_table(("Score", "Value", "95 % interval", "Real data", "Direction"), self._rows(), 3)
        known = assess_uses(self.scores, self.findings)
        if known:
            lines += ["", "## Suitability", "", recommend(known, self.verdict.areas), ""]
            signs = {"good": "✅", "fair": "⚠️", "poor": "❌"}
            for use in known:
                against = ", ".join(f"{item['title']} {item['level']}" for item in use["against"])
                lines.append(
                    f"- {signs[use['level']]} {use['use']}: {use['word']}" + (f" ({against})" if against else "")
                )
        lines += ["", "## Findings", ""]
        lines += [f"- {markdown_cell(finding['text'])}" for finding in self.findings] or ["No findings."]
        lines += markdown_section("Gates", (f"{'✅' if gate['met'] else '❌'} {gate['text']}" for gate in self.gates))
        if self.worst:
            parts = [(part.name, *(_percent(value) for value in (part.value, part.floor))) for part in self.worst[:10]]
            lines += ["", "## Largest differences", ""]
            lines += markdown_table(("Column or pair", "Error", "Real data"), parts, 2)
        lines += markdown_section("Notes", self.notes)
        tables = self.provenance.get("tables", {})
        rows = [(name, f"{table['rows']:,}", f"`{table['sha256']}`") for name, table in tables.items()]
        lines += ["", "## Tables", "", *markdown_table(("Table", "Rows", "SHA-256"), rows, 1)]
        lines += ["", "Contains statistics of the real table: for internal use.", ""]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Report of {len(self.scores)} scores: {self.verdict.text}>"

    def __str__(self) -> str:
        rows = [("score", "value", "95 % interval", "real data", "direction"), *self._rows()]
        lines = [self.verdict.text, "", *align_rows(rows, 3)]
        if self.worst:
            named = ", ".join(f"{part.name} {format_number(part.value, '%')}" for part in self.worst[:3])
            lines += ["", f"largest differences: {named}"]
        lines += [f"finding: {finding['text']}" for finding in self.findings]
        return escape_controls("\n".join([*lines, *self.notes]))

    def _rows(self) -> list[tuple[str, str, str, str, str]]:
        """Return the scores as rows of text."""
        return [(score.name, *score_cells(score), score.direction) for score in self.scores.values()]


def _percent(value: float | None) -> str:
    return "–" if value is None else format_number(value, "%")


def score_cells(score: Score) -> tuple[str, str, str]:
    """Return the value, interval and floor of a score as text."""
    interval = "–"
    if score.interval is not None:
        interval = " to ".join(format_number(bound, score.unit) for bound in score.interval)
    floor = format_number(score.floor, score.unit) if score.floor is not None else "–"
    return format_number(score.value, score.unit), interval, floor


def render_checked(render: Callable[[], str]) -> str:
    """Render the page of a report, which may have been read from a file.

    Raises:
        DataError: The details of the report are malformed.
    """
    from jinja2 import TemplateError

    try:
        return render()
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, TemplateError) as error:
        raise DataError(f"the details of the evaluation report are malformed: {error!r}; evaluate again") from error
