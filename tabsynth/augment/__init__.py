"""Augmentation: oversampling, balanced samples, SMOTE and mixup."""

from __future__ import annotations

from tabsynth.augment.oversampling import balanced_sample, oversample, smote
from tabsynth.augment.smote_mixup import mixup

__all__ = ["balanced_sample", "mixup", "oversample", "smote"]
