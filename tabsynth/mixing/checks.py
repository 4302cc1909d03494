"""What must hold before anything is mixed: every entry decided, every code of one meaning, no alarm of the linkage."""

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
    """The plan with nothing left to decide.

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
    """Raise where a code is read as something in one source and left as it is in another: it would mean two things.

    Raises:
        DataError: Names the column, the code, both sources and both meanings.
    """
    for name, match in plan.mapped.items():
        read_as: dict[str, tuple[str, str]] = {}
        plain: dict[str, str] = {}
        for source, columns in match.sources.items():
            told = {
                key: value for entry in decided_entries(plan, name) for key, value in entry.recoding(source).items()
            }
            for code, value in told.items():
                read_as.setdefault(code, (source, code_text(value)))
            values = raw[source][columns[0]]
            if told or len(columns) > 1 or values.nunique() > 1000:
                continue
            for value in values.dropna().unique():
                plain.setdefault(code_text(value), source)
        clash = [code for code in plain if code in read_as and read_as[code][1] != code]
        if clash:
            source, meaning = read_as[clash[0]]
            raise DataError(
                f"column {name!r}: the code {clash[0]!r} means {meaning!r} in {source!r}, but stands as it is in "
                f"{plain[clash[0]]!r}; say under values what it means there"
            )


def check_alarms(plan: Plan, report: Mapping[str, Any]) -> None:
    """Raise where linking may have made one person of several, unless the plan says that somebody has looked.

    Raises:
        DataError: It may; the message says what speaks for it and where to look.
    """
    if not report["alarms"] or plan.link.get("alarms") == "report":
        return
    look = [f"{item['source']} row {item['first_row']}" for item in report["heavy_keys"][:MAX_REPORTED_KEYS]]
    raise DataError(
        f"linking may have made one person of several: {'; '.join(report['alarms'])}"
        f"{' (look at ' + ', '.join(look) + ')' if look else ''}. If it is right so, set alarms: report under link"
    )
