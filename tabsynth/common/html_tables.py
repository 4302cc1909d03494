"""Small HTML tables for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from tabsynth.errors import escape_controls

if TYPE_CHECKING:
    import pandas as pd


def html_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table with a header row; every cell is escaped."""
    head = "".join(f"<th>{_cell(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def html_summary(title: str, items: Mapping[str, object]) -> str:
    """Return a title, and a table of names and values; both are escaped."""
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left">{_cell(name)}</th>'
        f'<td style="text-align:left">{_cell(value)}</td></tr>'
        for name, value in items.items()
    )
    return f"<div><strong>{_cell(title)}</strong><table><tbody>{rows}</tbody></table></div>"


def html_frame(frame: pd.DataFrame) -> str:
    """Return the first rows of a frame."""
    return escape_controls(frame.head().to_html())


def _cell(value: object) -> str:
    return escape(escape_controls(str(value)))


class NotebookSummary:
    """Mixin of scikit-learn estimators that notebooks show as a summary of the fit.

    Jupyter prefers ``_repr_mimebundle_`` to ``_repr_html_``, and scikit-learn's shows a diagram of the parameters.
    """

    def _notebook_facts(self) -> Mapping[str, object]:
        """Return the names and values of the summary; called once the estimator is fitted."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        fitted = hasattr(self, "schema_")
        return html_summary(repr(self), self._notebook_facts() if fitted else {"state": "not fitted"})

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}
