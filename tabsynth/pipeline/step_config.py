"""Configuration of each step of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tabsynth.data.sql.read_write import Mode
from tabsynth.privacy.budget import Privacy

RELATIONAL = "relational"
"""The model of linked tables."""


@dataclass(frozen=True, kw_only=True)
class MixStep:
    """A plan that mixes several sources into the input; ``accept_changes`` takes inputs that changed since it."""

    plan: Path
    accept_changes: bool = False
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class ModelStep:
    """The synthesizer and its options; ``checkpoint`` None means one if the model supports it."""

    kind: str = "masked"
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    output: str = "model.tabsynth"
    checkpoint: bool | None = None
    privacy: Privacy | None = None


@dataclass(frozen=True, kw_only=True)
class SampleStep:
    """Number of rows, conditions and output; ``database`` is a URL to which the rows are copied, if any.

    ``separator`` is the field separator of a CSV file.

    Of linked tables ``rows`` are those of the root table, ``scale`` is the same as a multiple of the training rows,
    ``given`` has the conditions by table, and ``output`` is a folder whose files have the suffix ``format``.
    """

    rows: int | None = None
    scale: float | None = None
    format: str = "parquet"
    given: Mapping[str, Any] | None = None
    seed: int | None = None
    output: str = "synthetic.parquet"
    separator: str | None = None
    database: str | None = None
    mode: Mode = "replace"


@dataclass(frozen=True, kw_only=True)
class EvaluateStep:
    """Report files, limits of scores, and whether SDMetrics scores the rows (None: as in ``evaluate``)."""

    report: str = "report.html"
    json: str | None = "report.json"
    require: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None
    sdmetrics: bool | None = None


@dataclass(frozen=True, kw_only=True)
class SplitStep:
    """Files of the training and held-out rows."""

    train: str = "real-train.parquet"
    holdout: str = "real-holdout.parquet"


@dataclass(frozen=True, kw_only=True)
class AuditStep:
    """Audit files, the required verdict, and maxima of scores."""

    report: str = "audit.html"
    json: str | None = "audit.json"
    require: Mapping[str, str | float] = field(default_factory=dict)
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class ReleaseStep:
    """A signed release: its description, key, gates, waivers and recipients."""

    about: Mapping[str, Any]
    key: Path
    output: str = "release"
    gates: str | Path | Mapping[str, Any] = "default"
    waivers: tuple[Mapping[str, Any], ...] = ()
    ledger: Path | None = None
    recipients: tuple[str, ...] = ()
