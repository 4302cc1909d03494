"""Jinja environment of the HTML pages, with the templates of a package and the shared style and charts."""

from __future__ import annotations

import re
from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tabsynth.reporting.number_format import format_number


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
    out.filters["figure"] = format_number
    out.filters["breakable"] = _breakable
    return out


def _breakable(name: str) -> Markup:
    """Return a name with line-break opportunities after underscores and dots."""
    return Markup("").join(escape(part) + Markup("<wbr>") for part in re.split(r"(?<=[_.])", name))
