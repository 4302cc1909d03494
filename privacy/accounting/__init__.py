"""The ledger of what was spent, and the accountant that composes it."""
