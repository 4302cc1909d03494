"""The plan of a mix: entries, file and checks."""
