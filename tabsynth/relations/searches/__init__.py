"""Searches for rules that hold under a condition."""
