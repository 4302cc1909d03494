"""Versions of the installed packages that a result depends on."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from tabsynth import __version__


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of tabsynth and of those of the packages that are installed."""
    out = {"tabsynth": __version__}
    for package in packages:
        with suppress(PackageNotFoundError):
            out[package] = installed_version(package)
    return out


@cache
def installed_version(package: str) -> str:
    """Return the version of a package; it is read once, as reading the metadata takes 10 ms.

    Raises:
        PackageNotFoundError: It is not installed.
    """
    return version(package)
