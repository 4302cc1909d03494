"""What commands share: pairs and numbers of the command line, and saying and printing results."""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tabsynth.errors import InputError

DONE, UNMET = 0, 3


def pair(text: str, option: str) -> tuple[str, str]:
    """NAME=VALUE of an option, parted."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise InputError(f"{option} {text}: write NAME=VALUE")
    return name, value


def number(text: str, option: str) -> float:
    """A finite number of an option."""
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{option}: {text!r} is not a number") from None
    if not math.isfinite(value):
        raise InputError(f"{option}: {text!r} is not a finite number")
    return int(value) if value.is_integer() else value


def failed(lines: Sequence[str]) -> int:
    """Say what does not meet its limit; give the exit code."""
    for line in lines:
        say(f"not met: {line}")
    return UNMET if lines else DONE


def say(line: str) -> None:
    """A line for people."""
    print(f"tabsynth: {line}", file=sys.stderr, flush=True)


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print each warning as a line for people, once."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_place, **_more: say(str(message))
        yield


def stages() -> Callable[[str, float], None] | None:
    """What says how far an evaluation is; None where nobody watches."""
    return (lambda stage, share: say(f"{stage} ({share:.0%})")) if sys.stderr.isatty() else None


def show(data: Any, text: str, *, force_json: bool = False) -> int:
    """The result: text on a terminal, JSON elsewhere."""
    person = sys.stdout.isatty() and not force_json
    print(text if person else json.dumps(data, indent=2, allow_nan=False), flush=True)
    return DONE
