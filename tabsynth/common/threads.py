"""Run numeric code in one thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

Args = ParamSpec("Args")
Result = TypeVar("Result")


def single_threaded(function: Callable[Args, Result]) -> Callable[Args, Result]:
    """Limit OpenMP and BLAS to one thread while a function runs.

    Boosted trees on some thousand rows enter and leave a parallel region every few microseconds, and OpenMP's threads
    wait for each other by spinning. Where another process has a core, each wait lasts as long as that process's time
    slice: the work then takes several times the CPU seconds, and longer than in one thread.
    """

    @wraps(function)
    def limited(*args: Args.args, **kwargs: Args.kwargs) -> Result:
        with threadpool_limits(limits=1):
            return function(*args, **kwargs)

    return limited
