"""Bins of numeric columns in private fits: public cells, and bins chosen from noisy counts."""
