"""Machine-readable descriptions: Croissant 1.1 (JSON-LD) and Data Package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tabsynth.common.formula_cells import mark_formula
from tabsynth.release.about import About
from tabsynth.release.documents.contract import PublicColumn, table_schema
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
    about: About, columns: Sequence[PublicColumn], files: Mapping[str, FileEntry], privacy: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the Croissant description of the data files."""
    kinds = {about.csv: "text/csv", about.parquet: "application/vnd.apache.parquet"}
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
        for name, kind in kinds.items()
    ]
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"records/{number}",
            "name": column.name,
            "description": column.description,
            "dataType": DATA_TYPES[column.type],
            "source": {"fileObject": {"@id": about.csv}, "extract": {"column": mark_formula(column.name)}},
        }
        for number, column in enumerate(columns)
    ]
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
        "recordSet": [
            {"@type": "cr:RecordSet", "@id": "records", "name": "records", "description": "The rows.", "field": fields}
        ],
    }
    return {key: value for key, value in out.items() if value != ""}


def data_package(
    about: About, columns: Sequence[PublicColumn], files: Mapping[str, FileEntry], rows: int
) -> dict[str, Any]:
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
        "resources": [
            {
                "profile": "tabular-data-resource",
                "name": about.name,
                "path": about.csv,
                "format": "csv",
                "mediatype": "text/csv",
                "encoding": "utf-8",
                "bytes": files[about.csv].size,
                "hash": f"sha256:{files[about.csv].sha256}",
                "dialect": {"delimiter": ",", "doubleQuote": True, "lineTerminator": "\n"},
                "schema": table_schema(columns),
            },
            {
                "name": f"{about.name}-parquet",
                "path": about.parquet,
                "format": "parquet",
                # No size and hash, which frictionless compares with those of text that it has read.
                "mediatype": "application/vnd.apache.parquet",
            },
        ],
    }
    out["resources"][0]["rows"] = rows
    return {key: value for key, value in out.items() if value not in ("", [])}
