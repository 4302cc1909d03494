"""Evaluation of linked tables and sequences."""
