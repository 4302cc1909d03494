"""Commands of the local web page."""
