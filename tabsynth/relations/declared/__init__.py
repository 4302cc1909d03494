"""Enforcement of declared constraints: the columns that a model learns for them, and the repair of sampled rows."""
