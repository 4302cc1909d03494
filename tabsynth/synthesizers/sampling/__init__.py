"""Sampling from fitted models: conditions, calibration and selection."""
