"""Record linkage: rows of several tables that describe the same person."""
