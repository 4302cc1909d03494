"""Files and notebook views of reports."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tabsynth.common.atomic_files import check_writable, write_text
from tabsynth.common.text import escape_controls, readable_json
from tabsynth.errors import DataError, SourceError

SUFFIXES = (".html", ".json", ".md")
"""Suffixes of the formats of a report."""


class SavedReport(ABC):
    """Base class of reports: their files and their view in notebooks."""

    @property
    @abstractmethod
    def headline(self) -> str:
        """The conclusion in a sentence or two."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON."""

    @abstractmethod
    def to_html(self) -> str:
        """Render the report as one self-contained page."""

    @abstractmethod
    def to_markdown(self) -> str:
        """Return a summary as Markdown."""

    def save(self, path: str | Path) -> None:
        """Write the report in the format of the suffix: ``.html``, ``.json`` or ``.md``.

        Raises:
            SourceError: The suffix is another one, or the file cannot be written.
        """
        suffix = Path(path).suffix.lower()
        if suffix == ".html":
            text = self.to_html()
        elif suffix == ".json":
            text = report_json(self.to_dict())
        elif suffix == ".md":
            text = escape_controls(self.to_markdown())
        else:
            raise SourceError(
                f"cannot write a report as {suffix or 'a file without suffix'!r}: use .html, .json or .md"
            )
        write_text(path, text, private=True)  # reports contain statistics of the real table

    def _repr_html_(self) -> str:
        return notebook_frame(self.headline, self.to_html())


def check_report_output(path: str | Path) -> None:
    """Raise SourceError if the suffix is not a report format, or the path is not writable."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise SourceError(f"cannot write a report to {str(path)!r}: its name must end in .html, .json or .md")
    check_writable(path)


def report_json(data: Mapping[str, Any]) -> str:
    """Return plain data as the text of a JSON file."""
    return readable_json(data, allow_nan=False)


def check_format(data: object, name: str, version: int, what: str) -> None:
    """Raise DataError unless data read from a file are a report of a format, and of no later version."""
    if not isinstance(data, Mapping) or data.get("format") != name:
        raise DataError(f'not {what}: "format" should be "{name}"')
    if not isinstance(data.get("version"), int) or data["version"] > version:
        raise DataError(f"report version {data.get('version')!r} is later than {version}: upgrade tabsynth to read it")


def align_rows(rows: Sequence[Sequence[str]], n_numbers: int) -> list[str]:
    """Return the lines of a text table, with columns 2 to 1 + ``n_numbers`` aligned right and the others left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if 1 <= i <= n_numbers else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def markdown_cell(text: str) -> str:
    """Escape text for a cell of a Markdown table."""
    return escape_controls(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], n_numbers: int) -> list[str]:
    """Return the lines of a Markdown table, with columns 2 to 1 + ``n_numbers`` aligned right."""
    rule = "".join("---:|" if 1 <= i <= n_numbers else "---|" for i in range(len(header)))
    lines = [f"| {' | '.join(map(markdown_cell, cells))} |" for cells in (header, *rows)]
    return [lines[0], f"|{rule}", *lines[1:]]


def markdown_section(title: str, items: Iterable[str]) -> list[str]:
    """Return the lines of a section with a list; none without items."""
    lines = [f"- {markdown_cell(item)}" for item in items]
    return ["", f"## {title}", "", *lines] if lines else []


def notebook_frame(title: str, page: str) -> str:
    """Embed a page in a frame for notebooks, which isolates its style sheet."""
    return (
        f'<div><iframe title="{html.escape(title)}" srcdoc="{html.escape(page)}" sandbox="" loading="lazy" '
        'style="width:100%;height:720px;border:1px solid #8884;border-radius:8px"></iframe></div>'
    )
