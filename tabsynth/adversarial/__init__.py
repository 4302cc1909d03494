"""Virtual adversarial training, and adversarial rows."""

from __future__ import annotations

from tabsynth.adversarial.perturbation import adversarial_rows
from tabsynth.adversarial.vat import VATClassifier

__all__ = ["VATClassifier", "adversarial_rows"]
