"""Metrics, one module for each family of scores."""
