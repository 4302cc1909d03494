"""Small HTML tables for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any


def html_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table with a header row; every cell is escaped."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def html_summary(title: str, items: Mapping[str, object]) -> str:
    """Return a title, and a table of names and values; both are escaped."""
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(str(value))}</td></tr>'
        for name, value in items.items()
    )
    return f"<div><strong>{escape(title)}</strong><table><tbody>{rows}</tbody></table></div>"


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
