"""Documents of a release: what each says, and which keys it may have."""
