"""Evaluation of synthetic tables: fidelity, diversity, detection, utility, fairness, memorisation."""
