"""Rules over the values of columns of categories: all different in a row, and bounds of numbers by group."""
