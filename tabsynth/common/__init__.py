"""Utilities for every other package: array types, files, argument checks and progress."""
