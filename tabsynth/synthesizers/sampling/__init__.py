"""How rows are sampled from a fitted model: conditions, calibration and selection."""
