"""Comparison report of several synthetic tables of one real table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabsynth.common.validation import checked_arguments
from tabsynth.data.table import Table, TableLike
from tabsynth.errors import DataError, InputError
from tabsynth.evaluation.evaluate import evaluate
from tabsynth.evaluation.metric_specs import excess_over_floor
from tabsynth.evaluation.rendering.comparison_page import render_comparison
from tabsynth.evaluation.report import Report
from tabsynth.evaluation.score import Score
from tabsynth.reporting.number_format import format_number
from tabsynth.reporting.report_files import SavedReport, align_rows, check_format, markdown_cell
from tabsynth.schema.schema import Schema

VERSION = 1
"""Version of the JSON format; later versions are rejected."""

FORMAT = "tabsynth-comparison"


@dataclass(frozen=True, repr=False)
class ComparisonReport(SavedReport):
    """Reports of several synthetic tables of one real table.

    Attributes:
        reports: The report of each synthetic table, by its name.
    """

    reports: Mapping[str, Report]

    @property
    def headline(self) -> str:
        """The title of the comparison."""
        return "Synthetic tables compared"

    @property
    def scores(self) -> list[str]:
        """Names of all scores of the reports, in order."""
        return list(dict.fromkeys(name for report in self.reports.values() for name in report.scores))

    def best(self, score: str) -> list[str]:
        """Return the tables with the best value of a score, and those whose interval overlaps with it.

        Scores of the real table alone have no best table.
        """
        scores = {name: report.scores[score] for name, report in self.reports.items() if score in report.scores}
        if score.startswith("real_") or not scores:
            return []
        best_name = min(scores, key=lambda name: _badness(scores[name], scores[name].value))
        return [name for name in scores if name == best_name or _overlap(scores[name], scores[best_name])]

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain data."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "best": {name: self.best(name) for name in self.scores},
            "reports": {name: report.to_dict() for name, report in self.reports.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ComparisonReport:
        """Rebuild the output of ``to_dict``.

        Raises:
            DataError: The data are not a comparison, or one of a later version.
        """
        check_format(data, FORMAT, VERSION, "a comparison")
        if "reports" not in data:
            raise DataError("the key 'reports' is missing from the comparison")
        return cls({name: Report.from_dict(report) for name, report in data["reports"].items()})

    def to_html(self) -> str:
        """Render the comparison as one self-contained page."""
        return render_comparison(self.to_dict())

    def to_markdown(self) -> str:
        """Return the verdicts and scores side by side, with the values of ``best`` in bold."""
        names = list(self.reports)
        lines = ["# Synthetic tables compared", ""]
        lines += [
            f"- **{markdown_cell(name)}**: {markdown_cell(report.verdict.text)}"
            for name, report in self.reports.items()
        ]
        lines += ["", "| Score | " + " | ".join(map(markdown_cell, names)) + " | Real data | Direction |"]
        lines += ["|---|" + "---:|" * (len(names) + 1) + "---|"]
        for score in self.scores:
            lines.append("| " + " | ".join(self._row(score, bold=True)) + " |")
        return "\n".join([*lines, "", "Contains statistics of the real table: for internal use.", ""])

    def __repr__(self) -> str:
        return f"<ComparisonReport of {', '.join(self.reports)}>"

    def __str__(self) -> str:
        rows = [["score", *self.reports, "real data", "direction"], *(self._row(score) for score in self.scores)]
        verdicts = [f"{name}: {report.verdict.text}" for name, report in self.reports.items()]
        legend = "* the best value, or one whose interval overlaps with that of the best"
        return "\n".join([*verdicts, "", *align_rows(rows, len(self.reports) + 1), legend])

    def _row(self, score: str, *, bold: bool = False) -> list[str]:
        best = self.best(score)
        cells = [score]
        reference = next(report.scores[score] for report in self.reports.values() if score in report.scores)
        for name, report in self.reports.items():
            current = report.scores.get(score)
            text = "–" if current is None else format_number(current.value, current.unit)
            cells.append(f"**{text}**" if bold and name in best else f"{text} *" if name in best else text)
        return [
            *cells,
            "–" if reference.floor is None else format_number(reference.floor, reference.unit),
            reference.direction,
        ]


@checked_arguments
def compare(
    train: TableLike,
    synthetic: Mapping[str, TableLike],
    holdout: TableLike | None = None,
    *,
    target: str | None = None,
    schema: Schema | None = None,
    seed: int = 0,
    sdmetrics: bool | None = False,
    quick: bool = False,
    progress: Callable[[str, float], None] | None = None,
) -> ComparisonReport:
    """Evaluate several synthetic tables of one real table, each with the same seed.

    Args:
        train: The training rows of the models.
        synthetic: The synthetic tables by name, such as the name of the model.
        holdout: Real rows that were not used for training.
        target: The column to predict.
        schema: The schema of the columns; default: the Table's own, or inferred from ``train``.
        seed: Random seed.
        sdmetrics: Whether to add SDMetrics' own reports.
        quick: Compute only the scores that train no model, and detection on a sample; see ``evaluate``.
        progress: Called with the table and stage, and the share of completed work.

    Raises:
        InputError: There is no table, or a name is not text. Errors of ``evaluate`` name the table.
    """
    if not isinstance(synthetic, Mapping) or not synthetic:
        raise InputError("pass the synthetic tables by name, such as {'masked': frame, 'vae': other}")
    if not all(isinstance(name, str) and name for name in synthetic):
        raise InputError("the names of the synthetic tables must be text")
    if isinstance(train, (str, Path)) or schema is None:
        table = Table.of(train, schema)
        train, schema = table, table.schema
    reports = {}
    for i, (name, data) in enumerate(synthetic.items()):

        def report_stage(stage: str, share: float, name: str = name, i: int = i) -> None:
            if progress is not None:
                progress(f"{name}: {stage}", (i + share) / len(synthetic))

        try:
            reports[name] = evaluate(
                train,
                data,
                holdout,
                target=target,
                schema=schema,
                seed=seed,
                sdmetrics=sdmetrics,
                quick=quick,
                progress=report_stage,
            )
        except InputError as error:
            raise type(error)(f"{name}: {error}") from error
    return ComparisonReport(reports)


def _badness(score: Score, value: float) -> float:
    if score.better == "target" and score.target is not None:
        return abs(value - score.target)
    return -value if score.better == "higher" else value


def _overlap(score: Score, best: Score) -> bool:
    """Return whether the intervals of two scores overlap; without intervals only equal values do."""
    if score.interval is None or best.interval is None:
        return score.value == best.value
    if score.better == "target":
        return excess_over_floor(score) <= 0 or _badness(score, score.value) == _badness(best, best.value)
    return score.interval[0] <= best.interval[1] and best.interval[0] <= score.interval[1]
