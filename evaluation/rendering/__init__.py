"""Charts' data and HTML pages of reports."""
