"""Evaluation: how close, how useful and how telling a synthetic table is."""
