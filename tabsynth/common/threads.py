"""Run numeric code in one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

from tabsynth.common.process_state import SharedChange, Undo

Args = ParamSpec("Args")
Result = TypeVar("Result")


def _limit_blas() -> Undo:
    limits = threadpool_limits(limits=1, user_api="blas")
    return lambda: limits.restore_original_limits()


_one_blas_thread = SharedChange(_limit_blas)
"""BLAS has one number of threads for the process, OpenMP one for each thread that calls it."""


@contextmanager
def limited_threads() -> Iterator[None]:
    """Limit OpenMP and BLAS to one thread while the block runs."""
    with _one_blas_thread.made(), threadpool_limits(limits=1, user_api="openmp"):
        yield


def single_threaded(function: Callable[Args, Result]) -> Callable[Args, Result]:
    """Limit OpenMP and BLAS to one thread while a function runs.

    Boosted trees on some thousand rows enter and leave a parallel region every few microseconds, and OpenMP's threads
    wait for each other by spinning. Where another process has a core, each wait lasts as long as that process's time
    slice: the work then takes several times the CPU seconds, and longer than in one thread.
    """

    @wraps(function)
    def limited(*args: Args.args, **kwargs: Args.kwargs) -> Result:
        with limited_threads():
            return function(*args, **kwargs)

    return limited
