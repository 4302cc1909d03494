"""Gates: limits for scores in a YAML file, and waivers with name, reason and expiry date.

::

    gates:
      fidelity.trend_error: {max: 2.0}          # the value itself
      utility.utility_gap: {above_floor: 0.05}  # excess over the floor of real data, beyond chance
    waivers:
      - {gate: fidelity.trend_error, who: A. Analyst, why: pilot only, until: 2031-01-31}
    unmeasured: fail                            # or skip: gates of unmeasured scores pass

The name of a gate is that of a score, optionally with its area.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabsynth.common.input_files import check_depth
from tabsynth.common.yaml_files import read_yaml
from tabsynth.errors import InputError, did_you_mean, quote, shorten
from tabsynth.evaluation.metric_specs import GATE_INTERVAL_FACTOR, SPECS, area_of, excess_over_floor
from tabsynth.evaluation.report import Report
from tabsynth.evaluation.score import Score
from tabsynth.reporting.number_format import format_number

if TYPE_CHECKING:
    from tabsynth.evaluation.relational.database_report import DatabaseReport
    from tabsynth.evaluation.report import Report

LIMIT_KEYS = ("max", "min", "above_floor")
DEFAULT = "default"
"""Name of the default gates: no score of ``metric_specs`` with a gate may be poor. Real rows pass these gates."""


@dataclass(frozen=True)
class Waiver:
    """Permission to fail a gate, with the responsible person, the reason and the last day."""

    who: str
    why: str
    until: date

    def to_dict(self) -> dict[str, str]:
        """Return the waiver as plain data."""
        return {"who": self.who, "why": self.why, "until": self.until.isoformat()}


@dataclass(frozen=True)
class Gate:
    """A limit for one score.

    Attributes:
        name: The score.
        limit: ``max`` or ``min`` of the value; ``above_floor``, the maximum excess over the floor at the better end of
            the 99.9 % interval.
        waiver: A waiver, if there is one.
        optional: Whether the gate passes if the score was not measured.
    """

    name: str
    limit: Mapping[str, float]
    waiver: Waiver | None = None
    optional: bool = False


def read_gates(source: str | Path | Mapping[str, Any], *, any_name: bool = False) -> list[Gate]:
    """Read a gates file or mapping; ``default`` returns the default gates.

    Args:
        source: The file or mapping.
        any_name: Whether any score name is allowed, as for linked tables.

    Raises:
        SourceError: The file cannot be read, or is not YAML.
        InputError: A score, a key or the gate of a waiver is unknown, a limit is not a number, or a waiver is
            incomplete.
    """
    check_depth(source, "the mapping of gates")
    if str(source) == DEFAULT:
        gated = {name: spec.limits for name, spec in SPECS.items() if spec.gate and spec.limits}
        return [Gate(name, {"above_floor": limits[1]}, optional=True) for name, limits in gated.items()]
    data = source if isinstance(source, Mapping) else read_yaml(source, "gates file")
    where = "gates" if isinstance(source, Mapping) else str(source)
    if not isinstance(data, Mapping) or not isinstance(data.get("gates"), Mapping) or not data["gates"]:
        raise InputError(
            f"{where}: write 'gates:' and under it a limit for each score, such as trend_error: {{max: 2}}"
        )
    unknown = set(data) - {"gates", "waivers", "unmeasured"}
    if unknown:
        raise InputError(
            f"{where}: unknown key {quote(sorted(map(str, unknown)))}; there are 'gates', 'waivers' and 'unmeasured'"
        )
    unmeasured = data.get("unmeasured", "fail")
    if unmeasured not in ("fail", "skip"):
        raise InputError(f"{where}: unmeasured must be 'fail' or 'skip', not {unmeasured!r}")
    gates = {}
    for key, limit in data["gates"].items():
        name = str(key) if any_name else _score_name(str(key), where)
        if name in gates:
            raise InputError(f"{where}: the score {name!r} has two gates; keep one")
        gates[name] = Gate(name, _parse_limit(key, limit, where), optional=unmeasured == "skip")
    waivers = data.get("waivers")
    if waivers is not None and not isinstance(waivers, (list, tuple)):
        raise InputError(f"{where}: waivers must be a list, not {shorten(repr(waivers), 60)}")
    for entry in waivers or ():
        gate, waiver = parse_waiver(entry, where)
        name = gate if any_name else _score_name(gate, where)
        if name not in gates:
            raise InputError(f"{where}: there is no gate {gate!r} for the waiver; there are {quote(gates, 12)}")
        gates[name] = replace(gates[name], waiver=waiver)
    return list(gates.values())


def apply_gates(report: Report, gates: list[Gate], today: date | None = None) -> Report:
    """Return the report with the result of each gate.

    The gate of a score that was not measured fails, unless the file has ``unmeasured: skip``. An expired waiver has no
    effect.
    """
    return replace(report, gates=gate_results(report.scores, gates, today))


def gate_results(scores: Mapping[str, Score], gates: list[Gate], today: date | None = None) -> list[dict[str, Any]]:
    """Return the result of each gate, as in the reports of ``apply_gates``."""
    day = today or date.today()
    return [_gate_result(gate, scores.get(gate.name), day) for gate in gates]


def failed_gates(report: Report) -> list[str]:
    """Return the texts of the gates that fail and are not waived."""
    return [gate["text"] for gate in report.gates if not gate["met"]]


def _gate_result(gate: Gate, score: Score | None, day: date) -> dict[str, Any]:
    failure = _failure(gate, score)
    met = not failure
    text = failure or f"{gate.name}: {'met' if score is not None else 'not measured, which these gates allow'}"
    waiver = gate.waiver
    if not met and waiver is not None:
        if waiver.until >= day:
            met, text = True, f"{text}; waived by {waiver.who} until {waiver.until} ({waiver.why})"
        else:
            text = f"{text}; the waiver by {waiver.who} expired on {waiver.until}"
    return {
        "name": gate.name,
        "limit": dict(gate.limit),
        "value": None if score is None else score.value,
        "met": met,
        "waiver": None if waiver is None else waiver.to_dict(),
        "text": text,
    }


def _failure(gate: Gate, score: Score | None) -> str:
    """Return the reason why the gate fails; empty if it passes."""
    if score is None:
        return (
            "" if gate.optional else f"{gate.name}: was not measured, so its gate cannot be met; see the report's notes"
        )
    wrong = []
    shown = format_number(score.value, score.unit)
    for key, limit in gate.limit.items():
        if key == "max" and score.value > limit:
            wrong.append(f"{shown} is more than {format_number(limit, score.unit)}")
        if key == "min" and score.value < limit:
            wrong.append(f"{shown} is less than {format_number(limit, score.unit)}")
        if key == "above_floor" and excess_over_floor(score, GATE_INTERVAL_FACTOR) > limit:
            excess = format_number(excess_over_floor(score, GATE_INTERVAL_FACTOR), score.unit)
            wrong.append(
                f"{shown} exceeds its floor by {excess} beyond chance; the limit is {format_number(limit, score.unit)}"
            )
    return f"{gate.name}: {' and '.join(wrong)}" if wrong else ""


def _score_name(key: str, where: str) -> str:
    """Return the score name of a key with or without an area."""
    known = list(SPECS)
    area, _, name = key.rpartition(".")
    if (name in known and (not area or area_of(name) == area)) or (not area and name.startswith("sdmetrics_")):
        return name
    dotted = [f"{area_of(name)}.{name}" for name in known]
    near = get_close_matches(name, known, 3, 0.5) or get_close_matches(key, dotted, 3, 0.5)
    if name in known:
        near = [f"{area_of(name)}.{name}"]
    hint = f"; did you mean {quote(near)}?" if near else f"; there are {quote(known, len(known))}"
    raise InputError(f"{where}: no score is called {key!r}{hint}")


def _parse_limit(key: object, limit: object, where: str) -> dict[str, float]:
    if not isinstance(limit, Mapping) or not limit or set(limit) - set(LIMIT_KEYS):
        raise InputError(f"{where}: the gate {key!r} must be one or more of {', '.join(LIMIT_KEYS)}, not {limit!r}")
    for value in limit.values():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            raise InputError(f"{where}: the gate {key!r}: {value!r} is not a number")
    return {str(name): float(value) for name, value in limit.items()}


def parse_waiver(entry: object, where: str) -> tuple[str, Waiver]:
    """Parse a mapping of gate, who, why and until; return the gate's name and the waiver.

    Raises:
        InputError: A key is missing or unknown, or ``until`` is not a date.
    """
    keys = {"gate", "who", "why", "until"}
    if not isinstance(entry, Mapping) or set(entry) != keys or not all(str(entry[key]).strip() for key in keys):
        raise InputError(f"{where}: a waiver needs gate, who, why and until (a date), not {entry!r}")
    until = entry["until"]
    if not isinstance(until, date):
        try:
            until = date.fromisoformat(str(until))
        except ValueError:
            raise InputError(f"{where}: a waiver's until must be a date such as 2031-01-31, not {until!r}") from None
    return str(entry["gate"]), Waiver(str(entry["who"]), str(entry["why"]), until)


def check_requirements(require: Iterable[str], where: str) -> None:
    """Check the names of required scores of one table, before the evaluation.

    Raises:
        InputError: No score has this name, or the name begins with an area.
    """
    for name in require:
        if (known := _score_name(name, where)) != name:
            raise InputError(f"{where}: write {known!r} instead of {name!r}")


def unmet_requirements(report: Report | DatabaseReport, require: Mapping[str, float]) -> tuple[str, ...]:
    """Return the texts of the requirements that scores do not meet.

    A limit is the minimum of a score if higher is better, the maximum if lower is better, and the maximum distance from
    the target if the score has one.

    Raises:
        InputError: The report has no such score.
    """
    out = []
    for name, limit in require.items():
        if name not in report.scores:
            hint = did_you_mean(name, report.scores)
            raise InputError(f"the report has no score {name!r} to require{hint}; it has {quote(report.scores, 12)}")
        score = report.scores[name]
        if score.better == "target":
            target = score.target or 0.0
            distance = abs(score.value - target)
            if not distance <= limit:
                out.append(
                    f"{name} is {score.value:.4g}, {distance:.4g} from its target {target:g}; required: a distance of "
                    f"at most {limit:g}"
                )
        elif not (score.value >= limit if score.better == "higher" else score.value <= limit):
            word = "at least" if score.better == "higher" else "at most"
            out.append(f"{name} is {score.value:.4g}, required {word} {limit:g}")
    return tuple(out)
