"""Schema of a fit that continues from a fitted model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tabsynth.errors import InputError
from tabsynth.schema.schema import Schema

if TYPE_CHECKING:
    from tabsynth.synthesizers.base import Synthesizer

WARM_START_KINDS = ("masked",)
"""Kinds whose fits can continue from a fitted model."""


def continued_schema(model: Synthesizer, start: Synthesizer | None, schema: Schema | None) -> Schema | None:
    """Return the schema of a fit; without a declared one, that of the model from which it continues.

    Raises:
        InputError: The model cannot continue from the other.
    """
    if start is None:
        return None if schema is None else Schema.of(schema)
    if model.kind not in WARM_START_KINDS or getattr(start, "kind", None) != model.kind:
        raise InputError(f"{type(model).__name__} cannot continue from {start!r}; warm_start is for MaskedSynthesizer")
    if schema is not None:
        return Schema.of(schema)
    start._check_fitted()
    columns = start.schema_.items()
    return replace(
        start.schema_,
        columns={
            name: replace(column, nullable=column.nullable or column.origin == "inferred") for name, column in columns
        },
    )
