"""Tools of all reports: HTML, charts, number formats, files."""
