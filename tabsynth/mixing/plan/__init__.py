"""The mixing plan: entries, file format and validation."""
