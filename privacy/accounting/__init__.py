"""The privacy ledger, and the accountant that composes its charges."""
