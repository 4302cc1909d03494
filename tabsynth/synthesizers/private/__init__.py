"""Private fits of the deep models."""
