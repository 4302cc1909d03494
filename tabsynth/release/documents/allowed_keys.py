"""Allow list of the keys in a release's documents; keys that are not listed are never published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tabsynth.errors import InputError
from tabsynth.release import about as names
from tabsynth.release.documents.descriptors import CONTEXT
from tabsynth.release.documents.released_tables import CONTRACTS, TABLE_SCHEMAS

_COLUMN = "title description dtype nullable checks unique coerce required regex"
_CHECKS = "greater_than_or_equal_to less_than_or_equal_to isin isin/[]"
_FIELD = "name type description format trueValues trueValues/[] falseValues falseValues/[] constraints"
_LIMITS = "required unique minimum maximum enum enum/[]"
_EVENT = (
    "type noise_multiplier noise_parameter sensitivity rho xi sampling_probability count mean shape event events "
    "events/[]"
)


def _keys(keys: str) -> set[str]:
    return set(keys.split())


def _under(prefix: str, keys: str) -> set[str]:
    return {f"{prefix}/{key}" for key in keys.split()}


_TABLE_SCHEMA = {"fields", "fields/[]", "missingValues", "missingValues/[]"}
_TABLE_SCHEMA |= _keys("primaryKey primaryKey/[] foreignKeys foreignKeys/[]")
_TABLE_SCHEMA |= _under("foreignKeys/[]", "fields fields/[] reference")
_TABLE_SCHEMA |= _under("foreignKeys/[]/reference", "resource fields fields/[]")
_TABLE_SCHEMA |= _under("fields/[]", _FIELD) | _under("fields/[]/constraints", _LIMITS)

ALLOWED: dict[str, set[str]] = {
    names.CONTRACT: {
        *_keys("schema_type version columns columns/* checks index dtype coerce strict name ordered unique"),
        *_keys("report_duplicates unique_column_names add_missing_columns title description"),
        *_under("columns/*", _COLUMN),
        *_under("columns/*/checks", _CHECKS),
    },
    names.TABLE_SCHEMA: _TABLE_SCHEMA,
    names.PACKAGE: {
        *_keys("profile name title description version created homepage licenses licenses/[] contributors"),
        *_keys("contributors/[] resources resources/[]"),
        *_under("licenses/[]", "name path"),
        *_under("contributors/[]", "title role"),
        *_under("resources/[]", "profile name path format mediatype encoding bytes hash rows dialect schema"),
        *_under("resources/[]/dialect", "delimiter doubleQuote lineTerminator"),
        *{f"resources/[]/schema/{key}" for key in _TABLE_SCHEMA},
    },
    names.CROISSANT: {
        *_keys("@context @type conformsTo name alternateName description version datePublished license url"),
        *_keys("creator citeAs isLiveDataset distribution distribution/[] recordSet recordSet/[]"),
        *_keys("rai:hasSyntheticData rai:dataCollection rai:dataLimitations rai:personalSensitiveInformation"),
        *_under("creator", "@type name"),
        *_under("distribution/[]", "@type @id name contentUrl encodingFormat contentSize sha256"),
        *_under("recordSet/[]", "@type @id name description field field/[] key key/[] key/[]/@id"),
        *_under("recordSet/[]/field/[]/references", "field field/@id"),
        *_under(
            "recordSet/[]/field/[]",
            "@type @id name description dataType source references",
        ),
        *_under("recordSet/[]/field/[]/source", "fileObject fileObject/@id extract extract/column"),
        *(f"@context/{term}" for term in CONTEXT),
        *_under("@context/*", "@id @type @container"),
    },
    names.EVALUATION: {
        *_keys("format version figures note verdict verdict/text verdict/areas verdict/areas/[] uses uses/[] scores"),
        *_keys("scores/[] verdict/areas/[]/area verdict/areas/[]/level uses/[]/use uses/[]/level"),
        *_under("scores/[]", "name title level value interval interval/[] floor unit better target"),
    },
    names.AUDIT: {
        *_keys("format version verdict note text significant significant/[] power"),
        *_under("power", "fpr power least_tpr"),
    },
    names.PRIVACY: {
        *_keys("format version guarantee definition unit neighbours epsilon delta statement meaning accountant"),
        *_keys("recognised_at_most recognised_at_false_alarms guessed_at_most mechanisms mechanisms/[]"),
        *_keys("not_covered not_covered/[] dataset"),
        *_under("dataset", "epsilon delta charges"),
        *_under("mechanisms/[]", "purpose mechanism columns columns/[] event delta sensitivity"),
        *_under("mechanisms/[]/event", _EVENT),
    },
    names.GATES: {
        *_keys("format version date gates gates/[]"),
        *_under("gates/[]", "gate passed waiver"),
        *_under("gates/[]/waiver", "who why until"),
    },
    names.VERSIONS: {
        *_keys("bomFormat specVersion version metadata metadata/timestamp metadata/component"),
        *_keys("components components/[]"),
        *_under("metadata/component", "type name version"),
        *_under("components/[]", "type name version purl"),
    },
}
"""Allowed paths of keys by document; ``[]`` is an element of a list, ``*`` a name that users choose (a column's)."""


def document_kind(name: str) -> str | None:
    """Return the document whose keys a file may have; None for a file that is no such document."""
    if name.startswith(CONTRACTS) and name.endswith(".yaml"):
        return names.CONTRACT
    if name.startswith(TABLE_SCHEMAS) and name.endswith(".json"):
        return names.TABLE_SCHEMA
    return name if name in ALLOWED else None


def check_keys(document: str, data: Any) -> None:
    """Raise InputError if a document has a key that is not listed."""
    kind = document_kind(document)
    assert kind is not None
    allowed = {tuple(path.split("/")) for path in ALLOWED[kind]}
    for path in key_paths(data):
        if path not in allowed and not any(_matches(path, pattern) for pattern in allowed if "*" in pattern):
            raise InputError(f"{document}: the key {'/'.join(path)!r} may not enter a release")


def key_paths(data: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every key and list element; events within events count as one."""
    pairs = data.items() if isinstance(data, Mapping) else [("[]", item) for item in data]
    for key, value in pairs:
        path = (*prefix, str(key))
        if path[-2:] == ("event", "event"):
            path = prefix
        elif path[-3:] == ("event", "events", "[]"):
            yield path
            path = prefix[:-1]
        else:
            yield path
        if isinstance(value, (Mapping, list)):
            yield from key_paths(value, path)


def _matches(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    return len(path) == len(pattern) and all(b in ("*", a) for a, b in zip(path, pattern, strict=True))
