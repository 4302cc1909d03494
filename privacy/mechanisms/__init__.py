"""Differentially private mechanisms: charge, then read, then add noise."""
