"""Synthetic tables: merge sources, learn a table, sample synthetic rows, measure their quality and privacy.

Public names are imported on first use, so ``import tabsynth`` loads neither torch nor pandas.

Example:
    >>> import tabsynth
    >>> tabsynth.Schema.from_dict({"columns": {"age": {"kind": "numeric", "low": 0}}})["age"].low
    0
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tabsynth.data.read_write import read
    from tabsynth.data.table import Table
    from tabsynth.data.train_test_split import split
    from tabsynth.data.write_tables import write
    from tabsynth.errors import TabsynthError
    from tabsynth.evaluation.compare import compare
    from tabsynth.evaluation.evaluate import evaluate
    from tabsynth.evaluation.report import Report
    from tabsynth.evaluation.score import Score
    from tabsynth.mixing.matching.suggest import suggest
    from tabsynth.mixing.mix import mix
    from tabsynth.privacy.audit.audit import audit
    from tabsynth.privacy.budget import Privacy
    from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
    from tabsynth.schema.schema import Schema
    from tabsynth.synthesizers.adapters.ctgan import CTGANSynthesizer, TVAESynthesizer
    from tabsynth.synthesizers.adapters.sdv import CopulaGANSynthesizer, GaussianCopulaSynthesizer
    from tabsynth.synthesizers.gan import GANSynthesizer
    from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
    from tabsynth.synthesizers.masked import MaskedSynthesizer
    from tabsynth.synthesizers.registry import load, synthesize
    from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer
    from tabsynth.synthesizers.vae import VAESynthesizer

__version__ = "0.1.0"

_HOMES = {
    "CTGANSynthesizer": "tabsynth.synthesizers.adapters.ctgan",
    "CopulaGANSynthesizer": "tabsynth.synthesizers.adapters.sdv",
    "DatabaseSchema": "tabsynth.schema.database.database_schema",
    "ForeignKey": "tabsynth.schema.database.database_schema",
    "GANSynthesizer": "tabsynth.synthesizers.gan",
    "GaussianCopulaSynthesizer": "tabsynth.synthesizers.adapters.sdv",
    "MarginalSynthesizer": "tabsynth.synthesizers.marginal.synthesizer",
    "MaskedSynthesizer": "tabsynth.synthesizers.masked",
    "Privacy": "tabsynth.privacy.budget",
    "RelationalSynthesizer": "tabsynth.synthesizers.relational.synthesizer",
    "Report": "tabsynth.evaluation.report",
    "Schema": "tabsynth.schema.schema",
    "Score": "tabsynth.evaluation.score",
    "TVAESynthesizer": "tabsynth.synthesizers.adapters.ctgan",
    "Table": "tabsynth.data.table",
    "TabsynthError": "tabsynth.errors",
    "VAESynthesizer": "tabsynth.synthesizers.vae",
    "audit": "tabsynth.privacy.audit.audit",
    "compare": "tabsynth.evaluation.compare",
    "evaluate": "tabsynth.evaluation.evaluate",
    "load": "tabsynth.synthesizers.registry",
    "mix": "tabsynth.mixing.mix",
    "read": "tabsynth.data.read_write",
    "split": "tabsynth.data.train_test_split",
    "suggest": "tabsynth.mixing.matching.suggest",
    "synthesize": "tabsynth.synthesizers.registry",
    "tune": "tabsynth.tune",
    "write": "tabsynth.data.write_tables",
}
"""Public name to the module that defines it."""

__all__ = [
    "CTGANSynthesizer",
    "CopulaGANSynthesizer",
    "DatabaseSchema",
    "ForeignKey",
    "GANSynthesizer",
    "GaussianCopulaSynthesizer",
    "MarginalSynthesizer",
    "MaskedSynthesizer",
    "Privacy",
    "RelationalSynthesizer",
    "Report",
    "Schema",
    "Score",
    "TVAESynthesizer",
    "Table",
    "TabsynthError",
    "VAESynthesizer",
    "audit",
    "compare",
    "evaluate",
    "load",
    "mix",
    "read",
    "split",
    "suggest",
    "synthesize",
    "tune",
    "write",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(_HOMES[name])
    value = home if home.__name__ == f"{__name__}.{name}" else getattr(home, name)  # tune is a module to call
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
