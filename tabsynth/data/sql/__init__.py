"""Databases as sources and targets: PostgreSQL, SQLite, DuckDB files and SQLAlchemy URLs."""
