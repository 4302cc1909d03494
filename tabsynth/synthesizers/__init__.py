"""Synthesizers: models that learn a table and draw new rows."""
