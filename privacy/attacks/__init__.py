"""Attacks on synthetic tables: what an intruder could learn, as rates with intervals and controls."""
