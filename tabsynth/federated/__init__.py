"""Synthesis over several sites that do not share rows."""
