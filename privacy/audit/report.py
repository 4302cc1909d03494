"""Report of an audit, as JSON; the page, the notebook view and the text are rendered from the JSON data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tabsynth.common.atomic_files import write_text
from tabsynth.errors import DataError, InputError, SourceError, escape_controls, quote
from tabsynth.evaluation.score import Score
from tabsynth.reporting.number_format import format_number
from tabsynth.reporting.report_files import (
    SavedReport,
    align_rows,
    check_format,
    markdown_cell,
    markdown_section,
    markdown_table,
    report_json,
)

VERSION = 1
"""Version of the JSON format; later versions are rejected."""

FORMAT = "tabsynth-audit"


@dataclass(frozen=True, kw_only=True)
class AuditReport(SavedReport):
    """Result of an audit.

    Attributes:
        verdict: ``VIOLATION``, ``CONSISTENT, powered`` or ``INCONCLUSIVE``; None without a holdout.
        text: The verdict in a sentence.
        scores: Scores by name.
        tests: For each tested score its p-value, the p-value corrected for multiple testing, and the attack's rates.
        significant: Names of the significant scores after correction, most significant first.
        claim: The claimed and the measured epsilon, if there is a claim.
        questions: The nine questions with status and answer.
        details: Data of the charts: ROC curves, risk by percentile, rates, secrets, k-map counts, power.
        notes: Omissions and their reasons.
        provenance: Fingerprints of the tables, seed and versions.
        worst: Training records most at risk, by row number; not in the JSON and not on the page.
    """

    verdict: str | None
    text: str
    scores: Mapping[str, Score]
    tests: list[dict[str, Any]] = field(default_factory=list, repr=False)
    significant: list[str] = field(default_factory=list)
    claim: dict[str, Any] | None = None
    questions: list[dict[str, str]] = field(default_factory=list, repr=False)
    details: dict[str, Any] = field(default_factory=dict, repr=False)
    notes: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict, repr=False)
    worst: list[dict[str, Any]] = field(default_factory=list, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON, without ``worst``."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "internal": "Contains statistics of the real table: for internal use.",
            "verdict": self.verdict,
            "text": self.text,
            "scores": [score.to_dict() for score in self.scores.values()],
            "tests": self.tests,
            "significant": list(self.significant),
            "claim": self.claim,
            "questions": self.questions,
            "details": self.details,
            "notes": list(self.notes),
            "provenance": self.provenance,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AuditReport:
        """Rebuild the output of ``to_dict``.

        Raises:
            DataError: The data are not an audit report, or one of a later version.
        """
        check_format(data, FORMAT, VERSION, "an audit report")
        try:
            scores = [Score.from_dict(item) for item in data["scores"]]
            keys = ("verdict", "text", "tests", "significant", "claim", "questions", "details", "notes", "provenance")
            return cls(scores={score.name: score for score in scores}, **{key: data[key] for key in keys})
        except KeyError as error:
            raise DataError(f"the audit report has no {error}") from error

    def save_internal(self, path: str | Path) -> None:
        """Write the training records most at risk, by row number, to a file marked as internal.

        Raises:
            SourceError: The file name does not contain the word *internal*, or the file cannot be written.
        """
        if "internal" not in Path(path).name.lower():
            raise SourceError(f"{str(path)!r} identifies single records: its name must contain the word 'internal'")
        data = {
            "format": f"{FORMAT}-records",
            "version": VERSION,
            "internal": "INTERNAL: identifies single training records by row number. Never publish or send.",
            "records": self.worst,
            "provenance": self.provenance,
        }
        write_text(path, report_json(data), private=True)

    def to_html(self) -> str:
        """Render the report as one self-contained page."""
        from tabsynth.privacy.audit.html import render

        return render(self.to_dict())

    def to_markdown(self) -> str:
        """Return the verdict, scores and questions as Markdown."""
        from tabsynth.privacy.audit.plain_answers import answer_plainly

        lines = ["# Privacy audit of a synthetic table", "", f"**{self.headline}**", ""]
        for question, answer in answer_plainly(self.to_dict()):
            lines += [f"- **{question}** {markdown_cell(answer)}"]
        lines += [""]
        lines += markdown_table(("Score", "Value", "95 % interval", "Chance level", "p, corrected"), self._rows(), 4)
        lines += ["", "## Nine questions", ""]
        for i, item in enumerate(self.questions, 1):
            lines.append(
                f"{i}. **{markdown_cell(item['question'])}** *{item['status']}*: {markdown_cell(item['answer'])}"
            )
        lines += markdown_section("Notes", self.notes)
        lines += ["", "Contains statistics of the real table: for internal use.", ""]
        return "\n".join(lines)

    @property
    def headline(self) -> str:
        """The verdict and its sentence in one line."""
        return f"{self.verdict or 'No verdict'}. {self.text}"

    def __str__(self) -> str:
        rows = [("score", "value", "95 % interval", "chance level", "p, corrected"), *self._rows()]
        return escape_controls("\n".join([self.headline, "", *align_rows(rows, 4), *self.notes]))

    def _rows(self) -> list[tuple[str, str, str, str, str]]:
        """Return the scores as rows of text."""
        adjusted = {test["name"]: test["p_corrected"] for test in self.tests}
        rows = []
        for score in self.scores.values():
            low, high = score.interval if score.interval is not None else (score.value, score.value)
            p = adjusted.get(score.name)
            rows.append(
                (
                    score.name,
                    format_number(score.value, score.unit),
                    f"{format_number(low, score.unit)} to {format_number(high, score.unit)}",
                    format_number(score.floor, score.unit) if score.floor is not None else "–",
                    "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}",
                )
            )
        return rows


def unmet_audit(report: AuditReport, require: Mapping[str, str | float]) -> list[str]:
    """Return a sentence for a violation, a verdict without power if one is required, and each score above its maximum.

    Raises:
        InputError: The report has no score of a name.
    """
    limits = {name: float(limit) for name, limit in require.items() if name != "verdict"}
    unknown = [name for name in limits if name not in report.scores]
    if unknown:
        raise InputError(f"unknown score {quote(unknown)} of the audit; it has {quote(report.scores, 40)}")
    out = []
    if report.verdict == "VIOLATION" or ("verdict" in require and report.verdict != "CONSISTENT, powered"):
        out.append(report.headline)
    for name, limit in limits.items():
        score = report.scores[name]
        if score.value > limit:
            value, bound = (format_number(number, score.unit) for number in (score.value, limit))
            out.append(f"{name} is {value}, at most {bound} is allowed")
    return out
