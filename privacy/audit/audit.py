"""Audit of a synthetic table from any source: attacks, verdict and evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.common.binomial import clopper_pearson
from tabsynth.common.validation import check_callables, checked_arguments
from tabsynth.data.table import Table
from tabsynth.errors import DataError, quote
from tabsynth.evaluation.inputs import Inputs, check_inputs, collect_provenance
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.encoded_table import EncodedTable, encode_tables
from tabsynth.privacy.accounting.gaussian_dp import gdp_mu
from tabsynth.privacy.attacks.attack_result import Finding, bonferroni
from tabsynth.privacy.attacks.copies import hash_rows
from tabsynth.privacy.attacks.holdout_overlap import check_overlap
from tabsynth.privacy.attacks.rate_tests import LEVEL, VIOLATION_LEVEL, holm_correction, share_level
from tabsynth.privacy.attacks.run_all import STAGES, AttackResults, run_attacks
from tabsynth.privacy.attacks.shadow_models import N_RECORDS, N_SHADOW_MODELS, Fit, attack_with_shadow_models
from tabsynth.privacy.audit.evidence import collect_details, compute_power, rank_records
from tabsynth.privacy.audit.histories import audit_rows, table_fingerprints
from tabsynth.privacy.audit.one_run import (
    epsilon_from_guesses,
    epsilon_from_scores,
    max_epsilon_from_guesses,
    power_against,
)
from tabsynth.privacy.audit.planted_leaks import describe_planted, find_planted, is_powered
from tabsynth.privacy.audit.regulator_questions import answer_questions
from tabsynth.privacy.audit.report import AuditReport
from tabsynth.privacy.audit.stage_progress import StageProgress
from tabsynth.privacy.audit.verdict import Claim, judge_attacks, judge_claim
from tabsynth.privacy.budget import Privacy
from tabsynth.schema.columns import Identifier, Text
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema

MAX_P_REVERSED = 1e-3
"""Probability of refusing tables in which members and controls have the same distribution."""

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
    """Attack a synthetic table and report what it reveals of its training rows.

    Every attack is held against the same attack on rows that were not learned; the verdict counts only what chance
    explains with less than 1 % over all tests together.

    Args:
        train: The real rows that the model learned from: a frame, a Table or a path. Mappings of frames by name are
            linked tables, of which each root row with all rows below it is a record.
        synthetic: The synthetic rows, with the same columns.
        holdout: Real rows of the same population that it has not seen, drawn at random. Without them there is no
            verdict.
        schema: The schema, for linked tables a ``DatabaseSchema``. Columns with the role ``sensitive`` are the secrets
            that an intruder infers (none: every column), those with ``quasi_identifier`` are counted together.
        privacy: The claimed guarantee, with which the measured epsilon is compared.
        fit: The model at hand, ``fit(frame, seed) -> synthetic frame``: adds a shadow-model attack on the ten most
            exposed records. It is called 24 times.
        seed: Fixes every draw.
        progress: Called with the stage and the share done, from 0 to 1; default: a bar on a terminal.

    Returns:
        The report: ``.verdict``, ``.scores``, ``.save("audit.html")``.

    Raises:
        SchemaError: Columns differ, or the schema does not fit ``train``.
        DataError: A table is empty or holds values of another type, or held-out rows are training rows.

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
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise DataError(f"seed must be a whole number of at least 0, not {seed!r}")
    if privacy is not None and not isinstance(privacy, Privacy):
        raise DataError(f"privacy must be a Privacy(epsilon, delta, unit), not {type(privacy).__name__}")
    inputs, notes = _read_inputs(train, synthetic, holdout, schema, fit)
    notes += _list_exclusions(inputs)
    provenance = collect_provenance(inputs, seed) | table_fingerprints(train, synthetic, holdout)
    if inputs.holdout is not None:
        if len(inputs.holdout) < MIN_HOLDOUT_ROWS:
            raise DataError(
                f"the holdout has {len(inputs.holdout)} rows; an audit needs at least {MIN_HOLDOUT_ROWS}, and a "
                "hundred times as many to detect anything"
            )
        shared = check_overlap(inputs.train, inputs.holdout)
        if shared:
            notes.append(f"{shared:,} held-out rows equal a training row, about as many as chance brings.")
    coded = encode_tables([frame for _, frame in inputs.named()], inputs.schema)
    if inputs.holdout is None:
        return _audit_without_holdout(coded[0], coded[1], privacy, provenance, notes)
    with StageProgress(
        progress, [*STAGES, *(["shadow models"] * N_SHADOW_MODELS if fit is not None else [])]
    ) as on_stage:
        found = run_attacks(
            coded[0],
            coded[1],
            coded[2],
            _select_secrets(inputs, notes),
            _select_groups(inputs, coded[0]),
            seed,
            on_stage.stage,
        )
        findings = list(found.findings)
        if fit is not None:
            named = [record["row"] for record in rank_records(found)[:N_RECORDS]]
            step = partial(on_stage.stage, "shadow models")
            added, shadows = attack_with_shadow_models(fit, inputs.train, inputs.schema, named, seed, step)
            findings += added
    _check_direction(findings)
    names = [item.name for item in findings]
    shares = share_level(names)
    corrected = holm_correction([1.0 if item.p is None else item.p for item in findings], list(shares.values()))
    order = np.argsort(corrected, kind="stable")
    significant = [findings[i] for i in order if corrected[i] <= VIOLATION_LEVEL]
    scores = {score.name: score for score in [*(item.score() for item in findings), *found.smoke]}
    power = compute_power(found, names) | ({"shadows": shadows} if fit is not None else {})
    planted = find_planted(found, {name: VIOLATION_LEVEL * share for name, share in shares.items()}, seed)
    power["planted"] = planted
    if privacy is None:
        claim = None
        titles = [item.summary for item in significant]
        verdict, text = judge_attacks(titles, is_powered(planted), describe_planted(planted))
    else:
        measured = _measure_epsilon(found, privacy)
        claim = {**measured.to_dict(), "unit": privacy.unit}
        verdict, text = judge_claim(measured, [item.summary for item in significant])
        text += f" {describe_planted(planted)}" if verdict != "VIOLATION" else ""
    worst = rank_records(found)
    copies = sum(record["exact_copy"] and record["isolation_percentile"] >= 90 for record in worst)
    if copies:
        notes.append(
            f"{copies:,} isolated training records occur exactly in the synthetic table; the internal file "
            "names each of them."
        )
    said_names = [item.name for item in significant]
    return AuditReport(
        verdict=verdict,
        text=text,
        scores=scores,
        tests=[{**item.to_dict(), "p_corrected": float(p)} for item, p in zip(findings, corrected, strict=True)],
        significant=said_names,
        claim=claim,
        questions=answer_questions(scores, claim, said_names, provenance, VIOLATION_LEVEL, len(findings), True),
        details=collect_details(found, inputs, power),
        notes=notes,
        provenance=provenance,
        worst=worst,
    )


