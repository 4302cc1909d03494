"""Searches for rules between the columns of a table, one module for each kind of rule."""
