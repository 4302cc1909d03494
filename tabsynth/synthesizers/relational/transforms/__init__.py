"""Transformation of a database's tables to the form in which they are learned, and back."""
