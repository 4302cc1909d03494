"""The software that created a release: tabsynth and every package that it needs, as a CycloneDX bill of materials."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from tabsynth import __version__
from tabsynth.release.about import About

ROOTS = (
    "cryptography", "dp-accounting", "jinja2", "lightgbm", "numpy", "opacus", "openpyxl", "pandas", "pyarrow", "pyyaml",
    "safetensors", "scikit-learn", "scipy", "threadpoolctl", "torch", "tqdm",
)  # fmt: skip
"""Packages that tabsynth imports."""


def bill_of_materials(about: About) -> dict[str, Any]:
    """Return the names and versions of the installed packages, those that others need included."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": f"{about.date.isoformat()}T00:00:00Z",
            "component": {"type": "application", "name": "tabsynth", "version": __version__},
        },
        "components": [
            {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name}@{version}"}
            for name, version in _installed_packages()
        ],
    }


@cache
def _installed_packages() -> list[tuple[str, str]]:
    """Return names and versions in order; reading the metadata of all packages takes a second."""
    found: dict[str, str] = {}
    waiting = list(ROOTS)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = package.version
        for need in package.requires or ():
            if "extra ==" not in need:
                waiting += re.findall(r"^[A-Za-z0-9._-]+", need)
    return sorted(found.items())
