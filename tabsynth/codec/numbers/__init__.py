"""Rounding units, frequent endings and rare numbers of a numeric column."""
