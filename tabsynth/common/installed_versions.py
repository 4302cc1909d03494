"""Versions of the installed packages that a result depends on."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from tabsynth import __version__


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of tabsynth and of those of the packages that are installed."""
    out = {"tabsynth": __version__}
    for package in packages:
        with suppress(PackageNotFoundError):
            out[package] = version(package)
    return out
