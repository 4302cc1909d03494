"""The parts of ``MarginalSynthesizer``: public grids, noisy marginals, a mixture fitted to them, rows drawn from it."""
