"""The metrics, one module for each question."""
