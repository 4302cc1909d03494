"""Gates of a release: evaluation, audit, ledger and matching evidence; each is passed, or waived by name."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from tabsynth.errors import InputError, PrivacyError, TabsynthError, did_you_mean, quote
from tabsynth.evaluation.gates import DEFAULT, Waiver, gate_results, parse_waiver, read_gates
from tabsynth.evaluation.inputs import fingerprint
from tabsynth.evaluation.metric_specs import area_of
from tabsynth.evaluation.relational.database_report import DatabaseReport
from tabsynth.evaluation.report import Report
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.accounting.ledger_format import NOT_DP, check_contains_model
from tabsynth.privacy.audit.report import AuditReport
from tabsynth.release.documents.evidence import is_private


class GateError(TabsynthError):
    """A release was refused: gates are missed and not waived.

    Attributes:
        unmet: A sentence for each of them; internal, because it may contain figures.
    """

    def __init__(self, unmet: Sequence[str]) -> None:
        super().__init__(f"the release is refused, nothing was written: {'; '.join(unmet)}")
        self.unmet = tuple(unmet)


@dataclass(frozen=True)
class GateResult:
    """Result of a gate: passed, missed or waived.

    Attributes:
        gate: Its name: ``evaluation``, ``evaluation.SCORE``, ``audit``, ``ledger`` or ``evidence``.
        fault: Why it was missed, for internal use; empty if it was passed.
        waiver: The waiver that lets it be missed.
    """

    gate: str
    fault: str = ""
    waiver: Waiver | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the public part: no figure."""
        waiver = None if self.waiver is None else self.waiver.to_dict()
        return {"gate": self.gate, "passed": not self.fault, "waiver": waiver}


def check_gates(
    frame: pd.DataFrame | Mapping[str, pd.DataFrame],
    evaluation: Report | DatabaseReport | None,
    audit: AuditReport | None,
    ledger: PrivacyLedger | None,
    dataset: PrivacyLedger | None,
    *,
    gates: str | Path | Mapping[str, Any] = DEFAULT,
    waivers: Iterable[Mapping[str, Any]] = (),
    date: datetime.date,
) -> list[GateResult]:
    """Check every gate.

    Args:
        frame: The synthetic rows, or the linked tables by name.
        evaluation: Their evaluation.
        audit: Their audit.
        ledger: The model's ledger.
        dataset: The data set's ledger, which must contain the model's charges.
        gates: Limits of scores, as in ``tabsynth evaluate --gates``.
        waivers: Mappings of gate, who, why and until.
        date: The day on which waivers must be in force.

    Raises:
        GateError: Gates are missed and not waived.
        InputError: A waiver waives no gate, or is malformed.
    """
    results = [*_evaluation_gates(evaluation, gates, date), _audit_gate(audit, is_private(ledger))]
    results += [_ledger_gate(ledger, dataset), _evidence_gate(frame, evaluation, audit)]
    names = [result.gate for result in results]
    parsed = [parse_waiver(entry, "waivers") for entry in waivers]
    known = {_full_name(gate, names): waiver for gate, waiver in parsed}
    unknown = sorted(set(known) - set(names))
    if unknown:
        raise InputError(
            f"the waiver for {quote(unknown)} waives no gate{did_you_mean(unknown[0], names)}; there are "
            f"{quote(names, 40)}"
        )
    results = [replace(r, waiver=known.get(r.gate, r.waiver)) if r.fault else r for r in results]
    unmet = []
    for result in results:
        if result.fault and result.waiver is None:
            unmet.append(f"{result.gate}: {_without_name(result)}")
        elif result.fault and result.waiver is not None and result.waiver.until < date:
            unmet.append(f"{result.gate}: {_without_name(result)}; the waiver by {result.waiver.who} ran out")
    if unmet:
        raise GateError(unmet)
    return results


def _full_name(gate: str, names: Sequence[str]) -> str:
    """Return the name of a gate that is given as in a gates file: trend_error or fidelity.trend_error."""
    score = gate.rpartition(".")[2]
    plain = score if gate == f"{area_of(score)}.{score}" else gate
    return gate if gate in names or f"evaluation.{plain}" not in names else f"evaluation.{plain}"


