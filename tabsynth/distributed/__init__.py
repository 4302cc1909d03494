"""Sampling in deterministic shards, on one process, several processes or Ray."""
