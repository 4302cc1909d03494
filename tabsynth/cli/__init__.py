"""The command line."""

from tabsynth.cli.main import BAD_INPUT, BAD_MODEL, BUSY, INTERRUPTED, UNEXPECTED, main
from tabsynth.cli.output import DONE, UNMET

__all__ = ["BAD_INPUT", "BAD_MODEL", "BUSY", "DONE", "INTERRUPTED", "UNEXPECTED", "UNMET", "main"]
