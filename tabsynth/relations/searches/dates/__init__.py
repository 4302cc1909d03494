"""Searches for numbers and dates that other dates determine."""
