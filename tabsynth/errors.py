"""The exceptions of tabsynth, its warnings, and the values in their messages.

::

    TabsynthError
    ├── InputError (ValueError)            an argument or input is invalid
    │   ├── SchemaError                    a schema is malformed, or does not fit the table
    │   ├── DataError                      a table's content is invalid
    │   ├── SourceError                    a file cannot be read or written
    │   ├── ConditionError                 a condition of ``sample(given=...)`` cannot be satisfied
    │   └── ArgumentError (TypeError)      a function or a constructor has no such argument
    ├── ModelFileError                     a model file or checkpoint is damaged, invalid or of a later version
    ├── BusyError                      another process is at work in the same place; it can be tried again
    ├── NotFittedError (sklearn's)         a method that needs a fitted model was called before ``fit``
    ├── MissingDependencyError (ImportError)  an optional package is not installed
    ├── PrivacyError                       a privacy guarantee could not be kept; nothing was done
    └── TrainingError                      a fit failed (for example a loss that is not finite)

A message names the column, value or file that is wrong, and the remedy.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn.exceptions import NotFittedError as _SklearnNotFittedError

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that control a terminal or the direction of text, and halves of surrogates; not tabs and line ends."""
MAX_MESSAGE, MAX_VALUE = 4000, 100
"""Characters of a message, and of each value in it."""


class TabsynthError(Exception):
    """Base class of all exceptions of tabsynth."""

    def __str__(self) -> str:
        return escape_controls(shorten(super().__str__(), MAX_MESSAGE))


class InputError(TabsynthError, ValueError):
    """An argument or input is invalid."""


class SchemaError(InputError):
    """A schema is malformed, or does not fit the table."""


class DataError(InputError):
    """A table's content is invalid."""


class SourceError(InputError):
    """A file cannot be read or written."""


class ConditionError(InputError):
    """A condition of ``sample`` or ``impute`` cannot be satisfied."""


class ArgumentError(InputError, TypeError):
    """A function or a constructor has no such argument."""


class ModelFileError(TabsynthError):
    """A model file or checkpoint is damaged, is not from tabsynth, or is of a later version."""


class BusyError(TabsynthError):
    """Another process is at work in the same place; it can be tried again."""


if TYPE_CHECKING:

    class NotFittedError(TabsynthError, _SklearnNotFittedError):  # type: ignore[misc]
        """The model has not been fitted."""


def __getattr__(name: str) -> Any:
    """Define ``NotFittedError`` when it is first asked for: commands that fit nothing need not import scikit-learn."""
    if name != "NotFittedError":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sklearn.exceptions import NotFittedError as SklearnNotFittedError

    facts = {"__module__": __name__, "__doc__": "The model has not been fitted."}
    return globals().setdefault(name, type(name, (TabsynthError, SklearnNotFittedError), facts))


class MissingDependencyError(TabsynthError, ImportError):
    """An optional package is not installed."""


def missing_package(purpose: str, package: str, extra: str | None = None) -> MissingDependencyError:
    """Return the error for a package that is not installed, with the command that installs it.

    An extra is installed from a clone: on a package index, the name ``tabsynth`` belongs to another project.
    """
    command = f"pip install '.[{extra}]' in the clone of tabsynth" if extra else f"pip install {package}"
    return MissingDependencyError(f"{purpose} needs the package {package}: run {command}")


class PrivacyError(TabsynthError):
    """A privacy guarantee could not be kept; nothing was done."""


class TrainingError(TabsynthError):
    """A fit failed."""


def warn_caller(message: str) -> None:
    """Issue a ``UserWarning`` at the line that called tabsynth, which is the one that the reader can change."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "tabsynth":
        frame, level = frame.f_back, level + 1
    warnings.warn(escape_controls(shorten(message, MAX_MESSAGE)), UserWarning, stacklevel=level)


def quote(names: Iterable[object], max_shown: int = 5) -> str:
    """Quote names or values for a message: at most ``max_shown``, then a count.

    Example:
        >>> quote(["age", "sex", "bmi"], max_shown=2)
        "'age', 'sex' and 1 more"
    """
    # A numpy scalar is shown as the plain value that it contains.
    every = [shorten(repr(name.item() if hasattr(name, "item") else name), MAX_VALUE) for name in names]
    shown = ", ".join(every[:max_shown])
    return shown if len(every) <= max_shown else f"{shown} and {len(every) - max_shown} more"


def escape_controls(text: str) -> str:
    """Escape characters that control a terminal or the direction of text; line ends and tabs stay."""
    return CONTROLS.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return a hint at the known name that is closest to an unknown one, in any case; empty if none is close.

    Example:
        >>> did_you_mean("smaple", ["split", "sample"])
        " (did you mean 'sample'?)"
    """
    names = {str(other).casefold(): str(other) for other in known}
    close = get_close_matches(str(name).casefold(), list(names), n=1)
    return f" (did you mean {names[close[0]]!r}?)" if close else ""


def shorten(text: str, max_characters: int) -> str:
    """Replace the middle of a long text by the number of characters left out.

    Example:
        >>> shorten("0123456789" * 9, 40)
        '01234567890123456789 ... 60 characters ... 0123456789'
    """
    if len(text) <= max_characters:
        return text
    head, tail = max_characters // 2, max_characters // 4
    return f"{text[:head]} ... {len(text) - head - tail} characters ... {text[len(text) - tail :]}"
