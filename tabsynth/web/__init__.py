"""The local web page of `tabsynth serve`: five steps from a table to a release, for people who do not code."""
