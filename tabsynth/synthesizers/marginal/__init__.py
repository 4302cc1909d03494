"""The marginal synthesizer and its private measurements."""
