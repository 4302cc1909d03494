"""Attacks on all real rows at once, with tests that are exact if members and held-out rows are exchangeable."""
