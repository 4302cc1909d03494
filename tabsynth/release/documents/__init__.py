"""Documents of a release: their content, and the keys that each may have."""
