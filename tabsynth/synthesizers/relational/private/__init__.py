"""Differentially private fits of linked tables: the unit is a row of the root table with all rows below it."""
