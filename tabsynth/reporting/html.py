"""Jinja environment of the HTML pages, with the templates of a package and the shared style and charts."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from tabsynth.common.text import escape_controls
from tabsynth.reporting.number_format import format_number


class _Template(Template):
    """A template whose pages show control characters of names and values escaped."""

    def render(self, *args: Any, **kwargs: Any) -> str:
        return escape_controls(super().render(*args, **kwargs))


@cache
def environment(package: str) -> Environment:
    """Return the environment with the templates of ``package`` and of ``tabsynth.reporting``."""
    out = Environment(
        loader=ChoiceLoader([PackageLoader(package, "templates"), PackageLoader("tabsynth.reporting", "templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    out.template_class = _Template
    out.filters["figure"] = format_number
    out.filters["breakable"] = _breakable
    return out


def _breakable(name: str) -> Markup:
    """Return a name with line-break opportunities after underscores and dots."""
    return Markup("").join(escape(part) + Markup("<wbr>") for part in re.split(r"(?<=[_.])", name))
