"""What every other package may use: array types, files, checks and progress."""
