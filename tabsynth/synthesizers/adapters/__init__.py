"""Synthesizers of other packages."""
