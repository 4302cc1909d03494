"""Machine-readable descriptions: Croissant 1.1 (JSON-LD) and Data Package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tabsynth.common.formula_cells import mark_formula
from tabsynth.release.about import About
from tabsynth.release.documents.contract import table_schema
from tabsynth.release.documents.released_tables import ReleasedTable
from tabsynth.release.manifest import FileEntry

CROISSANT_VERSION = "http://mlcommons.org/croissant/1.1"
DATA_TYPES = {
    "integer": "sc:Integer", "number": "sc:Float", "boolean": "sc:Boolean", "string": "sc:Text", "date": "sc:Date",
    "datetime": "sc:DateTime",
}  # fmt: skip

_OF_CROISSANT = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty",
    "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField",
    "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator", "source",
    "subField", "transform",
)  # fmt: skip

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _OF_CROISSANT},
}
"""The terms of Croissant 1.1."""


def croissant(
    about: About, tables: Sequence[ReleasedTable], files: Mapping[str, FileEntry], privacy: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the Croissant description of the data files."""
    distribution = [
        {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "encodingFormat": kind,
            "contentSize": f"{files[name].size} B",
            "sha256": files[name].sha256,
        }
        for table in tables
        for name, kind in ((table.csv, "text/csv"), (table.parquet, "application/vnd.apache.parquet"))
    ]
    identifiers = {
        (table.name, column.name): f"{table.name if table.is_linked else 'records'}/{number}"
        for table in tables
        for number, column in enumerate(table.columns)
    }
    records = [_record_set(table, identifiers) for table in tables]
    out: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CROISSANT_VERSION,
        "name": about.name,
        "alternateName": about.title or about.name,
        "description": about.description or about.title or about.name,
        "version": about.version,
        "datePublished": about.date.isoformat(),
        "license": about.license or "not stated",
        "url": about.url or "https://example.org/not-published",
        "creator": {"@type": "sc:Organization", "name": about.publisher or "not stated"},
        "citeAs": f"{about.publisher or about.name} ({about.date.year}): {about.title or about.name}, {about.version}",
        "isLiveDataset": False,
        "rai:hasSyntheticData": True,
        "rai:dataCollection": "All rows were drawn from a model that was fitted to a real table; no row is a real one.",
        "rai:dataLimitations": "Figures of the synthetic rows differ from those of the real table; see report.html.",
        "rai:personalSensitiveInformation": privacy["statement"],
        "distribution": distribution,
        "recordSet": records,
    }
    return {key: value for key, value in out.items() if value != ""}


def _record_set(table: ReleasedTable, identifiers: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """Return the rows of a table: its fields, its key, and the fields that its links refer to."""
    name = table.name if table.is_linked else "records"
    links = {column: identifiers[parent, key] for column, parent, key in table.foreign_keys}
    fields = []
    for column in table.columns:
        field: dict[str, Any] = {
            "@type": "cr:Field",
            "@id": identifiers[table.name, column.name],
            "name": column.name,
            "description": column.description,
            "dataType": DATA_TYPES[column.type],
            "source": {"fileObject": {"@id": table.csv}, "extract": {"column": mark_formula(column.name)}},
        }
        if column.name in links:
            field["references"] = {"field": {"@id": links[column.name]}}
        fields.append(field)
    out: dict[str, Any] = {"@type": "cr:RecordSet", "@id": name, "name": name, "description": "The rows."}
    if table.primary_key:
        out["key"] = [{"@id": identifiers[table.name, column]} for column in table.primary_key]
    return {**out, "field": fields}


def data_package(about: About, tables: Sequence[ReleasedTable], files: Mapping[str, FileEntry]) -> dict[str, Any]:
    """Return the Data Package of the data files."""
    licence = {"path" if "://" in about.license else "name": about.license}
    out: dict[str, Any] = {
        "profile": "data-package",
        "name": about.name,
        "title": about.title,
        "description": about.description,
        "version": about.version,
        "created": f"{about.date.isoformat()}T00:00:00Z",
        "homepage": about.url,
        "licenses": [licence] if about.license else [],
        "contributors": [{"title": about.publisher, "role": "publisher"}] if about.publisher else [],
        "resources": [resource for table in tables for resource in _resources(table, files)],
    }
    return {key: value for key, value in out.items() if value not in ("", [])}


def _resources(table: ReleasedTable, files: Mapping[str, FileEntry]) -> list[dict[str, Any]]:
    name = resource_name(table.name)
    return [
        {
            "profile": "tabular-data-resource",
            "name": name,
            "path": table.csv,
            "format": "csv",
            "mediatype": "text/csv",
            "encoding": "utf-8",
            "bytes": files[table.csv].size,
            "hash": f"sha256:{files[table.csv].sha256}",
            "dialect": {"delimiter": ",", "doubleQuote": True, "lineTerminator": "\n"},
            "schema": {**table_schema(table.columns), **key_schema(table)},
            "rows": len(table.frame),
        },
        {
            "name": f"{name}-parquet",
            "path": table.parquet,
            "format": "parquet",
            # No size and hash, which frictionless compares with those of text that it has read.
            "mediatype": "application/vnd.apache.parquet",
        },
    ]


def key_schema(table: ReleasedTable) -> dict[str, Any]:
    """Return the keys of a table as a Table Schema states them."""
    out: dict[str, Any] = {}
    if table.primary_key:
        out["primaryKey"] = [mark_formula(column) for column in table.primary_key]
    if table.foreign_keys:
        out["foreignKeys"] = [
            {
                "fields": [mark_formula(column)],
                # An empty name is the table itself.
                "reference": {
                    "resource": "" if parent == table.name else resource_name(parent),
                    "fields": [mark_formula(key)],
                },
            }
            for column, parent, key in table.foreign_keys
        ]
    return out


def resource_name(name: str) -> str:
    """Return a table's name as a Data Package allows it: lower-case letters, digits and a few signs."""
    return name.lower()
