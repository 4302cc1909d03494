"""Propose which columns, codes and units of several tables correspond."""
