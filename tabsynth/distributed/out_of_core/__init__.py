"""Fits to all rows of a table larger than memory."""
