"""The bar that a long audit shows."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def bar(total: int, what: str, unit: str, shown: bool | None) -> tqdm[Any]:
    """A progress bar on stderr, silent when stderr is no terminal and for work of under two seconds.

    Args:
        total: Units of work in all.
        what: What is being done.
        unit: What is counted.
        shown: True and False force the bar on and off.
    """
    hidden = not sys.stderr.isatty() if shown is None else not shown
    return tqdm(total=total, desc=what, unit=unit, disable=hidden, delay=2.0 if shown is None else 0.0, leave=False)
