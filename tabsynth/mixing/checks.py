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
    known = plan if accept_above is None else plan.accept_above(accept_above)
    if known.open:
        reached = "" if accept_above is None else f" and score below {accept_above:g} or ask a question"
        raise InputError(
            f"{len(known.open)} entries of the plan are still proposed{reached}: {quote(known.open, 3)}; review the "
            "plan and set their status to accepted, edited or rejected"
        )
    if not known.mapped:
        raise InputError("every entry of the plan's map is rejected, so there is nothing to mix")
    return known


def check_codes(plan: Plan, raw: Mapping[str, pd.DataFrame | Mapping[str, pd.Series]]) -> None:
    """Raise if a code is mapped in one source and unchanged in another, so that it would have two meanings.

    Raises:
        DataError: The message names the column, the code, both sources and both meanings.
    """
    for name, match in plan.mapped.items():
        read_as: dict[str, tuple[str, str]] = {}
        plain: dict[str, str] = {}
        for source, columns in match.sources.items():
            recoding = {
                key: value for entry in decided_entries(plan, name) for key, value in entry.recoding(source).items()
            }
            for code, value in recoding.items():
                read_as.setdefault(code, (source, code_text(value)))
            values = raw[source][columns[0]]
            if recoding or len(columns) > 1 or values.nunique() > 1000:
                continue
            for value in values.dropna().unique():
                plain.setdefault(code_text(value), source)
        clash = [code for code in plain if code in read_as and read_as[code][1] != code]
        if clash:
            source, meaning = read_as[clash[0]]
            raise DataError(
                f"column {name!r}: the code {clash[0]!r} means {meaning!r} in {source!r}, but is not mapped in "
                f"{plain[clash[0]]!r}; map it there too, under values"
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
