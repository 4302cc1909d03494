"""Training: the one loop, networks, checkpoints and callbacks of every torch model."""
