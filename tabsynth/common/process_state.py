"""State of the whole process that other packages need changed for a while: changed once for all threads, then restored.

If each of several threads saved and restored such state by itself, they would restore it out of order: the last one
would put back what the first had changed. Here the first thread that needs a change makes it, and the last undoes it.
"""

from __future__ import annotations

import contextlib
import csv
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TextIO

Undo = Callable[[], Any]


class SharedChange:
    """A change of the process's state that all threads share.

    Args:
        change: Makes the change and returns the function that undoes it.
    """

    def __init__(self, change: Callable[[], Undo]) -> None:
        self._change, self._lock, self._users = change, threading.Lock(), 0
        self._undo: Undo | None = None

    @contextmanager
    def made(self) -> Iterator[None]:
        """Keep the change while the block runs."""
        with self._lock:
            if not self._users:
                self._undo = self._change()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users and self._undo is not None:
                    undo, self._undo = self._undo, None
                    undo()


@cache
def ignored_warnings(*, message: str = "", module: str = "") -> SharedChange:
    """Return the change that ignores the warnings whose text, or the name of whose module, matches an expression."""

    def change() -> Undo:
        # One entry, which alone is removed again: warnings.catch_warnings would undo the filters of other threads too.
        entry: Any = (
            "ignore",
            re.compile(message, re.IGNORECASE) if message else None,
            Warning,
            re.compile(module) if module else None,
            0,
        )
        filters: Any = warnings.filters
        filters.insert(0, entry)

        def undo() -> None:
            current: Any = warnings.filters  # another list, if other code has changed the filters meanwhile
            for kept in (current, filters):
                with contextlib.suppress(ValueError):
                    kept.remove(entry)

        return undo

    return SharedChange(change)


def packages_warnings() -> SharedChange:
    """Return the change that ignores the warnings of the packages behind adapters and of those that they call."""
    return ignored_warnings(
        module=r"(ctgan|copulas|deepecho|joblib|numpy|pandas|rdt|scipy|sdmetrics|sdv|sklearn|torch)(\.|$)"
        r"|tabsynth\.(synthesizers\.adapters\.|evaluation\.sdmetrics_adapter$)"
    )


@cache
def quiet_logger(name: str) -> SharedChange:
    """Return the change that keeps a logger of another package, and those below it, silent."""

    def change() -> Undo:
        logger = logging.getLogger(name)
        before = logger.level
        logger.setLevel(logging.CRITICAL + 1)
        return lambda: logger.setLevel(before)

    return SharedChange(change)


@cache
def environment(*settings: tuple[str, str], replace: bool = True) -> SharedChange:
    """Return the change that sets variables of the environment, those that are set already only with ``replace``."""

    def change() -> Undo:
        before = {name: os.environ.get(name) for name, _ in settings}
        os.environ.update({name: value for name, value in settings if replace or before[name] is None})

        def undo() -> None:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

        return undo

    return SharedChange(change)


def _allow_large_fields() -> Undo:
    before = csv.field_size_limit(1 << 30)
    return lambda: csv.field_size_limit(before)


large_csv_fields = SharedChange(_allow_large_fields)
"""Python's ``csv`` reads fields of up to 1 GB."""


_silent_threads: set[int] = set()


class _WithoutSilentThreads:
    """A text stream that silent threads write to without effect."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() in _silent_threads else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _replace_stdout() -> Undo:
    before = sys.stdout
    sys.stdout = _WithoutSilentThreads(before)
    return lambda: setattr(sys, "stdout", before)


_stdout_replaced = SharedChange(_replace_stdout)


@contextmanager
def discarded_prints() -> Iterator[None]:
    """Discard what this thread prints on standard output; other threads print as before."""
    thread = threading.get_ident()
    nested = thread in _silent_threads
    with _stdout_replaced.made():
        _silent_threads.add(thread)
        try:
            yield
        finally:
            if not nested:
                _silent_threads.discard(thread)
