"""Privacy: the ledger, the mechanisms that charge it, and the attacks that test it."""
