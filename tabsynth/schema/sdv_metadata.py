"""Convert between SDV metadata and schemas.

Metadata without an equivalent fact (a ``pii`` flag, a primary key, a computer representation) is kept in ``Column.sdv``
and ``Schema.sdv``, so that it survives a round trip. Facts changed in between take precedence.

Metadata of SDV 1 (specification V1) and of SDV 2 (V2) is read, alone or as the one table of a multi-table file.
Metadata is written in the specification that it came in, else in V2. Roles and constraints have no place in it.
"""

from __future__ import annotations

import copy
import datetime
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tabsynth.common.input_files import read_json
from tabsynth.errors import SchemaError, SourceError, quote
from tabsynth.schema.columns import Boolean, Categorical, Column, Datetime, Identifier, Numeric, Text, column_from_dict
from tabsynth.schema.month_names import split_language
from tabsynth.schema.schema import Schema

TABLE = "table"
VERSION = "V2"

SDTYPES: dict[type[Column], dict[str, Any]] = {
    Numeric: {"sdtype": "numerical"},
    Categorical: {"sdtype": "categorical"},
    Boolean: {"sdtype": "boolean"},
    Datetime: {"sdtype": "datetime"},
    Identifier: {"sdtype": "id"},
    Text: {"sdtype": "unknown", "pii": True},
}
"""SDV's facts on a column of each kind."""

OWN_KEYS = frozenset(
    [
        "sdtype",
        "range_min",
        "range_max",
        "range_is_nullable",
        "range_values",
        "decimal_places",
        "datetime_format",
        "regex_format",
        "order",
        "order_by",
        "pii",
    ]
)
"""Keys of an SDV column that follow from the column's facts; other keys are unchanged."""


def to_sdv(schema: Schema) -> dict[str, Any]:
    """Return the SDV metadata as plain data, for ``sdv.metadata.Metadata.load_from_dict``.

    A column of an SDV sdtype that is ours in other words keeps it (an ``email`` is a text here and an ``email`` there).
    """
    facts = dict(copy.deepcopy(dict(schema.sdv)))
    version = str(facts.pop("METADATA_SPEC_VERSION", VERSION))
    name = str(facts.pop("table", TABLE))
    relationships = facts.pop("relationships", [])
    keys = _keys(facts)
    columns = {name: _written(column, version, key=name in keys) for name, column in schema.items()}
    return {
        "tables": {name: {"columns": columns, **facts}},
        "relationships": relationships,
        "METADATA_SPEC_VERSION": version,
    }


def from_sdv(metadata: Any) -> Schema:
    """Read SDV metadata.

    A column is nullable unless its metadata says otherwise, as in SDV. Personal data (``pii``) becomes text, which is
    never learned, and an identifier where it is a key; where ``pii`` is off it becomes categories.

    Args:
        metadata: A ``Metadata`` object, its dictionary, or the path of its JSON file.

    Raises:
        SchemaError: Not SDV metadata, several tables, or a column that is malformed.
    """
    data = read_metadata(metadata)
    version = str(data.get("METADATA_SPEC_VERSION", VERSION))
    facts: dict[str, Any] = {"METADATA_SPEC_VERSION": "V1" if version.endswith("V1") else "V2"}
    table = data
    if "tables" in data:
        tables = data["tables"]
        if not isinstance(tables, Mapping) or len(tables) != 1:
            raise SchemaError(
                f"a schema is of one table, but this metadata has {quote(tables or [])}; "
                "choose one with metadata.get_table_metadata(name)"
            )
        name, table = next(iter(tables.items()))
        facts |= {"table": name} if name != TABLE else {}
        facts |= {"relationships": data["relationships"]} if data.get("relationships") else {}
    if not isinstance(table, Mapping) or not isinstance(table.get("columns"), Mapping):
        raise SchemaError('this is not SDV metadata: it has no "columns"')
    facts |= {key: value for key, value in table.items() if key not in ("columns", "METADATA_SPEC_VERSION")}
    keys = _keys(facts)
    columns = {str(name): _read(str(name), entry, key=str(name) in keys) for name, entry in table["columns"].items()}
    plain = facts == {"METADATA_SPEC_VERSION": VERSION}
    return Schema(columns, sdv={} if plain else copy.deepcopy(facts))


def read_metadata(metadata: Any) -> Mapping[str, Any]:
    """Return the metadata as a mapping, from an object, a dictionary or a file."""
    if isinstance(metadata, (str, Path)):
        try:
            metadata = read_json(metadata, "metadata")
        except SourceError as error:
            raise SchemaError(str(error)) from error
    elif hasattr(metadata, "to_dict"):
        metadata = metadata.to_dict()
    if not isinstance(metadata, Mapping):
        raise SchemaError(f"expected SDV metadata, its dictionary or a path, not {type(metadata).__name__}")
    return metadata


def _keys(facts: Mapping[str, Any]) -> set[str]:
    """Return the primary and alternate keys."""
    named: list[Any] = [facts.get("primary_key"), *(facts.get("alternate_keys") or [])]
    return {str(one) for name in named if name for one in (name if isinstance(name, (list, tuple)) else [name])}


