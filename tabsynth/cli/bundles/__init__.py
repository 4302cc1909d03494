"""Commands for releases: keys, release and verify."""
