"""Files and notebook views of reports."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any, Protocol

from tabsynth.common.atomic_files import write_text
from tabsynth.errors import SourceError


class SavableReport(Protocol):
    """A report with its three formats."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""

    def to_html(self) -> str:
        """Return a page."""

    def to_markdown(self) -> str:
        """Return a summary."""


def write_report(report: SavableReport, path: str | Path) -> None:
    """Write a report in the format of the suffix: ``.html``, ``.json`` or ``.md``.

    Raises:
        SourceError: The suffix is another one, or the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".html":
        text = report.to_html()
    elif suffix == ".json":
        text = json.dumps(report.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    elif suffix == ".md":
        text = report.to_markdown()
    else:
        raise SourceError(f"cannot write a report as {suffix or 'a file without suffix'!r}: use .html, .json or .md")
    write_text(path, text, private=True)  # reports contain statistics of the real table


def notebook_frame(title: str, page: str) -> str:
    """Embed a page in a frame for notebooks, which isolates its style sheet."""
    return (
        f'<div><iframe title="{html.escape(title)}" srcdoc="{html.escape(page)}" sandbox="" loading="lazy" '
        'style="width:100%;height:720px;border:1px solid #8884;border-radius:8px"></iframe></div>'
    )
