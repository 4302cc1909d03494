"""Linked tables as data: databases, folders of files, and splits by root row."""
