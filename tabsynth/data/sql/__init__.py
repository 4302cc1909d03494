"""Databases as sources and targets: PostgreSQL, SQLite, DuckDB files and SQLAlchemy URLs."""

from __future__ import annotations

from tabsynth.data.sql.schemas import database_schema, read_schema

__all__ = ["database_schema", "read_schema"]
