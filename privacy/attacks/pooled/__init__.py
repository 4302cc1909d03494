"""Attacks on all real rows at once, with exact tests under exchange of members and held-out rows."""
