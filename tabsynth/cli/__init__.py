"""The command line."""

from tabsynth.cli.main import BAD_INPUT, BAD_MODEL, BUSY, DONE, INTERRUPTED, UNEXPECTED, UNMET, main

__all__ = ["BAD_INPUT", "BAD_MODEL", "BUSY", "DONE", "INTERRUPTED", "UNEXPECTED", "UNMET", "main"]
