"""Every error that tabsynth raises on purpose.

::

    TabsynthError
    ├── InputError (ValueError)            what the caller gave cannot be used
    │   ├── SchemaError                    a schema is malformed, or does not fit the table
    │   ├── DataError                      a table's content cannot be used
    │   ├── SourceError                    a file cannot be read or written
    │   └── ConditionError                 a condition of ``sample(given=...)`` cannot be met
    ├── ModelFileError                     a model file or checkpoint is damaged, foreign or of a later version
    ├── NotFittedError (sklearn's)         ``sample`` and friends before ``fit``
    ├── MissingDependencyError (ImportError)  an optional package is not installed
    ├── PrivacyError                       a promise of privacy could not be kept, so nothing was done
    └── TrainingError                      a fit did not come to an end (for example a loss that is not a number)

A message names the culprit (column, value, file) and the remedy.
"""

from __future__ import annotations

from collections.abc import Iterable

from sklearn.exceptions import NotFittedError as _SklearnNotFittedError


class TabsynthError(Exception):
    """Base of every error that tabsynth raises on purpose."""


class InputError(TabsynthError, ValueError):
    """What the caller gave cannot be used."""


class SchemaError(InputError):
    """A schema is malformed, or does not fit the table."""


class DataError(InputError):
    """A table's content cannot be used."""


class SourceError(InputError):
    """A file cannot be read or written."""


class ConditionError(InputError):
    """A condition given to ``sample`` or ``impute`` cannot be met."""


class ModelFileError(TabsynthError):
    """A model file or checkpoint is damaged, foreign or of a later version."""


class NotFittedError(TabsynthError, _SklearnNotFittedError):  # type: ignore[misc]
    """The model has not been fitted."""


class MissingDependencyError(TabsynthError, ImportError):
    """An optional package is not installed."""


class PrivacyError(TabsynthError):
    """A promise of privacy could not be kept, so nothing was done."""


class TrainingError(TabsynthError):
    """A fit did not come to an end."""


def quote(names: Iterable[object], max_shown: int = 5) -> str:
    """Names or values for a message: quoted, at most ``max_shown`` of them, then a count.

    Example:
        >>> quote(["age", "sex", "bmi"], max_shown=2)
        "'age', 'sex' and 1 more"
    """
    # A numpy scalar is shown as the plain value that it holds.
    every = [repr(name.item() if hasattr(name, "item") else name) for name in names]
    shown = ", ".join(every[:max_shown])
    return shown if len(every) <= max_shown else f"{shown} and {len(every) - max_shown} more"
