"""The commands on a folder of linked tables."""
