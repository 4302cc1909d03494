"""Release bundles: synthetic data with its evidence, a manifest and a signature, and their verification."""
