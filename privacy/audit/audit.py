"""Audit of a synthetic table from any source: attacks, verdict and evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Integers
from tabsynth.common.binomial import clopper_pearson
from tabsynth.common.validation import check_callables, checked_arguments, validate_seed
from tabsynth.data.table import Table
from tabsynth.errors import DataError, quote
from tabsynth.evaluation.inputs import Inputs, check_inputs, collect_provenance
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.encoded_table import EncodedTable, encode_tables
from tabsynth.privacy.attacks.attack_result import AttackResult, bonferroni
from tabsynth.privacy.attacks.copies import hash_rows
from tabsynth.privacy.attacks.holdout_overlap import check_overlap
from tabsynth.privacy.attacks.rate_tests import VIOLATION_LEVEL, holm_correction, share_level
from tabsynth.privacy.attacks.run_all import STAGES, AttackResults, run_attacks
from tabsynth.privacy.attacks.shadow_models import N_RECORDS, N_SHADOW_MODELS, Fit, attack_with_shadow_models
from tabsynth.privacy.audit.evidence import ISOLATED_QUANTILE, collect_details, compute_power, rank_records
from tabsynth.privacy.audit.histories import audit_rows, table_fingerprints
from tabsynth.privacy.audit.one_run import measure_epsilon
from tabsynth.privacy.audit.persons import select_records
from tabsynth.privacy.audit.planted_leaks import describe_planted, find_planted, is_powered
from tabsynth.privacy.audit.regulator_questions import answer_questions
from tabsynth.privacy.audit.report import AuditReport
from tabsynth.privacy.audit.stage_progress import StageProgress
from tabsynth.privacy.audit.verdict import judge_attacks, judge_claim
from tabsynth.privacy.budget import Privacy
from tabsynth.schema.columns import Identifier, Text
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema

MAX_P_REVERSED = 1e-3
"""Significance level of the check that train and holdout are not exchanged."""

MIN_HOLDOUT_ROWS = 6
"""Minimum number of held-out rows."""


Data = pd.DataFrame | Table | str | Path | Mapping[str, pd.DataFrame]
"""One table, or linked tables by name."""


@checked_arguments
def audit(
    train: Data,
    synthetic: Data,
    holdout: Data | None = None,
    *,
    schema: Schema | DatabaseSchema | None = None,
    privacy: Privacy | None = None,
    fit: Fit | None = None,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
) -> AuditReport:
    """Attack a synthetic table and report what it reveals about its training rows.

    Every attack is compared with the same attack on control rows, which were not used for training. The verdict is
    based on tests with a family-wise error rate of 1 %.

    Args:
        train: The training rows of the model: a frame, a Table or a path. A mapping of frames by name is a set of
            linked tables; each root row with all rows below it is a record.
        synthetic: The synthetic rows, with the same columns.
        holdout: A random sample of real rows of the same population that were not used for training. Without them there
            is no verdict.
        schema: The schema, for linked tables a ``DatabaseSchema``. Columns with the role ``sensitive`` are the secrets
            that an intruder infers (default: every column in turn). Columns with the role ``quasi_identifier`` are used
            together for k-map counts. With a column of role ``person``, one random row of each person is attacked.
        privacy: The claimed guarantee, with which the measured epsilon is compared.
        fit: The fitting procedure, ``fit(frame, seed) -> synthetic frame``. It enables a shadow-model attack on the ten
            most exposed records, and is called 24 times.
        seed: Random seed.
        progress: Called with the stage and the share of completed work, from 0 to 1; default: a bar on a terminal.

    Returns:
        The report: ``.verdict``, ``.scores``, ``.save("audit.html")``.

    Raises:
        SchemaError: Columns differ, or the schema does not fit ``train``.
        DataError: A table is empty or has values of another type, or held-out rows are training rows.

    Example:
        >>> import numpy as np, pandas as pd
        >>> from tabsynth.schema.schema import Schema
        >>> rows = pd.DataFrame(np.random.default_rng(0).normal(size=(900, 3)), columns=list("abc"))
        >>> schema = Schema.from_dict({"columns": {name: {"kind": "numeric"} for name in "abc"}})
        >>> audit(rows[:300], rows[:300], rows[300:600], schema=schema).verdict
        'VIOLATION'
        >>> audit(rows[:300], rows[600:], rows[300:600], schema=schema).verdict
        'INCONCLUSIVE'
    """
    check_callables(progress=progress, fit=fit)
    seed = validate_seed(seed)
    if privacy is not None and not isinstance(privacy, Privacy):
        raise DataError(f"privacy must be a Privacy(epsilon, delta, unit), not {type(privacy).__name__}")
    inputs, notes = _read_inputs(train, synthetic, holdout, schema, fit)
    notes += _list_exclusions(inputs)
    provenance = collect_provenance(inputs, seed) | table_fingerprints(train, synthetic, holdout)
    if inputs.holdout is not None:
        rows, held = select_records(inputs, seed, notes)
        if len(held) < MIN_HOLDOUT_ROWS:
            what = "rows" if len(held) == len(inputs.holdout) else "persons"
            raise DataError(
                f"the holdout has {len(held)} {what}; an audit needs at least {MIN_HOLDOUT_ROWS}, and about "
                f"{100 * MIN_HOLDOUT_ROWS:,} to detect leaks; hold out more {what}"
            )
        shared = check_overlap(inputs.train, inputs.holdout)
        if shared:
            notes.append(f"{shared:,} held-out rows equal a training row, about as many as expected by chance.")
    encoded = encode_tables([frame for _, frame in inputs.named()], inputs.schema)
    if inputs.holdout is None:
        return _audit_without_holdout(encoded[0], encoded[1], privacy, provenance, notes)
    encoded = [encoded[0].take(rows), encoded[1], encoded[2].take(held)]
    with StageProgress(
        progress, [*STAGES, *(["shadow models"] * N_SHADOW_MODELS if fit is not None else [])]
    ) as on_stage:
        attack_results = run_attacks(
            encoded[0],
            encoded[1],
            encoded[2],
            _select_secrets(inputs, notes),
            _select_groups(inputs, encoded[0]),
            seed,
            on_stage.stage,
        )
        tests, shadows = list(attack_results.tests), {}
        if fit is not None:
            exposed = [int(rows[record["row"]]) for record in rank_records(attack_results)[:N_RECORDS]]
            on_fit = partial(on_stage.stage, "shadow models")
            shadow_tests, found = attack_with_shadow_models(fit, inputs.train, inputs.schema, exposed, seed, on_fit)
            tests, shadows = [*tests, *shadow_tests], {"shadows": found}
    _check_direction(tests)
    return _report(attack_results, tests, rows, inputs, privacy, provenance, notes, shadows, seed)


def _report(
    results: AttackResults,
    tests: list[AttackResult],
    rows: Integers,
    inputs: Inputs,
    privacy: Privacy | None,
    provenance: dict[str, Any],
    notes: list[str],
    shadows: dict[str, Any],
    seed: int,
) -> AuditReport:
    """Correct the p-values for multiple testing, derive the verdict, and return the report."""
    names = [item.name for item in tests]
    shares = share_level(names)
    corrected_p = holm_correction([1.0 if item.p is None else item.p for item in tests], list(shares.values()))
    order = np.argsort(corrected_p, kind="stable")
    significant = [tests[i] for i in order if corrected_p[i] <= VIOLATION_LEVEL]
    scores = {score.name: score for score in [*(item.score() for item in tests), *results.smoke]}
    planted = find_planted(results, {name: VIOLATION_LEVEL * share for name, share in shares.items()}, seed)
    if privacy is None:
        claim = None
        titles = [item.summary for item in significant]
        verdict, text = judge_attacks(titles, is_powered(planted), describe_planted(planted))
    else:
        measured = measure_epsilon(results, privacy)
        claim = {**measured.to_dict(), "unit": privacy.unit}
        verdict, text = judge_claim(measured, [item.summary for item in significant])
        text += f" {describe_planted(planted)}" if verdict != "VIOLATION" else ""
    ranked = [{**record, "row": int(rows[record["row"]])} for record in rank_records(results)]
    isolated = 100 * ISOLATED_QUANTILE
    copies = sum(record["exact_copy"] and record["isolation_percentile"] >= isolated for record in ranked)
    if copies:
        notes.append(
            f"{copies:,} isolated training records occur exactly in the synthetic table; the internal file lists them."
        )
    significant_names = [item.name for item in significant]
    power = compute_power(results, names) | shadows | {"planted": planted}
    return AuditReport(
        verdict=verdict,
        text=text,
        scores=scores,
        tests=[{**item.to_dict(), "p_corrected": float(p)} for item, p in zip(tests, corrected_p, strict=True)],
        significant=significant_names,
        claim=claim,
        questions=answer_questions(scores, claim, significant_names, provenance, VIOLATION_LEVEL, len(tests), True),
        details=collect_details(results, inputs, power),
        notes=notes,
        provenance=provenance,
        worst=ranked,
    )


def _read_inputs(
    train: Data, synthetic: Data, holdout: Data | None, schema: Schema | DatabaseSchema | None, fit: Fit | None
) -> tuple[Inputs, list[str]]:
    """Validate one table, or the histories of linked tables, and return them with notes for the report."""
    if isinstance(train, Mapping):
        if fit is not None:
            raise DataError("fit= is for one table; leave it out in an audit of linked tables")
        rows, synthetic_rows, holdout_rows, columns = audit_rows(train, synthetic, holdout, schema)
        note = "A record is a row of the root table with a summary of all rows below it."
        return check_inputs(rows, synthetic_rows, holdout_rows, None, columns), [note]
    if isinstance(synthetic, Mapping) or isinstance(holdout, Mapping) or isinstance(schema, DatabaseSchema):
        raise DataError("train is one table; give linked tables as mappings of frames by name, for every argument")
    return check_inputs(train, synthetic, holdout, None, schema), []


def _audit_without_holdout(
    train: EncodedTable,
    synthetic: EncodedTable,
    privacy: Privacy | None,
    provenance: dict[str, Any],
    notes: list[str],
) -> AuditReport:
    """Return a report without controls: the share of exact copies only."""
    copied = np.isin(hash_rows(train), np.unique(hash_rows(synthetic)))
    low, high = clopper_pearson(int(copied.sum()), len(copied))
    score = Score(
        name="copies_exact",
        title="Exact copies",
        value=100 * float(copied.mean()),
        interval=(100 * low, 100 * high),
        better="lower",
        unit="%",
        description="Share of training records that occur in the synthetic table; the chance level is not known.",
        method=f"{int(copied.sum()):,} of {len(copied):,} training records; Clopper-Pearson interval.",
    )
    claim = None
    if privacy is not None:
        claim = {"epsilon": privacy.epsilon, "delta": privacy.resolved_delta, "unit": privacy.unit}
    notes.append("All attacks need a holdout: real rows that were not used for training.")
    return AuditReport(
        verdict=None,
        text="Without held-out rows, leaks cannot be distinguished from patterns of the population.",
        scores={score.name: score},
        claim=claim,
        questions=answer_questions({score.name: score}, claim, [], provenance, VIOLATION_LEVEL, 0, False),
        notes=notes,
        provenance=provenance,
    )


def _check_direction(tests: list[AttackResult]) -> None:
    """Reject tables whose controls are recognised more than their members: train and holdout are exchanged."""
    if bonferroni([item.p_reverse for item in tests]) <= MAX_P_REVERSED:
        worst = min(tests, key=lambda item: item.p_reverse)
        raise DataError(
            f"the held-out rows are recognised in the synthetic table more than the training rows ({worst.title}): the "
            "model was trained on the holdout, or train and holdout are exchanged; pass its training rows as train"
        )


def _select_secrets(inputs: Inputs, notes: list[str]) -> list[str]:
    """Return the columns that an intruder infers."""
    attackable = [name for name, column in inputs.schema.items() if not isinstance(column, (Identifier, Text))]
    declared = [name for name in inputs.schema.with_role("sensitive") if name in attackable]
    if not declared:
        notes.append("No column has the role 'sensitive': every column is attacked as a secret in turn.")
    return declared or attackable


def _select_groups(inputs: Inputs, train: EncodedTable) -> list[str]:
    """Return the columns that define subgroups: those with a role, or the first ones with few categories."""
    encoding = train.encoding
    small = [
        n
        for n, size, number in zip(encoding.names, encoding.sizes, encoding.continuous, strict=True)
        if not number and size <= 12
    ]
    roles = [name for role in ("sensitive", "target", "quasi_identifier") for name in inputs.schema.with_role(role)]
    return [name for name in roles if name in encoding.names][:5] or small[:5]


def _list_exclusions(inputs: Inputs) -> list[str]:
    skipped = [name for name, column in inputs.schema.items() if isinstance(column, (Identifier, Text))]
    notes = [f"Identifiers and free text are not attacked: {quote(skipped)}."] if skipped else []
    if not inputs.schema.with_role("quasi_identifier"):
        notes.append("No column has the role 'quasi_identifier': k-map counts are not computed.")
    return notes
