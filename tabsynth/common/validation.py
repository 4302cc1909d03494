"""Validation of arguments: their names, seeds and integer options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any, ParamSpec, TypeVar

import numpy as np

from tabsynth.errors import ArgumentError, InputError, did_you_mean

Args = ParamSpec("Args")
Result = TypeVar("Result")
Class = TypeVar("Class")

MAX_SAMPLED_ROWS = 10**10
"""Maximum rows of one sample; numpy fails with an error of its own for more bytes than a machine can address."""


def checked_arguments(function: Callable[Args, Result]) -> Callable[Args, Result]:
    """Raise an ``ArgumentError`` where a call does not fit a function: a misspelt name gets a suggestion."""
    signature = inspect.signature(function)
    parameters = signature.parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return function
    known = [parameter.name for parameter in parameters if parameter.name != "self"]

    @wraps(function)
    def checked(*args: Args.args, **kwargs: Args.kwargs) -> Result:
        where = type(args[0]).__name__ if args and function.__name__ == "__init__" else function.__qualname__
        for name in kwargs:
            if name not in known:
                raise ArgumentError(
                    f"{where} has no argument {name!r}{did_you_mean(name, known)}; it has {', '.join(known)}"
                )
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{where}: {error}; its arguments are {', '.join(known)}") from error
        return function(*args, **kwargs)

    return checked


def checked_constructor(cls: type[Class]) -> type[Class]:
    """Decorate a dataclass so that its constructor raises an ``ArgumentError`` for arguments that it does not have."""
    setattr(cls, "__init__", checked_arguments(cls.__init__))  # noqa: B010
    return cls


class CheckedArguments:
    """Base of classes whose constructors and public methods suggest the name of a misspelt argument."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, method in list(vars(cls).items()):
            if isinstance(method, FunctionType) and (name == "__init__" or not name.startswith("_")):
                setattr(cls, name, checked_arguments(method))


def validate_seed(seed: int) -> int:
    """Return a seed as a Python integer.

    Raises:
        InputError: Not a whole number from 0 to 2**63 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise InputError(f"seed must be a whole number from 0 to 2**63 - 1, not {seed!r}")
    return int(seed)


def validate_rows(n: int) -> int:
    """Return a number of rows as a Python integer.

    Raises:
        InputError: ``n`` is not a whole number from 0 to ``MAX_SAMPLED_ROWS``.
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
        raise InputError(f"n must be a whole number of rows, not {n!r}")
    if n > MAX_SAMPLED_ROWS:
        raise InputError(f"n must be at most {MAX_SAMPLED_ROWS:,} rows")
    return int(n)


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
    check_required_integers(**{name: value for name, value in options.items() if value is not None})


def check_required_integers(**options: object) -> None:
    """Raise for an option that is not a whole number of at least 1.

    Raises:
        InputError: It is not; the message names it.
    """
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name} must be a whole number of at least 1, not {value!r}")
