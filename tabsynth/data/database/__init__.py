"""Databases as data: folders of tables, and splits by root row."""