def _without_name(result: GateResult) -> str:
    """Return the fault of a gate without the name of the score, which its gate has."""
    return result.fault.removeprefix(f"{result.gate.removeprefix('evaluation.')}: ")


def _evaluation_gates(
    report: Report | DatabaseReport | None, source: str | Path | Mapping[str, Any], date: datetime.date
) -> list[GateResult]:
    if report is None:
        read_gates(source, any_name=True)
        return [GateResult("evaluation", "there is no evaluation; evaluate the table")]
    if isinstance(report, DatabaseReport):
        if str(source) == DEFAULT:
            return [GateResult("evaluation"), *_default_database_gates(report)]
        gates = read_gates(source, any_name=True)
        unknown = [gate.name for gate in gates if gate.name not in report.scores]
        if unknown:
            raise InputError(f"gates name unknown scores {quote(unknown)}; there are {quote(report.scores, 40)}")
    else:
        gates = read_gates(source)
    bare = gate_results(report.scores, [replace(gate, waiver=None) for gate in gates], date)
    measured = any(gate.name in report.scores for gate in gates)
    out = [
        GateResult("evaluation", "" if measured else "no score with a gate was measured; evaluate the table in full")
    ]
    for gate, result in zip(gates, bare, strict=True):
        out.append(GateResult(f"evaluation.{gate.name}", "" if result["met"] else str(result["text"]), gate.waiver))
    return out


def _default_database_gates(report: DatabaseReport) -> list[GateResult]:
    """Return a gate for each score of linked tables that has a level: it must not be poor."""
    return [
        GateResult(f"evaluation.{name}", "the score is poor" if level == "poor" else "")
        for name, level in report.levels.items()
    ]


def _audit_gate(report: AuditReport | None, private: bool) -> GateResult:
    if report is None:
        return GateResult("audit", "there is no audit; audit the table")
    if report.verdict == "VIOLATION" or (not private and report.verdict != "CONSISTENT, powered"):
        # Where nothing is proven, silence is no evidence unless the audit had the power to find a leak.
        return GateResult("audit", report.headline)
    return GateResult("audit")


def _ledger_gate(ledger: PrivacyLedger | None, dataset: PrivacyLedger | None) -> GateResult:
    if ledger is None or not len(ledger):
        return GateResult("ledger", "" if dataset is None else "the model has no ledger, but the data set has one")
    if not ledger.secure:
        return GateResult("ledger", NOT_DP)
    if not is_private(ledger):
        return GateResult("ledger", "" if dataset is None else "the model was fitted without privacy")
    try:
        ledger.verify()
        if dataset is not None:
            dataset.verify()
            check_contains_model(dataset, ledger, "the model")
    except PrivacyError as error:
        return GateResult("ledger", str(error))
    if ledger.epsilon() > ledger.epsilon_budget:
        return GateResult("ledger", f"epsilon {ledger.epsilon():.4g} is more than the budget")
    return GateResult("ledger")


def _evidence_gate(
    data: pd.DataFrame | Mapping[str, pd.DataFrame],
    evaluation: Report | DatabaseReport | None,
    audit: AuditReport | None,
) -> GateResult:
    """Return the result of the gate that the reports are about these rows.

    Of one large table it is enough that they are about its first rows.
    """
    for name, report in (("evaluation", evaluation), ("audit", audit)):
        if report is None:
            continue
        tables = report.provenance.get("tables", {})
        if isinstance(data, Mapping):
            tables = report.provenance.get("linked_tables", tables)  # an audit's own tables are of persons
        stated = tables.get("synthetic", {})
        if isinstance(data, pd.DataFrame):
            order = list(report.provenance.get("columns", {}))  # in the schema's order
            same = set(order) == set(data.columns) and _is_start(data[order], stated)
        else:
            same = set(stated) == set(data) and all(
                _is_start(frame, stated[table]) and len(frame) == stated[table]["rows"] for table, frame in data.items()
            )
        if not same:
            return GateResult("evidence", f"the {name} is of another table than the one that is released")
    return GateResult("evidence")


def _is_start(frame: pd.DataFrame, stated: Any) -> bool:
    """Return whether a report's fingerprint is that of a frame, or of its first rows."""
    rows = stated.get("rows") if isinstance(stated, Mapping) else None
    return isinstance(rows, int) and rows <= len(frame) and fingerprint(frame.iloc[:rows]) == stated.get("sha256")
