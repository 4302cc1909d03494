"""Bins of numeric columns in private fits: public cells, and bins that noisy counts suggest."""
