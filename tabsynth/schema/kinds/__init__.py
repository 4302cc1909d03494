"""Kinds of columns that single values do not show: personal data, and codes among whole numbers."""
