"""Checks of a bundle's documents against each other, once every file is known to be authentic."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import Any, Literal

from tabsynth.common.formula_cells import unmark_formula
from tabsynth.common.input_files import MAX_BYTES, parse_json
from tabsynth.common.yaml_files import parse_yaml
from tabsynth.errors import InputError, PrivacyError
from tabsynth.privacy.accounting.ledger_entry import compose_charges
from tabsynth.release import about as names
from tabsynth.release.documents.allowed_keys import ALLOWED, check_keys, document_kind
from tabsynth.release.documents.released_tables import CONTRACTS, TABLE_SCHEMAS
from tabsynth.release.reader import BundleFiles, read_small

Line = tuple[Literal["ok", "failed", "note"], str, str]

MAX_PARQUET_BYTES = 1 << 28
"""Maximum size of a Parquet file whose footer is read."""


def recheck_documents(files: BundleFiles) -> Iterator[Line]:
    """Compare keys, columns, epsilon and waivers; each line is one result."""
    documents: dict[str, Any] = {}
    found = {name for name in files.names if document_kind(name) is not None}
    linked = sorted(name for name in found if name.startswith(CONTRACTS))
    for name in sorted({*ALLOWED, *found} - ({names.CONTRACT, names.TABLE_SCHEMA} - found if linked else set())):
        if name not in files.names:
            yield "note", f"{name}: the release has none", name
            continue
        try:
            content = read_small(files, name, MAX_BYTES)
            documents[name] = parse_yaml(content.decode()) if name.endswith(".yaml") else parse_json(content)
            check_keys(name, documents[name])
        except (InputError, ValueError) as error:
            yield "failed", f"{name}: {error}", name
    if documents:
        yield "ok", f"{len(documents)} documents have only keys that a release may have", ""
    for contract in linked or [names.CONTRACT]:
        yield from _columns(files, documents, contract)
    yield from _epsilon(documents.get(names.PRIVACY))
    yield from _waivers(documents.get(names.GATES))


def _columns(files: BundleFiles, documents: dict[str, Any], contract_name: str) -> Iterator[Line]:
    """Compare the columns of a Parquet file with those of its contract and its Table Schema."""
    if contract_name == names.CONTRACT:
        schema_name = names.TABLE_SCHEMA
        data = next((name for name in files.names if name.startswith("data/") and name.endswith(".parquet")), None)
    else:
        table = contract_name.removeprefix(CONTRACTS).removesuffix(".yaml")
        schema_name = f"{TABLE_SCHEMAS}{table}.json"
        data = f"data/{table}.parquet" if f"data/{table}.parquet" in files.names else None
    contract, schema = documents.get(contract_name), documents.get(schema_name)
    if contract is None or schema is None or data is None or files.size(data) > MAX_PARQUET_BYTES:
        yield "note", f"the columns of the data were not compared with {contract_name}", ""
        return
    import pyarrow as pa
    import pyarrow.parquet

    try:
        found = pyarrow.parquet.read_schema(io.BytesIO(b"".join(files.blocks(data)))).names
        listed = [list(contract["columns"]), [unmark_formula(field["name"]) for field in schema["fields"]]]
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        yield "failed", f"{data}: cannot be compared with the contract: {error}", data
        return
    if listed != [found, found]:
        yield "failed", f"{data}: has other columns than the contract", data
    else:
        yield "ok", f"{data}: the {len(found)} columns of {contract_name} and {schema_name}", data


def _epsilon(privacy: Any) -> Iterator[Line]:
    """Yield the epsilon composed again from the mechanisms."""
    if not isinstance(privacy, dict):
        return
    if not privacy.get("guarantee"):
        yield "note", f"{names.PRIVACY}: no differential privacy is promised", names.PRIVACY
        return
    try:
        epsilon = compose_charges(privacy["mechanisms"], privacy["delta"])
        same = math.isclose(epsilon, privacy["epsilon"], rel_tol=1e-6)
    except (PrivacyError, KeyError, TypeError, ValueError) as error:
        yield "failed", f"{names.PRIVACY}: epsilon cannot be composed from the mechanisms: {error}", names.PRIVACY
        return
    count, delta = len(privacy["mechanisms"]), privacy["delta"]
    if same:
        text = f"epsilon {epsilon:.4g} at delta {delta:.3g}, composed again from its {count} mechanisms"
        yield "ok", f"{names.PRIVACY}: {text}", names.PRIVACY
    else:
        text = f"epsilon is {privacy['epsilon']!r}, but its {count} mechanisms compose to {epsilon:.6g}"
        yield "failed", f"{names.PRIVACY}: {text}", names.PRIVACY


def _waivers(document: Any) -> Iterator[Line]:
    if not isinstance(document, dict):
        return
    gates = document.get("gates", [])
    for gate in gates:
        if not gate["passed"] and gate.get("waiver"):
            waiver = gate["waiver"]
            text = f"{gate['gate']} was missed, and waived by {waiver['who']} until {waiver['until']}: {waiver['why']}"
            yield "note", text, names.GATES
        elif not gate["passed"]:
            yield "failed", f"{names.GATES}: {gate['gate']} was missed and is not waived", names.GATES
    passed = sum(bool(gate["passed"]) for gate in gates)
    yield "ok", f"{names.GATES}: {passed} of {len(gates)} gates passed when the release was built", names.GATES
