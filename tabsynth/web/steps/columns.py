"""Step 2: a card for each column, with a chart, answers to its open question, and corrections."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, get_args

import pandas as pd

from tabsynth.data.read_write import write
from tabsynth.data.table import Table
from tabsynth.errors import InputError
from tabsynth.evaluation.inputs import relax_schema
from tabsynth.privacy.domains import has_open_facts
from tabsynth.privacy.mechanisms.clamping import OTHER
from tabsynth.schema.columns import KINDS, Categorical, Datetime, Numeric, Role
from tabsynth.schema.inference import RARE_ADVICE
from tabsynth.schema.kinds.sentinels import REMEDY
from tabsynth.schema.schema import Schema
from tabsynth.schema.text_inference import MIN_GROUP
from tabsynth.web.project import SCHEMA, TABLE, Project
from tabsynth.web.steps.previews import frequent_values, preview
from tabsynth.web.steps.tables import leave_out, read_frame
from tabsynth.web.steps.training import count_outside

KIND_WORDS = {
    "categorical": "Category",
    "boolean": "Yes or no",
    "numeric": "Number",
    "datetime": "Date or time",
    "identifier": "Key, replaced by new keys",
    "text": "Free text, removed",
}
ROLE_WORDS = {
    "": "No special role",
    "target": "To be predicted",
    "sensitive": "Sensitive",
    "quasi_identifier": "May identify people indirectly",
    "person": "Identifies a person",
}
assert set(KIND_WORDS) == set(KINDS)
assert set(ROLE_WORDS) - {""} <= set(get_args(Role))

ANSWERS = (
    (r"categor|code", "categorical"),
    (r"numeric|quantity|measurement", "numeric"),
    (r"identifier|\bkey\b", "identifier"),
    (r"\btext\b|removed", "text"),
)
"""Words of a question, and the kind that answers it."""

RARE_QUESTION = " by invented ones: is it a category, a key or free text? You can list public values below."
"""End of the question about rare values on the page."""

LEAVE_OUT, MISSING = "leave-out", "missing"

MARKER = re.compile(r"does '?(.+?)'?(?:, which \d+ rows have,)? mean that the value is missing")
"""The question about a marker of missing values."""

MAX_SUGGESTED = 30
"""Values suggested as a public list."""


def cards(project: Project) -> list[dict[str, Any]]:
    """Return one card for each column, those with an open question first."""
    frame, schema = read_frame(project), project.schema
    out = [_card(number, frame, schema) for number in range(len(schema))]
    return sorted(out, key=lambda card: not card["question"])


def _card(number: int, frame: pd.DataFrame, schema: Schema) -> dict[str, Any]:
    name = list(schema)[number]
    column, values = schema[name], frame[name]
    card: dict[str, Any] = {
        "number": number,
        "name": name,
        "kind": column.kind,
        "kind_word": KIND_WORDS[column.kind],
        "role": column.role or "",
        "role_word": ROLE_WORDS.get(column.role or "", column.role),
        "nullable": column.nullable,
        "why": column.why,
        "question": _plain_question(column.question),
        "answers": _answers(column.question, column.kind),
        "bounds": isinstance(column, (Numeric, Datetime)),
        "low": _text(getattr(column, "low", None)),
        "high": _text(getattr(column, "high", None)),
        "values": None,
        "outside": "",
        **preview(values, column),
    }
    if isinstance(column, Categorical):
        declared = column.values is not None
        shown = column.values if column.values is not None else frequent_values(values, MAX_SUGGESTED)
        card["values"] = {"declared": declared, "text": "\n".join(str(value) for value in shown)}
    if isinstance(column, (Numeric, Datetime)) and (column.low is not None or column.high is not None):
        count = count_outside(values, column)
        card["outside"] = "" if not count else f"fewer than {MIN_GROUP}" if count < MIN_GROUP else f"{count:,}"
    return card


def _text(bound: Any) -> str:
    return "" if bound is None else f"{bound:g}" if isinstance(bound, float) else str(bound)


def _plain_question(question: str) -> str:
    """Return a question without the names of options, which the page does not have."""
    return question.replace(RARE_ADVICE, RARE_QUESTION).replace(f" {REMEDY}", "")


def _answers(question: str, kind: str) -> list[dict[str, str]]:
    """Return the buttons that answer a question: its kinds, the present one first."""
    if not question:
        return []
    named = [answer for words, answer in ANSWERS if re.search(words, question, re.IGNORECASE)]
    kinds = [kind, *(other for other in named if other != kind)]
    buttons = [{"value": one, "label": KIND_WORDS[one]} for one in kinds]
    if MARKER.search(question):
        buttons = [{"value": MISSING, "label": "Yes, it means missing"}, {"value": kind, "label": "No, it is a value"}]
    elif len(buttons) == 1:
        buttons[0]["label"] = f"Keep it: {KIND_WORDS[kind]}"
    if "dropped" in question:
        buttons.append({"value": LEAVE_OUT, "label": "Leave it out"})
    return buttons


def change(project: Project, form: Mapping[str, str]) -> str:
    """Apply the form of one card: an answer, or corrected facts. Returns the column's name.

    Raises:
        InputError: The facts do not fit the column. No message shows a value of the table.
    """
    schema = project.schema
    number = form.get("number", "")
    if not number.isdigit() or int(number) >= len(schema):
        raise InputError("this column no longer exists; reload the page")
    name = list(schema)[int(number)]
    answer = form.get("answer", "")
    if answer == LEAVE_OUT:
        leave_out(project, name)
        return name
    if answer == MISSING:
        empty_marker(project, name)
        return name
    if answer:
        changed = _with_kind(schema, name, answer)
    else:
        changed = _with_kind(
            schema, name, form.get("kind", ""), **_facts(form, schema, name, read_frame(project)[name])
        )
    _check_kind(read_frame(project), changed, name)
    changed.to_json(project.path(SCHEMA))
    project.update(confirmed=False)
    return name


def empty_marker(project: Project, name: str) -> None:
    """Empty the cells of the marker that a column's question names, and infer the column again.

    Raises:
        InputError: The column has no such question.
    """
    schema, frame = project.schema, read_frame(project)
    found = MARKER.search(schema[name].question)
    if found is None:
        raise InputError(f"column {name!r} has no marker of missing values; reload the page")
    values = frame[name]
    number = pd.api.types.is_numeric_dtype(values.dtype)
    frame[name] = values.mask(values == float(found[1]) if number else values.astype(object) == found[1])
    inferred = Table.of(frame[[name]])
    frame[name] = inferred.frame[name]
    write(frame, project.path(TABLE))
    column = replace(inferred.schema[name], role=schema[name].role, nullable=True)
    Schema({**schema.columns, name: column}).to_json(project.path(SCHEMA))
    project.update(confirmed=False)


def open_columns(project: Project) -> list[dict[str, Any]]:
    """Return the columns whose bounds or values a private fit would measure, with facts to declare public."""
    frame, schema = read_frame(project), project.schema
    out = []
    for number, (name, column) in enumerate(schema.items()):
        if has_open_facts(column):
            listed = None
            if isinstance(column, Categorical):
                listed = [str(value) for value in frequent_values(frame[name], MAX_SUGGESTED)]
            low, high = (getattr(column, side, None) for side in ("low", "high"))
            out.append({"number": number, "name": name, "values": listed, "low": _text(low), "high": _text(high)})
    return out


def declare_public(project: Project, form: Mapping[str, str]) -> None:
    """Declare lists of values (the frequent ones, and ``other``) and bounds of several columns as public.

    Raises:
        InputError: A bound is not a number, or the lower one is above the upper one.
    """
    frame, schema = read_frame(project), project.schema
    for number, (name, column) in enumerate(project.schema.items()):
        facts: dict[str, Any] = {}
        if isinstance(column, Categorical) and f"list-{number}" in form:
            values = frequent_values(frame[name], MAX_SUGGESTED)
            other = () if any(not isinstance(value, str) for value in values) else (OTHER,)
            facts["values"] = tuple(dict.fromkeys((*_typed([str(v) for v in values], frame[name]), *other)))
        if isinstance(column, (Numeric, Datetime)):
            for side in ("low", "high"):
                text = form.get(f"{side}-{number}", "").strip()
                if text:
                    facts[side] = text if isinstance(column, Datetime) else _number(name, text)
        if facts:
            schema = schema.replace(name, **facts)
    schema.to_json(project.path(SCHEMA))


def _with_kind(schema: Schema, name: str, kind: str, **facts: Any) -> Schema:
    if kind not in KINDS:
        raise InputError("choose one of the kinds")
    if facts.get("role") == "person":
        kind = "identifier"  # the unit of privacy is never learned
    if facts.get("role") in ("target", "person"):  # one column has it: it moves
        for other in schema.with_role(facts["role"]):
            if other != name:
                schema = schema.replace(other, role=None)
    known = {item.name for item in fields(KINDS[kind])}
    return schema.replace(name, kind=kind, **{key: value for key, value in facts.items() if key in known})


def _facts(form: Mapping[str, str], schema: Schema, name: str, values: pd.Series) -> dict[str, Any]:
    """Return the facts of a card's form."""
    role, kind = form.get("role", ""), form.get("kind", "")
    if role not in ROLE_WORDS:
        role = schema[name].role or ""
    facts: dict[str, Any] = {"role": role or None, "nullable": "nullable" in form}
    for side in ("low", "high"):
        text = form.get(side, "").strip()
        facts[side] = None if not text else text if kind == "datetime" else _number(name, text)
    if "values_declared" in form:
        lines = [line.strip() for line in form.get("values", "").splitlines()]
        facts["values"] = _typed([line for line in lines if line], values) or None
    else:
        facts["values"] = None
    return facts


def _number(name: str, text: str) -> float:
    try:
        return float(text.replace(",", "").replace("−", "-"))
    except ValueError:
        raise InputError(f"column {name!r}: the bound {text!r} is not a number") from None


def _typed(lines: list[str], values: pd.Series) -> tuple[Any, ...]:
    """Return the public values in the column's own type."""
    unique = list(dict.fromkeys(lines))
    if pd.api.types.is_bool_dtype(values.dtype) or not pd.api.types.is_numeric_dtype(values.dtype):
        return tuple(unique)
    try:
        numbers = [float(line) for line in unique]
    except ValueError:
        raise InputError(f"column {values.name!r} holds numbers; its public values must be numbers") from None
    return tuple(int(number) if number.is_integer() else number for number in numbers)


def _check_kind(frame: pd.DataFrame, schema: Schema, name: str) -> None:
    """Raise if the values cannot be read as the kind, without showing any of them."""
    loose = relax_schema(Schema({name: schema[name]}))
    try:
        Table.of(frame[[name]], loose)
    except InputError:
        word = KIND_WORDS[schema[name].kind].lower()
        raise InputError(f"column {name!r}: not all of its values can be read as {word}; choose another kind") from None
