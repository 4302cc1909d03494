"""The synthesizer of noisy marginals, and what it measures under privacy."""
