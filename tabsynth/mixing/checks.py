"""Checks before mixing: undecided entries, ambiguous codes and linkage alarms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tabsynth.errors import DataError, InputError, quote
from tabsynth.mixing.harmonise import decided_entries
from tabsynth.mixing.linkage.spec import MAX_REPORTED_KEYS
from tabsynth.mixing.plan.entries import code_text
from tabsynth.mixing.plan.plan import Plan


def require_decided(plan: Plan, accept_above: float | None) -> Plan:
    """Accept proposals from a score on, and require that nothing remains undecided.

    Raises:
        InputError: Entries are still proposed.
    """
    decided = plan if accept_above is None else plan.accept_above(accept_above)
    if decided.open:
        unreached = "" if accept_above is None else f" and score below {accept_above:g} or ask a question"
        raise InputError(
            f"{len(decided.open)} entries of the plan are still proposed{unreached}: {quote(decided.open, 3)}; review "
            "the plan and set their status to accepted, edited or rejected"
        )
    if not decided.mapped:
        raise InputError("every entry of the plan's map is rejected, so there is nothing to mix")
    return decided


def check_codes(plan: Plan, raw: Mapping[str, pd.DataFrame | Mapping[str, pd.Series]]) -> None:
    """Raise if a code is mapped in one source and unchanged in another, so that it would have two meanings.

    Raises:
        DataError: The message names the column, the code, both sources and both meanings.
    """
    for name, match in plan.mapped.items():
        meanings: dict[str, tuple[str, str]] = {}
        unmapped: dict[str, str] = {}
        for source, columns in match.sources.items():
            recoding = {
                key: value for entry in decided_entries(plan, name) for key, value in entry.recoding(source).items()
            }
            for code, value in recoding.items():
                meanings.setdefault(code, (source, code_text(value)))
            values = raw[source][columns[0]]
            if recoding or len(columns) > 1 or values.nunique() > 1000:
                continue
            for value in values.dropna().unique():
                unmapped.setdefault(code_text(value), source)
        ambiguous = [code for code in unmapped if code in meanings and meanings[code][1] != code]
        if ambiguous:
            source, meaning = meanings[ambiguous[0]]
            raise DataError(
                f"column {name!r}: the code {ambiguous[0]!r} means {meaning!r} in {source!r}, but is not mapped in "
                f"{unmapped[ambiguous[0]]!r}; map it there too, under values"
            )


def check_alarms(plan: Plan, report: Mapping[str, Any]) -> None:
    """Raise on linkage alarms, unless the plan only reports them.

    Raises:
        DataError: The message states the evidence and rows to inspect.
    """
    if not report["alarms"] or plan.link.get("alarms") == "report":
        return
    rows = [f"{item['source']} row {item['first_row']}" for item in report["heavy_keys"][:MAX_REPORTED_KEYS]]
    raise DataError(
        f"linking may be wrong: {'; '.join(report['alarms'])}"
        f"{' (inspect ' + ', '.join(rows) + ')' if rows else ''}. If the links are right, set alarms: report under link"
    )
