"""The four hospitals' extracts as they might arrive: renamed, in other units and codes, one column split in two.

From the example tables of UCI heart disease. ``disguised`` gives the extracts, ``truth`` which column is which,
``UNITS``, ``CODES`` and ``PARTS`` what was done to the values.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tabsynth.mixing.plan.plan import Plan

SITES = ("cleveland", "hungarian", "switzerland", "va")

COLUMNS = (
    *("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "slope", "ca", "thal"),
    "num",
)

NAMES = {
    "hungarian": (
        *("age_months", "gender", "chest_pain", "resting_bp", "total_cholesterol", "fasting_sugar", "rest_ecg"),
        *("max_hr", "exercise_angina", "st_depression", "st_slope", "vessels", "thallium", "disease"),
    ),
    "switzerland": (
        *("AGE_YRS", "SEX", "PainType", "RestBPs", "TC", "FBS_gt_120", "ECG", "HR_max"),
        *("ExAng", "ST_dep", "Slope", "CA", "Thal", "Num"),
    ),
    "va": (
        *("Age", "Sex", "CP", "sbp_rest", "chol_mmol_l", "fbs", "restecg", "peak_heart_rate"),
        *("ex_induced_angina", "oldpeak", "slope", "n_vessels", "thal", "num"),
    ),
}
"""New names, in the order of ``COLUMNS``; Cleveland keeps its own."""

UNITS = {("hungarian", "age"): ("month", "year"), ("va", "chol"): ("mmol/L", "mg/dL")}
"""Columns in another unit, with that unit and Cleveland's."""

CODES: dict[tuple[str, str], dict[int, str | int]] = {
    ("hungarian", "sex"): {0: "F", 1: "M"},
    ("hungarian", "exang"): {0: "no", 1: "yes"},
    ("switzerland", "cp"): {1: "typical", 2: "atypical", 3: "non-anginal", 4: "none"},
    ("va", "thal"): {3: 0, 6: 1, 7: 2},
}
"""Columns with other codes: Cleveland's code, and the one in the extract."""

PARTS = {("va", "restecg"): ("ecg_st_abnormal", "ecg_hypertrophy")}
"""One column split in two: ST-T abnormality (code 1) and hypertrophy (code 2), yes or no each."""

SENTINELS = {"switzerland": 123, "va": 49}
"""Rows whose cholesterol is 0, which no living person has."""


def originals(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables as published."""
    return {site: pd.read_csv(folder / f"heart_{site}.csv.gz") for site in SITES}


def disguised(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables as they might arrive."""
    return {site: disguise(site, frame) for site, frame in originals(folder).items()}


def disguise(site: str, frame: pd.DataFrame) -> pd.DataFrame:
    """One hospital's extract."""
    out = frame.astype({"chol": "float64"})
    if site == "hungarian":
        out["age"] = out["age"] * 12 + pd.Series(range(len(out))) % 12
    if site == "va":
        out["chol"] = (out["chol"] / 38.67).round(2)
    for (where, column), codes in CODES.items():
        if where == site:
            out[column] = out[column].map(lambda code, codes=codes: codes[code], na_action="ignore")
    names = dict(zip(COLUMNS, NAMES[site], strict=True)) if site in NAMES else {}
    for (where, column), (abnormal, hypertrophy) in PARTS.items():
        if where == site:
            out[abnormal] = (out[column] == 1).astype(int)
            out[hypertrophy] = (out[column] == 2).astype(int)
            out = out.drop(columns=column)
    return out.rename(columns=names)


def truth(site: str) -> dict[str, tuple[str, ...]]:
    """By column of Cleveland, the columns of a site's extract."""
    names = dict(zip(COLUMNS, NAMES.get(site, COLUMNS), strict=True))
    return {column: PARTS.get((site, column), (name,)) for column, name in names.items()}


def corrected(plan: Plan) -> Plan:
    """The plan after review by a person who knows the extracts: errors corrected, the rest accepted."""
    data = plan.to_dict()
    for entry in data["map"]:
        if entry["to"] in COLUMNS:
            entry["from"] = {}
            for site in SITES:
                names = truth(site)[entry["to"]]
                entry["from"][site] = names[0] if len(names) == 1 else list(names)
        entry["status"] = "edited" if entry["to"] in COLUMNS else "rejected"
    kept = []
    for entry in data["harmonise"]:
        entry["status"] = "accepted"
        codes = {site: codes for (site, column), codes in CODES.items() if column == entry["column"]}
        if "values" in entry:
            entry["values"] = {site: {code: own for own, code in codes.items()} for site, codes in codes.items()}
        if entry["column"] == "restecg":
            entry["values"] = {"va": {"0|0": 0, "1|0": 1, "0|1": 2}}
        if entry["column"] != "ca":
            kept.append(entry)
    data["harmonise"] = kept
    return Plan.from_dict(data, tables=plan.tables)
