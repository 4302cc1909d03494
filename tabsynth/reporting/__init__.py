"""Toolkit shared by all reports: HTML, charts, number formats, files."""
