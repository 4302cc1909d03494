"""Validation of seeds and integer options."""

from __future__ import annotations

import numpy as np

from tabsynth.errors import InputError


def validate_seed(seed: int) -> int:
    """Return a seed as a Python integer.

    Raises:
        InputError: Not a whole number from 0 to 2**63 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise InputError(f"seed must be a whole number from 0 to 2**63 - 1, not {seed!r}")
    return int(seed)


def random_seed() -> int:
    """Return a seed from the operating system's entropy."""
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0]) >> 1


def check_callables(**options: object) -> None:
    """Raise for an option that is neither None nor callable.

    Raises:
        InputError: It is not; the message names it.
    """
    for name, value in options.items():
        if value is not None and not callable(value):
            raise InputError(f"{name} must be a function, not {value!r}")


def check_positive_integers(**options: int | None) -> None:
    """Raise for an option that is neither None nor a whole number of at least 1.

    Raises:
        InputError: It is not; the message names it.
    """
    for name, value in options.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InputError(f"{name} must be a whole number of at least 1, not {value!r}")
