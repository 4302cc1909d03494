"""Which rows of several tables are about the same person."""
