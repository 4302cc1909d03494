"""Mixing batch by batch, for tables larger than memory."""
