"""Unit conversion by pint, with common spellings, molar masses and valences.

pint comes with the extra ``mixing`` and is imported at the first conversion. Mass and amount of a substance (mg/dL,
mmol/L) are converted by its molar mass, equivalents and amount by its valence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from tabsynth.errors import InputError, missing_package, quote

MOLAR_MASS = {
    "albumin": 66_500.0, "bilirubin": 584.66, "calcium": 40.078, "chloride": 35.453, "cholesterol": 386.65,
    "cortisol": 362.46, "creatinine": 113.12, "folate": 441.40, "glucose": 180.16, "hemoglobin": 16_114.5,
    "iron": 55.845, "lactate": 89.07, "magnesium": 24.305, "phosphorus": 30.974, "potassium": 39.098,
    "sodium": 22.990, "testosterone": 288.42, "thyroxine": 776.87, "triglycerides": 885.40, "urea": 60.056,
    "urea nitrogen": 28.014, "uric acid": 168.11, "vitamin b12": 1355.37, "vitamin d": 400.64,
}  # fmt: skip
"""Grams per mole; haemoglobin as the monomer, vitamin D as 25-hydroxycholecalciferol, as in laboratory reports."""

VALENCE = {"sodium": 1, "potassium": 1, "chloride": 1, "lactate": 1, "calcium": 2, "magnesium": 2}
"""Equivalents per mole."""

UNIT_DEFINITIONS = (
    "international_unit = [international_unit] = IU",
    "equivalent = [equivalent] = Eq",
    "beats_per_minute = 1 / minute = bpm",
    "breaths_per_minute = 1 / minute = brpm",
    "thousand = 1000", "hundredth = 0.01",
    "EUR = [euro]", "USD = [us_dollar]",
    "GBP = [pound_sterling]", "CHF = [swiss_franc]", "JPY = [yen]",
)  # fmt: skip
"""Each currency is its own dimension, so currencies are never converted."""

UNIT_SPELLINGS = (
    (r"10\s*(?:\^|\*\*|\*|e)?\s*(\d+)\s*/", r"1e\1 / "),
    (r"(?<![A-Za-z])(?:mcg|µg|μg)(?![A-Za-z])", "microgram"),
    (r"(?<![A-Za-z])(?:[µμ]|u(?=[lL](?![A-Za-z])|mol|g(?![A-Za-z])))", "micro"),
    (r"(?<=micro)[lL](?![A-Za-z])", "liter"),
    (r"(?<=micro)g(?![A-Za-z])", "gram"),
    (r"°\s*([CF])", r"deg\1"),
    (r"(?<![A-Za-z])mm\s*Hg", "mmHg"),
    (r"(?<![A-Za-z])(?:yrs?|yo)(?![A-Za-z])", "year"),
    (r"(?<![A-Za-z])(?:mos?|mths?)(?![A-Za-z])", "month"),
    (r"(?<![A-Za-z])lbs(?![A-Za-z])", "lb"),
    (r"(?<=[A-Za-z])(?<!\de)([23])(?!\d)", r"^\1"),
    (r"^\s*/", "1 /"),
    (r"%", "percent"),
)
"""Spellings that pint cannot parse, as regular expressions."""


@dataclass(frozen=True)
class Conversion:
    """A value in the other unit is ``value * scale + offset``."""

    scale: float
    offset: float = 0.0


@cache
def unit_registry() -> Any:
    """Return the pint registry with additional definitions.

    Raises:
        MissingDependencyError: pint is not installed.
    """
    try:
        import pint
    except ImportError as error:
        raise missing_package("unit conversion", "pint", "mixing") from error
    units: Any = pint.UnitRegistry(cache_folder=None)
    for line in UNIT_DEFINITIONS:
        units.define(line)
    return units


@cache
def conversion(unit: str, to: str, analyte: str | None = None) -> Conversion:
    """Return the conversion from ``unit`` to ``to``.

    Raises:
        InputError: A unit is unknown, the dimensions differ, or the analyte is required and unknown.
        MissingDependencyError: pint is not installed.

    Example:
        >>> round(conversion("mmol/L", "mg/dL", "cholesterol").scale, 2)
        38.66
    """
    if analyte is not None and analyte not in MOLAR_MASS:
        raise InputError(f"the molar mass of {analyte!r} is not known; known are {quote(MOLAR_MASS, len(MOLAR_MASS))}")
    points = [_convert(at, unit, to, analyte) for at in (0.0, 1.0)]
    return Conversion(points[1] - points[0], points[0])


def parse_unit(unit: str) -> Any:
    """Parse a unit as a pint quantity, including a factor (``10^9/L``).

    Raises:
        InputError: Not a unit.
    """
    text = unit.strip()
    for pattern, plain in UNIT_SPELLINGS:
        text = re.sub(pattern, plain, text)
    known = unit_registry()
    try:
        if re.fullmatch(r"[A-Za-z_µ]+", text):
            return known.Quantity(1.0, known.parse_units(text))
        return known.Quantity(1.0, "") * known.parse_expression(text)
    except Exception as error:  # pint raises many types, including tokenize's
        raise InputError(f"the unit {unit!r} cannot be read: {error}; write it as mg/dL, kg or degC") from error


def _convert(value: float, unit: str, to: str, analyte: str | None) -> float:
    """Convert one value, including temperature offsets."""
    known = unit_registry()
    one, other = parse_unit(unit), parse_unit(to)
    if one.dimensionality == other.dimensionality:
        if one.magnitude == 1.0 and other.magnitude == 1.0:
            return float(known.Quantity(value, one.units).to(other.units).magnitude)
        return float((value * one / other).to("").magnitude)
    bridged = value * one
    have, want = one.dimensionality, other.dimensionality
    substance, charge = "[substance]", "[equivalent]"
    if analyte is None:
        raise InputError(f"{unit!r} and {to!r} measure different things; name the analyte, or correct the units")
    molar, valence = MOLAR_MASS[analyte] * known.Quantity(1.0, "g/mol"), VALENCE.get(analyte)
    if charge in have or charge in want:
        if valence is None:
            raise InputError(
                f"the valence of {analyte!r} is not known, so {unit!r} cannot become {to!r}; convert the "
                "values before mixing"
            )
        per = valence * known.Quantity(1.0, "Eq/mol")
        bridged = bridged / per if charge in have else bridged
        other = other / per if charge in want else other
        have, want = bridged.dimensionality, other.dimensionality
    if substance in have and substance not in want:
        bridged = bridged * molar
    elif substance in want and substance not in have:
        bridged = bridged / molar
    if bridged.dimensionality != other.dimensionality:
        raise InputError(f"{unit!r} and {to!r} measure different things, also for {analyte}; correct the units")
    return float((bridged / other).to("").magnitude)
