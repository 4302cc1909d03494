"""Simulation of the expected quality at each epsilon before the budget is spent."""
