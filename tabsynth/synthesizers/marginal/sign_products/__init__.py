"""Noisy products of columns' signs: the least noisy measurement of whether columns depend on each other."""
