"""Schemas: column kinds, bounds, roles and constraints, declared or inferred."""

from __future__ import annotations

from tabsynth.schema.columns import Boolean, Categorical, Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.schema import Schema

__all__ = ["Boolean", "Categorical", "Column", "Datetime", "Identifier", "Numeric", "Schema", "Text"]
