"""Private route of ``fit``: arguments are validated by public facts only, without reading any cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tabsynth.common.data_parallel import process_rank
from tabsynth.data.private_files import read_private
from tabsynth.data.provenance import get_provenance
from tabsynth.data.provenance import public_part as public_provenance
from tabsynth.data.table import Table
from tabsynth.errors import DataError, PrivacyError, SchemaError, quote
from tabsynth.privacy.accounting.explanation import uses_dp_sgd
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.accounting.measured_spending import check_same_dataset, compose_ledgers, get_measurement_ledger
from tabsynth.privacy.budget import Privacy
from tabsynth.privacy.mechanisms.contribution_bounding import check_person_column
from tabsynth.privacy.public_schema import private_schema, to_public_schema
from tabsynth.relations.declared.feasibility import check_feasible
from tabsynth.schema.cell_types import to_pandas
from tabsynth.schema.constraints import Combinations
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.card_facts import count_repairs

if TYPE_CHECKING:
    from tabsynth.synthesizers.base import Synthesizer
    from tabsynth.synthesizers.options import FitOptions

PRIVATE_ALTERNATIVE = "MarginalSynthesizer, which is the most faithful of those that can"


def unsupported_privacy(name: str) -> PrivacyError:
    """Return the error of synthesizers that cannot guarantee privacy."""
    return PrivacyError(
        f"{name} cannot guarantee differential privacy; use {PRIVATE_ALTERNATIVE}, or fit it without privacy= where "
        "the output stays as protected as the data"
    )


def prepare_private_fit(
    data: Any, schema: Schema | None, privacy: Any, refused: Mapping[str, Any]
) -> tuple[pd.DataFrame, Schema, Privacy, dict[str, Any] | None]:
    """Return the frame, its schema, the privacy with the fit's open ledger, and the public provenance of a mixed table.

    Args:
        data: A frame, a table or a path, as given to ``fit``.
        schema: The declared schema.
        privacy: The requested privacy.
        refused: Arguments of ``fit`` that a private fit does not take, by name; all must be None.

    Raises:
        PrivacyError: An argument is not available in private fits; the message names it and the remedy.
        SchemaError: The frame's columns are not those of the schema.
    """
    if not isinstance(privacy, Privacy):
        raise PrivacyError(f"privacy must be a tabsynth.Privacy, such as Privacy(epsilon=1.0), not {privacy!r}")
    for name, value in refused.items():
        if value is not None:
            raise PrivacyError(f"a private fit takes no {name}: {REFUSAL_REASONS[name]}")
    if isinstance(data, Table):
        data, schema = data.frame, schema or data.schema
    if schema is None:
        raise PrivacyError(
            "a private fit needs a declared schema: an inferred one leaks information about the data. Declare it, and "
            "measure what is not public with tabsynth.privacy.domains.measure"
        )
    private_schema(schema, privacy.unit)
    check_feasible(schema)
    unlisted = [rule.to_dict() for rule in schema.constraints if isinstance(rule, Combinations) and rule.values is None]
    if unlisted:
        raise PrivacyError(f"the constraint {unlisted[0]} takes its values from the table: list them in a private fit")
    frame = read_private(Path(data), schema) if isinstance(data, (str, Path)) else to_pandas(data)
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"expected a DataFrame, a Table or a path, not {type(data).__name__}")
    names = list(frame.columns)
    if sorted(names, key=str) != sorted(schema):
        absent, extra = [name for name in schema if name not in names], [name for name in names if name not in schema]
        raise SchemaError(
            f"the schema does not match the table: columns only in the table: {quote(extra) or 'none'}; "
            f"columns only in the schema: {quote(absent) or 'none'}; change one of them"
        )
    if privacy.unit != "row":
        check_person_column(frame[privacy.unit])
    mixed = public_provenance(get_provenance(frame), privacy.unit)
    opened = privacy.opened()
    check_same_dataset(get_measurement_ledger(schema), privacy.unit, opened.open_ledger.parent)
    return frame, schema, opened, mixed


REFUSAL_REASONS = {
    "seed": "noise that a seed decides can be taken off again (Privacy(insecure_seed=) is for tests)",
    "checkpoint": "its state is not charged for",
    "weights": "a weight multiplies what one row can do",
    "mask": "which cells there are is not charged for",
    "warm_start": "its guarantee would be that of both fits together, which no ledger holds; fit all rows privately",
}


def fit_private(
    model: Synthesizer, data: Any, schema: Schema | None, privacy: Any, refused: Mapping[str, Any], run: FitOptions
) -> None:
    """Fit a synthesizer privately: only mechanisms that charge the ledger first read the rows.

    Args:
        model: The synthesizer.
        data: A frame, a table or a path, as given to ``fit``.
        schema: The declared schema.
        privacy: The requested privacy.
        refused: Arguments of ``fit`` that a private fit does not take, by name; all must be None.
        run: Options of the fit; the seed affects only post-processing, never the noise.

    Raises:
        PrivacyError: The synthesizer or an argument does not support privacy.
    """
    if not model.supports_privacy:
        raise unsupported_privacy(type(model).__name__)
    if process_rank() > 0 and isinstance(privacy, Privacy):
        privacy = replace(privacy, ledger=None)  # the first process charges the data set's ledger for all
    frame, declared, opened, mixed = prepare_private_fit(data, schema, privacy, refused)
    model.seed_ = run.seed if opened.insecure_seed is None else opened.insecure_seed
    model.schema_, model._ledger, model.mixed_ = to_public_schema(declared), opened.open_ledger, mixed
    try:
        try:
            model._fit_private(frame, model.schema_, opened, replace(run, seed=model.seed_))
        finally:
            opened.open_ledger.settle()
        model._constraint_facts = {"repaired": count_repairs(model)}
        model._ledger = compose_ledgers(get_measurement_ledger(declared), opened.open_ledger)
    except BaseException:  # an interrupted fit must not look fitted
        del model.schema_
        raise


def guarantee_statement(ledger: PrivacyLedger) -> str:
    """Return the guarantee in a sentence, for the card."""
    if not len(ledger) or ledger.epsilon() == float("inf"):
        return "none is guaranteed (epsilon = infinity)"
    if not ledger.secure:
        return "NOT DP: the noise came from an insecure seed, which exists for tests only"
    unit = "row" if ledger.unit == "row" else f"person (column {ledger.unit!r})"
    noise = "the noise of counts is exact and comes from a cryptographic source"
    if uses_dp_sgd(ledger):
        noise += ", the noise of DP-SGD is floating point"
    guarantee = f"({ledger.epsilon():.4g}, {ledger.delta:.3g})-differential privacy"
    return f"{guarantee} of a {unit} that is added or removed; {noise}"
