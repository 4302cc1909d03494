"""Folders and globs of Parquet and Arrow files as one table, and files of Arrow and JSON lines."""
