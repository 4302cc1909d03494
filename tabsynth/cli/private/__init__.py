"""Commands that read a table under differential privacy."""
