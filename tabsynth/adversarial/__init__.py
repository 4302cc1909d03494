"""Classifiers that withstand small changes of a row, and rows that mislead others."""

from __future__ import annotations

from tabsynth.adversarial.perturbation import adversarial_rows
from tabsynth.adversarial.vat import VATClassifier

__all__ = ["VATClassifier", "adversarial_rows"]