def _read_inputs(
    train: Data, synthetic: Data, holdout: Data | None, schema: Schema | DatabaseSchema | None, fit: Fit | None
) -> tuple[Inputs, list[str]]:
    """Check one table, or the histories of linked tables; and return notes for the report."""
    if isinstance(train, Mapping):
        if fit is not None:
            raise DataError("fit= is for one table; leave it out in an audit of linked tables")
        rows, made, others, columns = audit_rows(train, synthetic, holdout, schema)
        note = "A record is a row of the root table with a summary of all rows below it."
        return check_inputs(rows, made, others, None, columns), [note]
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
    """Return the report without controls: the share of exact copies only."""
    copied = np.isin(hash_rows(train), np.unique(hash_rows(synthetic)))
    low, high = clopper_pearson(int(copied.sum()), len(copied))
    score = Score(
        name="copies_exact",
        title="Exact copies",
        value=100 * float(copied.mean()),
        interval=(100 * low, 100 * high),
        better="lower",
        unit="%",
        description="Training records that occur in the synthetic table; how many would by chance is not known.",
        method=f"{int(copied.sum()):,} of {len(copied):,} training records; Clopper-Pearson interval.",
    )
    claim = None
    if privacy is not None:
        claim = {"epsilon": privacy.epsilon, "delta": privacy.resolved_delta, "unit": privacy.unit}
    notes.append("Every attack needs held-out rows: give real rows that were not learned as the holdout.")
    return AuditReport(
        verdict=None,
        text="Without held-out rows, copying cannot be distinguished from what holds for anybody.",
        scores={score.name: score},
        claim=claim,
        questions=answer_questions({score.name: score}, claim, [], provenance, VIOLATION_LEVEL, 0, False),
        notes=notes,
        provenance=provenance,
    )


