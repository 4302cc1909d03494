"""Model card, data card and report page, rendered from the public documents alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tabsynth.evaluation.rendering.overview import NOTE, main_scores, overview, overview_of_levels
from tabsynth.release.about import About
from tabsynth.release.documents.released_tables import ReleasedTable
from tabsynth.reporting.html import environment
from tabsynth.reporting.report_files import markdown_cell

WORDS = {"good": "suitable", "fair": "suitable with caution", "poor": "not suitable"}


def model_card(about: About, model: Mapping[str, Any], privacy: Mapping[str, Any]) -> str:
    """Return the model card as Markdown."""
    lines = [f"# Model card: {_line(about.title or about.name)}", ""]
    if model:
        lines += [f"- Synthesizer: `{_line(model['kind'])}`"]
        lines += [f"- {_line(name)}: `{_line(value)}`" for name, value in sorted(model["parameters"].items())]
        lines += [f"- Version of {_line(name)}: {_line(value)}" for name, value in sorted(model["versions"].items())]
    else:
        lines += ["The model is not described: the rows came without one."]
    lines += ["", "The model itself is not part of the release: it holds facts of the real rows.", ""]
    return "\n".join([*lines, *_privacy_lines(privacy)])


def data_card(
    about: About,
    tables: Sequence[ReleasedTable],
    evaluation: Mapping[str, Any],
    audit: Mapping[str, Any],
    privacy: Mapping[str, Any],
) -> str:
    """Return the data card as Markdown."""
    facts = {"Version": about.version, "Date": about.date.isoformat(), "Publisher": about.publisher}
    facts |= {"Licence": about.license}
    if len(tables) == 1:
        facts |= {"Rows": f"{len(tables[0].frame):,}", "Columns": str(len(tables[0].columns))}
    else:
        facts |= {"Tables": ", ".join(f"{table.name} ({len(table.frame):,} rows)" for table in tables)}
    lines = [f"# {_line(about.title or about.name)}", "", _line(about.description), ""]
    lines += [f"- {key}: {_line(value)}" for key, value in facts.items() if value]
    lines += [
        "",
        "All rows are synthetic: drawn from a model that was fitted to a real table. No row was taken from it; a "
        "row may equal a real one by chance.",
        "",
    ]
    for table in tables:
        lines += _column_lines(table)
    lines += ["## Suitability", ""]
    lines += [f"- {item['use']}: {WORDS[item['level']]}" for item in evaluation.get("uses", [])] or [
        "See the evaluation." if evaluation else "Not evaluated."
    ]
    lines += ["", "## Evaluation", "", _line(evaluation.get("verdict", {}).get("text", "Not evaluated.")), ""]
    lines += ["## Audit", "", _line(audit.get("verdict") or "No verdict."), ""]
    lines += [*_privacy_lines(privacy), "## Reading the CSV file", ""]
    lines += [
        "Text that a spreadsheet could take for a formula (it begins with = + - @, a tab or a line end) has an",
        "apostrophe before it in the CSV file, and none in the Parquet file. `tabsynth.read` removes it.",
        "",
    ]
    return "\n".join(lines)


def _column_lines(table: ReleasedTable) -> list[str]:
    links = {column: f"key of {parent}" for column, parent, _ in table.foreign_keys}
    lines = [f"## Columns of {_line(table.name)}" if table.is_linked else "## Columns", ""]
    lines += ["| Column | Type | Missing | Description |", "|---|---|---|---|"]
    for column in table.columns:
        missing = "yes" if column.nullable else "no"
        about = column.description or links.get(column.name, "")
        lines.append(f"| {_line(column.name)} | {column.type} | {missing} | {_line(about)} |")
    return [*lines, ""]


def report_page(
    about: About,
    evaluation: Mapping[str, Any],
    audit: Mapping[str, Any],
    privacy: Mapping[str, Any],
    gates: Sequence[Mapping[str, Any]],
) -> str:
    """Return the report as one self-contained page."""
    template = environment("tabsynth.release.documents").get_template("release.html.j2")
    rows = _overview(evaluation)
    return template.render(
        about=about,
        evaluation=evaluation,
        overview=rows,
        overview_note=NOTE if any(row["floor"] for row in rows) else evaluation.get("note", ""),
        suitability=[{**item, "word": WORDS[item["level"]]} for item in evaluation.get("uses", [])],
        audit=audit,
        privacy=privacy,
        gates=gates,
        words=WORDS,
    )


def _overview(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the chart: scores with their values, else levels of scores, of linked tables by table."""
    scores = {score["name"]: score for score in evaluation.get("scores", []) if score["level"]}
    if evaluation.get("figures") == "values":
        by_name = {name: score["level"] for name, score in scores.items()}
        bare = {name: {key: score[key] for key in score if key != "level"} for name, score in scores.items()}
        return overview(bare, by_name) or _areas(evaluation)
    return overview_of_levels([(score["title"], score["level"]) for score in main_scores(scores).values()]) or _areas(
        evaluation
    )


def _areas(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    areas = evaluation.get("verdict", {}).get("areas", [])
    return overview_of_levels([(item["area"], item["level"]) for item in areas])


def _privacy_lines(privacy: Mapping[str, Any]) -> list[str]:
    lines = ["## Privacy", "", privacy["statement"], ""]
    if privacy.get("meaning"):
        lines += [privacy["meaning"], ""]
    return [*lines, "Not covered:", "", *(f"- {item}" for item in privacy["not_covered"]), ""]


def _line(value: object) -> str:
    """Return the text of a publisher or a column in one line of Markdown."""
    return markdown_cell(" ".join(str(value).split())).replace("`", "'").replace("[", "\\[")
