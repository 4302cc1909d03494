"""Synthesizer of linked tables: a plan of each parent's children, then the children row by row, then the keys."""