def _check_direction(findings: list[Finding]) -> None:
    """Refuse tables whose controls are recognised more than their members: who was learned is the other way round."""
    if bonferroni([item.p_reverse for item in findings]) <= MAX_P_REVERSED:
        worst = min(findings, key=lambda item: item.p_reverse)
        raise DataError(
            f"the held-out rows are recognised in the synthetic table more than the training rows ({worst.title}): the "
            "model learned the holdout, or train and holdout are exchanged; give the rows that it learned as train"
        )


def _measure_epsilon(found: AttackResults, privacy: Privacy) -> Claim:
    """Compare the claim with the best attack's bound, corrected for the number of attacks."""
    delta, member = privacy.resolved_delta, found.game.is_member
    attacks = [
        (scores[chosen], member[chosen])
        for chosen in found.attacks.sets.values()
        for scores in [*found.attacks.scores.values(), found.attacks.exposure]
        if member[chosen].any() and not member[chosen].all()
    ]
    counts = [item.counts for item in found.findings if item.counts[0] + item.counts[2]]
    level = LEVEL / (len(attacks) + len(counts))
    bounds = [epsilon_from_scores(*attack, delta, level)[0] for attack in attacks]
    bounds += [epsilon_from_guesses(a, a + b, n + m, delta, level, n / m) for a, n, b, m in counts]
    twice = 2 * privacy.epsilon
    power = power_against(privacy.epsilon, delta, len(member), gdp_mu(twice, delta))
    return Claim(
        epsilon=privacy.epsilon,
        delta=delta,
        measured=max(bounds),
        most=max_epsilon_from_guesses(len(member), len(member), delta),
        power=power,
        method=f"Guesses of membership on {len(member):,} records of one release (Steinke et al., 2023, theorem 5.2), "
        f"the best of {len(bounds)} attacks, at 95 % confidence; assumes that the holdout was drawn at random. Power: "
        "the same test if each record leaked alone, at twice the claim. Informative: canaries see more.",
    )


def _select_secrets(inputs: Inputs, notes: list[str]) -> list[str]:
    """Return the columns that an intruder infers."""
    learned = [name for name, column in inputs.schema.items() if not isinstance(column, (Identifier, Text))]
    declared = [name for name in inputs.schema.with_role("sensitive") if name in learned]
    if not declared:
        notes.append("No column has the role 'sensitive': every column is taken for a secret in turn.")
    return declared or learned


def _select_groups(inputs: Inputs, train: EncodedTable) -> list[str]:
    """Return the columns that define subgroups: those with a role, or the first with few categories."""
    book = train.encoding
    few = [
        n for n, size, number in zip(book.names, book.sizes, book.continuous, strict=True) if not number and size <= 12
    ]
    roles = [name for role in ("sensitive", "target", "quasi_identifier") for name in inputs.schema.with_role(role)]
    return [name for name in roles if name in book.names][:5] or few[:5]


def _list_exclusions(inputs: Inputs) -> list[str]:
    skipped = [name for name, column in inputs.schema.items() if isinstance(column, (Identifier, Text))]
    notes = [f"Identifiers and free text are in no attack: {quote(skipped)}."] if skipped else []
    if not inputs.schema.with_role("quasi_identifier"):
        notes.append("No column has the role 'quasi_identifier': groups of equal ones (k-map) are not counted.")
    return notes
