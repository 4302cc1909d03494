"""Evaluate a synthetic database: tables, links, sequences, keys and rules, with floors from halves of the root rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.common.installed_versions import installed_versions
from tabsynth.common.threads import single_threaded
from tabsynth.common.validation import validate_seed
from tabsynth.data.database.root_rows import root_table, take_roots
from tabsynth.errors import DataError
from tabsynth.evaluation.inputs import PACKAGES, describe_frame
from tabsynth.evaluation.relational.database_report import DatabaseReport
from tabsynth.evaluation.relational.database_scores import (
    detection_score,
    error_scores,
    rule_score,
    violation_score,
)
from tabsynth.evaluation.relational.database_specs import METRICS, RULE
from tabsynth.evaluation.relational.detection import detect
from tabsynth.evaluation.relational.encoded_database import EncodedDatabase, encode_databases, scored_schema
from tabsynth.evaluation.relational.errors_of_links import link_name
from tabsynth.evaluation.relational.errors_of_sequences import equal_share, sibling_times
from tabsynth.evaluation.relational.keys_and_rules import key_faults, rule_violations
from tabsynth.evaluation.relational.siblings import count_children
from tabsynth.evaluation.rendering.histograms import distributions
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.sdmetrics_adapter import database_scores, is_installed
from tabsynth.schema.database.database_schema import DatabaseSchema

MIN_ROOTS = 20
MAX_ROWS = 1_000_000
"""Maximum rows of all tables of a database; of larger ones root rows are sampled."""

Tables = Mapping[str, pd.DataFrame]


@single_threaded
def evaluate_database(
    train: Tables,
    synthetic: Tables,
    holdout: Tables | None = None,
    *,
    schema: DatabaseSchema | None = None,
    seed: int = 0,
    quick: bool = False,
    sdmetrics: bool | None = None,
    card: Mapping[str, Any] | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> DatabaseReport:
    """Measure how closely a synthetic database follows the real one, per table, link and sequence.

    Floors are the scores of real data instead of synthetic ones: the mean error between random halves of the root rows
    with all rows below them, or between ``train`` and ``holdout``, scaled to the numbers of root rows. Privacy is not
    measured; use an audit.

    Args:
        train: The training tables by name.
        synthetic: The synthetic tables.
        holdout: Real tables of other root rows, for the floors.
        schema: Tables, keys and links; default: inferred from ``train``.
        seed: Random seed.
        quick: Omit detection by classifiers.
        sdmetrics: Whether to add the multi-table reports of SDMetrics; default: if the package is installed.
        card: Facts about the model to store in the report.
        progress: Called with the stage and the share of completed work, from 0 to 1.

    Returns:
        The report: ``.scores``, ``.save("report.html")``.

    Raises:
        InputError: A table is missing, or does not fit its schema.
        MissingDependencyError: ``sdmetrics=True`` without the package.

    Example:
        >>> import pandas as pd
        >>> people = pd.DataFrame({"id": range(60), "sex": ["f", "m"] * 30})
        >>> visits = pd.DataFrame({"person_id": sorted([*range(60)] * 3), "ward": ["a", "b", "c"] * 60})
        >>> tables = {"person": people, "visits": visits}
        >>> evaluate_database(tables, tables, quick=True).scores["visits.person_id.cardinality_error"].value
        0.0
    """
    seed = validate_seed(seed)
    schema = DatabaseSchema.infer(train) if schema is None else schema
    report_stage = progress or (lambda stage, share: None)
    notes = ["Privacy is not measured: audit the database, with a root row and all rows below it as a record."]
    report_stage("tables and links", 0.0)
    given = [train, synthetic, *([] if holdout is None else [holdout])]
    sides, sampling_notes = _sample_roots(given, schema, seed)
    notes += sampling_notes
    titles = ("real", "synthetic", "held-out")[: len(sides)]
    encoded = encode_databases(sides, titles, schema)
    real, other = encoded[:2]
    if len(sides[0][root_table(schema)]) < MIN_ROOTS:
        raise DataError(f"the root table {root_table(schema)!r} has fewer than {MIN_ROOTS} rows; pass more rows")
    scores = error_scores(real, other, encoded[2] if holdout is not None else None, seed)
    report_stage("keys and rules", 0.3)
    pair = (real, other)
    scores += [violation_score(key, faults) for key, faults in key_faults(sides[0], sides[1], pair).items()]
    scores += [rule_score(key, faults) for key, faults in rule_violations(sides[0], sides[1], pair).items()]
    if quick:
        notes.append("Quick evaluation: detection by classifiers and the reports of SDMetrics are left out.")
    else:
        report_stage("detection", 0.4)
        detections = detect(real, other, np.random.default_rng([seed, 1]))
        scores += [detection_score(key, detection) for key, detection in detections.items()]
    if sdmetrics or (sdmetrics is None and is_installed() and not quick):
        report_stage("sdmetrics", 0.9)
        more_scores, more_notes = database_scores(sides[0], sides[1], schema)
        scores, notes = scores + more_scores, notes + more_notes
    elif sdmetrics is None and not quick:
        notes.append("The scores of SDMetrics are left out: the package sdmetrics is not installed.")
    report_stage("done", 1.0)
    return DatabaseReport(
        scores={score.name: score for score in sorted(scores, key=lambda score: _position(score, schema))},
        tables=[_describe_table(name, real, other) for name in schema.sorted_tables],
        links=_describe_links(real, other),
        distributions={
            name: distributions(real.tables[name], other.tables[name], scored_schema(schema, name))
            for name in schema.sorted_tables
            if name not in schema.reference and len(real.tables[name]) and len(other.tables[name])
        },
        notes=notes,
        provenance={
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "seed": seed,
            "tables": {
                title: {name: describe_frame(side[name]) for name in schema.tables}
                for title, side in zip(titles, given, strict=True)
            },
            "packages": installed_versions(PACKAGES),
            "card": None if card is None else dict(card),
        },
    )


def _sample_roots(sides: Sequence[Tables], schema: DatabaseSchema, seed: int) -> tuple[list[Tables], list[str]]:
    """Sample the same share of root rows of each database, so that none has more than ``MAX_ROWS`` rows."""
    rows = max(sum(len(side[name]) for name in schema.tables if name in side) for side in sides)
    if rows <= MAX_ROWS:
        return list(sides), []
    rng, share = np.random.default_rng([seed, 2]), MAX_ROWS / rows
    root = root_table(schema)
    out = [take_roots(side, schema, rng.random(len(side[root])) < share) for side in sides]
    return list(out), [f"A random {share:.1%} of the rows of {root} are evaluated, with all rows below them."]


def _position(score: Score, schema: DatabaseSchema) -> tuple[int, int, str]:
    """Return the position of a score in the report: by table, then by score."""
    if score.name.startswith("sdmetrics_"):
        return len(schema.tables), 0, ""
    subject, _, metric = score.name.partition(f".{RULE}")[0], "", score.name.rpartition(".")[2]
    table = max((n for n in schema.tables if subject == n or subject.startswith(f"{n}.")), key=len)
    place = list(METRICS).index(metric) if metric in METRICS and RULE not in score.name else len(METRICS)
    return schema.sorted_tables.index(table), place, score.name


def _describe_table(name: str, real: EncodedDatabase, other: EncodedDatabase) -> dict[str, Any]:
    schema = real.schema
    key = schema.main_key(name)
    out: dict[str, Any] = {
        "name": name,
        "rows": [len(real.tables[name]), len(other.tables[name])],
        "columns": len(schema.tables[name]),
        "key": schema.primary_keys.get(name) or ", ".join(schema.composite_keys.get(name, ())) or None,
        "order": schema.order.get(name),
        "reference": name in schema.reference,
    }
    if name in schema.order and key is not None:
        out["equal_times"] = [100 * equal_share(sibling_times(side, name)) for side in (real, other)]
    return out


def _describe_links(real: EncodedDatabase, other: EncodedDatabase) -> list[dict[str, Any]]:
    out = []
    for key in real.schema.foreign_keys:
        counts = [count_children(side, key) for side in (real, other)]
        out.append(
            {
                "name": link_name(key),
                "child": key.table,
                "column": key.column,
                "parent": key.parent,
                "main": key == real.schema.main_key(key.table),
                "mean": [float(count.mean()) if len(count) else 0.0 for count in counts],
                "childless": [100 * float((count == 0).mean()) if len(count) else 0.0 for count in counts],
                "most": [int(count.max(initial=0)) for count in counts],
            }
        )
    return out
