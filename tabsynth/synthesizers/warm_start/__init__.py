"""Fits that continue from a fitted model with more rows."""
