"""A plan's plain data against its JSON schema: every message says where, what is allowed, and which key is near.

The schema (``plan.schema.json``) is the one statement of a plan's form; this reads the part of JSON Schema that it
uses, so that a plan can be checked without a further package.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from tabsynth.errors import InputError, quote

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (Mapping,),
    "array": (list, tuple),
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


@cache
def plan_schema() -> dict[str, Any]:
    """The JSON schema of a plan."""
    data: dict[str, Any] = json.loads(files("tabsynth.mixing.plan").joinpath("plan.schema.json").read_text("utf-8"))
    return data


def check_plan(data: Any, name: str = "plan") -> None:
    """Raise unless plain data have the form of a plan.

    Raises:
        InputError: A key is unknown, missing or of the wrong type; the message names it and what is allowed.
    """
    version = data.get("version") if isinstance(data, Mapping) else None
    if isinstance(version, int) and not isinstance(version, bool) and version > 1:
        raise InputError(f"{name}: version {version} is later than 1: upgrade tabsynth to read it")
    _check(data, plan_schema(), name)


def _check(data: Any, rule: Mapping[str, Any], where: str) -> None:
    if "$ref" in rule:
        rule = plan_schema()["$defs"][rule["$ref"].rsplit("/", 1)[1]]
    if "const" in rule and data != rule["const"]:
        raise InputError(f"{where}: must be {rule['const']!r}, not {data!r}")
    if "enum" in rule and data not in rule["enum"]:
        raise InputError(f"{where}: {data!r} is not one of {', '.join(rule['enum'])}")
    kinds = rule.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(data, kind) for kind in kinds):
        raise InputError(f"{where}: expected {' or '.join(kinds)}, not {data!r}")
    if _is(data, "number"):
        _check_number(data, rule, where)
    elif isinstance(data, Mapping):
        _check_object(data, rule, where)
    elif isinstance(data, (list, tuple)):
        least, most = rule.get("minItems", 0), rule.get("maxItems", len(data))
        if not least <= len(data) <= most:
            raise InputError(f"{where}: {len(data)} items; there should be {least} to {most}")
        for i, item in enumerate(data):
            _check(item, rule.get("items", {}), f"{where}[{i}]")


def _is(data: Any, kind: str) -> bool:
    """Whether a value is of a JSON type; a boolean is no number."""
    return isinstance(data, _TYPES[kind]) and (kind == "boolean" or not isinstance(data, bool))


def _check_number(data: float, rule: Mapping[str, Any], where: str) -> None:
    if data < rule.get("minimum", data) or data > rule.get("maximum", data):
        low, high = rule.get("minimum", "-∞"), rule.get("maximum", "∞")
        raise InputError(f"{where}: {data} is outside {low} to {high}")


def _check_object(data: Mapping[Any, Any], rule: Mapping[str, Any], where: str) -> None:
    odd = [key for key in data if not isinstance(key, str)]
    known = rule.get("properties", {})
    if odd and known:
        raise InputError(f"{where}: keys must be text, not {quote(odd)}; put them in quotes")
    missing = [key for key in rule.get("required", ()) if key not in data]
    if missing:
        raise InputError(f"{where}: {quote(missing)} is missing")
    if len(data) < rule.get("minProperties", 0):
        raise InputError(f"{where}: it is empty; give at least {rule['minProperties']}")
    for key, value in data.items():
        other = rule.get("additionalProperties", True)
        if key in known:
            _check(value, known[key], f"{where}: {key}")
        elif other is False:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise InputError(f"{where}: unknown key {key!r}{hint}; allowed are {quote(known, 12)}")
        elif isinstance(other, Mapping):
            _check(value, other, f"{where}: {key}")