def _read(name: str, entry: Any, *, key: bool) -> Column:
    """Convert one SDV column, and keep its entry."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("sdtype"), str):
        raise SchemaError(f'column {name!r}: SDV metadata needs {{"sdtype": ...}}, not {entry!r}')
    column = column_from_dict(name, {**_facts(name, entry, key=key), "nullable": entry.get("range_is_nullable", True)})
    written_entry = json.loads(json.dumps(dict(entry), default=str))
    return column if _entry(column, VERSION) == written_entry else replace(column, sdv=written_entry)


def _facts(name: str, entry: Mapping[str, Any], *, key: bool) -> dict[str, Any]:
    """Return the column facts of an SDV entry."""
    sdtype = entry["sdtype"]
    if sdtype == "numerical":
        places = entry.get("decimal_places")
        whole = str(entry.get("computer_representation", "")).lstrip("U").startswith("Int")
        known = places if isinstance(places, int) and places <= 17 else None
        return {
            "kind": "numeric",
            "low": entry.get("range_min"),
            "high": entry.get("range_max"),
            "decimals": 0 if whole and known is None else known,
        }
    if sdtype == "datetime":
        spelling = entry.get("datetime_format")
        bounds = {
            ours: _iso(name, entry.get(theirs), spelling)
            for ours, theirs in (("low", "range_min"), ("high", "range_max"))
        }
        return {"kind": "datetime", "format": spelling, **bounds}
    if sdtype in ("categorical", "ordinal"):
        values = entry.get("range_values", entry.get("order"))
        ordered = sdtype == "ordinal" or "order" in entry or "order_by" in entry
        return {"kind": "categorical", "values": values, "ordered": ordered}
    if sdtype == "boolean":
        return {"kind": "boolean"}
    if sdtype == "id" or key:
        return {"kind": "identifier", "pattern": entry.get("regex_format")}
    if not entry.get("pii", True):
        return {"kind": "categorical"}
    return {"kind": "text", "pii": None if sdtype == "unknown" else sdtype}


def _written(column: Column, version: str, *, key: bool) -> dict[str, Any]:
    """Return a column as an SDV entry."""
    before = copy.deepcopy(dict(column.sdv))
    if not before:
        return _entry(column, version)
    origin = _read(column.name, before, key=key)
    if (
        all(getattr(origin, fact, None) == getattr(column, fact, None) for fact in _expressible_facts(column))
        and origin.kind == column.kind
    ):
        return before
    if origin.kind != column.kind:
        return _entry(column, version)
    after = {**{name: value for name, value in before.items() if name not in OWN_KEYS}, **_entry(column, version)}
    if isinstance(column, Identifier) and before["sdtype"] != "id" and column.pattern is None:
        after["sdtype"] = before["sdtype"]
    if isinstance(column, Categorical) and before["sdtype"] not in ("categorical", "ordinal") and column.values is None:
        after["sdtype"] = before["sdtype"]
    return after | ({"pii": before["pii"]} if "pii" in before and after["sdtype"] == before["sdtype"] else {})


def _expressible_facts(column: Column) -> list[str]:
    """Return the facts that SDV metadata can express."""
    every = ("nullable", "low", "high", "decimals", "format", "values", "ordered", "pattern", "pii")
    return [fact for fact in every if hasattr(column, fact)]


def _entry(column: Column, version: str) -> dict[str, Any]:
    """Return an SDV entry from the schema's facts alone."""
    out: dict[str, Any] = {}
    if isinstance(column, Numeric):
        out = {
            "sdtype": "numerical",
            "range_min": column.low,
            "range_max": column.high,
            "decimal_places": column.decimals,
        }
        if version == "V1" and column.decimals == 0:
            out["computer_representation"] = "Int64"
    elif isinstance(column, Datetime):
        local, _ = split_language(column.format or "")
        spelling = None if local else column.format  # strftime has no names of months in other languages
        low, high = (_theirs(bound, spelling) for bound in (column.low, column.high))
        out = {"sdtype": "datetime", "datetime_format": spelling, "range_min": low, "range_max": high}
    elif isinstance(column, Categorical):
        values = None if column.values is None else list(column.values)
        ordered = column.ordered and (values is not None or version != "V1")
        out = {"sdtype": "ordinal" if ordered else "categorical", "range_values": values}
        if version == "V1":
            out = {"sdtype": "categorical", "order": values if ordered else None}
    elif isinstance(column, Boolean):
        out = {"sdtype": "boolean"}
    elif isinstance(column, Identifier):
        out = {"sdtype": "id", "regex_format": column.pattern}
    elif isinstance(column, Text):
        out = {"sdtype": column.pii or "unknown", "pii": True}
    if version != "V1":
        out["range_is_nullable"] = column.nullable
    newer = ("range_min", "range_max", "range_values", "decimal_places", "range_is_nullable") if version == "V1" else ()
    return {name: value for name, value in out.items() if value is not None and name not in newer}


def _iso(name: str, bound: Any, spelling: str | None) -> str | None:
    """Return a bound that is spelled as the column is, in ISO 8601."""
    if bound is None:
        return None
    try:
        if isinstance(bound, datetime.date):
            return bound.isoformat()
        moment = datetime.datetime.strptime(bound, spelling) if spelling else datetime.datetime.fromisoformat(bound)
    except (TypeError, ValueError) as error:
        raise SchemaError(f"column {name!r}: the range holds {bound!r}, which is not a date of {spelling!r}") from error
    return moment.isoformat()


def _theirs(bound: str | None, spelling: str | None) -> str | None:
    """Return an ISO 8601 bound, spelled as the column is."""
    if bound is None or spelling is None:
        return bound
    return datetime.datetime.fromisoformat(bound).strftime(spelling)
