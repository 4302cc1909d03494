"""The command line of privacy: what ``tabsynth canaries`` and ``tabsynth ledger`` take. Parsing alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable

CANARIES = """\
examples:
  tabsynth canaries --schema schema.json --epsilon 1                     the mixture of noisy counts, seen from inside
  tabsynth canaries --schema schema.json --epsilon 1 --runs 10_000 --output canaries.json
  tabsynth canaries --schema schema.json --epsilon 1 --model masked --runs 50          seen by its rows alone

Fits a tiny table, made of the schema's public facts, with and without one row, so many times each, and tells the two
apart. What is measured is a lower bound: VIOLATION (exit code 3) where it surely exceeds the claim, CONSISTENT, powered
where twice the claim would have been found, else INCONCLUSIVE. Nothing of a real table is read or spent.
"""

LEDGER = """\
examples:
  tabsynth ledger verify patients.ledger                                the chain of its records, and what is spent
  tabsynth ledger verify patients.ledger --models a.tabsynth b.tabsynth

Every model keeps the hash and the number of records that the data set's ledger had when it was fitted. A ledger that
was rolled back, or deleted and made anew, no longer begins with them: exit code 3.
"""


def add_canaries(command: Callable[[str, str, str], argparse.ArgumentParser]) -> None:
    """Add ``canaries`` to the parser of all commands."""
    canary = command("canaries", "Fit with and without one row: is the claimed epsilon kept?", CANARIES)
    canary.add_argument("--schema", required=True, metavar="FILE", help="what the columns are, as JSON")
    canary.add_argument("--epsilon", type=float, required=True, metavar="E", help="the privacy that is claimed")
    canary.add_argument("--delta", type=float, metavar="D", help="its delta (default: 1e-6)")
    canary.add_argument("--model", default="marginal", metavar="KIND", help="synthesizer (default: %(default)s)")
    canary.add_argument("--runs", type=int, default=1000, metavar="N", help="fits a side (default: %(default)s)")
    canary.add_argument("--seed", type=int, default=0, metavar="N", help="order of the rows; noise is never seeded")
    canary.add_argument("--output", "-o", metavar="FILE", help="also write the report as .json")


def add_ledger(command: Callable[[str, str, str], argparse.ArgumentParser]) -> None:
    """Add ``ledger`` to the parser of all commands."""
    ledger = command(
        "ledger", "Verify the privacy ledger of a data set, and that it holds its models' charges.", LEDGER
    )
    ledger.add_argument("action", choices=["verify"], help="what to do")
    ledger.add_argument("file", metavar="LEDGER", help="the ledger's file")
    ledger.add_argument("--models", nargs="+", default=[], metavar="MODEL", help="model files fitted under it")
