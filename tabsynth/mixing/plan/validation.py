"""Validate a plan's plain data against its JSON schema, ``plan.schema.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match
from jsonschema.validators import extend

from tabsynth.errors import InputError, did_you_mean, quote


@cache
def plan_schema() -> dict[str, Any]:
    """Return the JSON schema of a plan."""
    data: dict[str, Any] = json.loads(files("tabsynth.mixing.plan").joinpath("plan.schema.json").read_text("utf-8"))
    return data


def check_plan(data: Any, name: str = "plan") -> None:
    """Check that plain data are a plan.

    Raises:
        InputError: A key is unknown, missing or of the wrong type; the message names it and what is allowed.
    """
    version = data.get("version") if isinstance(data, Mapping) else None
    if isinstance(version, int) and not isinstance(version, bool) and version > 1:
        raise InputError(f"{name}: version {version} is later than 1: upgrade tabsynth to read it")
    error = best_match(_validator().iter_errors(data))
    if error is not None:
        where = "".join(f"[{step}]" if isinstance(step, int) else f": {step}" for step in error.absolute_path)
        explain = MESSAGES.get(str(error.validator))
        raise InputError(f"{name}{where}: {explain(error) if explain else error.message}")


@cache
def _validator() -> Any:
    """Return a validator that also accepts tuples and other mappings."""
    checker = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "array": lambda _, value: isinstance(value, (list, tuple)),
            "object": lambda _, value: isinstance(value, Mapping),
        }
    )
    kind: Any = extend(Draft202012Validator, type_checker=checker)
    return kind(plan_schema())


def _unknown_key(error: ValidationError) -> str:
    known = list(error.schema["properties"])
    key = next(key for key in error.instance if key not in known)
    if not isinstance(key, str):
        return f"keys must be text, not {key!r}; put it in quotes"
    return f"unknown key {key!r}{did_you_mean(key, known)}; allowed are {quote(known, 12)}"


def _missing_keys(error: ValidationError) -> str:
    return f"{quote([key for key in error.schema['required'] if key not in error.instance])} is missing"


def _wrong_type(error: ValidationError) -> str:
    kinds = error.schema["type"]
    return f"expected {kinds if isinstance(kinds, str) else ' or '.join(kinds)}, not {error.instance!r}"


def _outside(error: ValidationError) -> str:
    low, high = error.schema.get("minimum", "-∞"), error.schema.get("maximum", "∞")
    return f"{error.instance} is outside {low} to {high}"


def _wrong_length(error: ValidationError) -> str:
    least, most = error.schema.get("minItems", 0), error.schema.get("maxItems")
    allowed = f"at least {least}" if most is None else str(least) if least == most else f"{least} to {most}"
    return f"{len(error.instance)} items; there should be {allowed}"


MESSAGES: dict[str, Callable[[ValidationError], str]] = {
    "additionalProperties": _unknown_key,
    "required": _missing_keys,
    "type": _wrong_type,
    "minimum": _outside,
    "maximum": _outside,
    "minItems": _wrong_length,
    "maxItems": _wrong_length,
    "enum": lambda error: f"{error.instance!r} is not one of {', '.join(error.schema['enum'])}",
    "const": lambda error: f"must be {error.schema['const']!r}, not {error.instance!r}",
    "minProperties": lambda error: f"it is empty; give at least {error.schema['minProperties']}",
}
"""Messages by keyword of JSON Schema."""
