"""Occurrence of values in a history: planned numbers of classes, first occurrences, and the last row of a class."""
