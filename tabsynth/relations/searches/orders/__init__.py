"""Searches for orders and bounds of two columns that hold in a part of the rows."""
