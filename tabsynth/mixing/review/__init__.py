"""The review of a plan: an HTML page and a text diff."""
