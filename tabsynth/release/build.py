"""Build a release: data, contract, evidence, cards, versions, manifest and signature, in a folder or a zip."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tabsynth.common.input_files import read_json
from tabsynth.common.model_file import ModelFile
from tabsynth.common.model_file import load as load_model_file
from tabsynth.data.database.folders import holds_linked_tables, read_folder
from tabsynth.data.provenance import file_hash
from tabsynth.data.read_write import write
from tabsynth.data.table import Table
from tabsynth.errors import InputError
from tabsynth.evaluation.gates import DEFAULT
from tabsynth.evaluation.relational.database_report import FORMAT as DATABASE_FORMAT
from tabsynth.evaluation.relational.database_report import DatabaseReport
from tabsynth.evaluation.relational.encoded_database import relax_database
from tabsynth.evaluation.report import Report
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.audit.report import AuditReport
from tabsynth.release import about as names
from tabsynth.release.about import About
from tabsynth.release.documents.allowed_keys import check_keys
from tabsynth.release.documents.cards import data_card, model_card, report_page
from tabsynth.release.documents.contract import csv_schema, pandera_yaml, table_schema
from tabsynth.release.documents.descriptors import croissant, data_package, key_schema
from tabsynth.release.documents.evidence import (
    is_private,
    public_audit,
    public_evaluation,
    public_model,
    public_privacy,
)
from tabsynth.release.documents.released_tables import ReleasedTable, linked_tables, single_table
from tabsynth.release.documents.versions import bill_of_materials
from tabsynth.release.gates import GateResult, check_gates
from tabsynth.release.keys import fingerprint, read_private_key
from tabsynth.release.manifest import MANIFEST, SIGNATURE, FileEntry, canonical_json, sign, write_manifest
from tabsynth.release.publish import check_output, publish, staging_folder
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.base import Synthesizer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True)
class Release:
    """A release that was written.

    Attributes:
        path: The folder, zip or encrypted zip.
        files: Size and SHA-256 of its files, without manifest and signature.
        gates: The gates, passed or waived.
        key: Fingerprint of the key that signed it.
    """

    path: Path
    files: Mapping[str, FileEntry] = field(repr=False)
    gates: Sequence[GateResult]
    key: str

    def to_dict(self) -> dict[str, Any]:
        """Return the release as plain data."""
        gates = [gate.to_dict() for gate in self.gates]
        return {"release": str(self.path), "files": sorted(self.files), "gates": gates, "key": self.key}


def build(
    output: str | Path,
    data: pd.DataFrame | Table | Mapping[str, pd.DataFrame] | str | Path,
    *,
    about: About | Mapping[str, Any],
    key: str | Path,
    password: str | None = None,
    model: Synthesizer | str | Path | None = None,
    schema: Schema | DatabaseSchema | None = None,
    evaluation: Report | DatabaseReport | str | Path | None = None,
    audit: AuditReport | str | Path | None = None,
    ledger: PrivacyLedger | str | Path | None = None,
    gates: str | Path | Mapping[str, Any] = DEFAULT,
    waivers: Iterable[Mapping[str, Any]] = (),
    recipients: Sequence[str] = (),
) -> Release:
    """Build a signed release. Nothing is written, and nothing is replaced, unless every gate is passed or waived.

    Equal inputs give equal bytes (those of an encrypted release differ each time).

    Args:
        output: A folder, or a file ``NAME.zip`` (``NAME.zip.age`` with recipients). An earlier release is replaced.
        data: The synthetic rows; or linked tables, by name or as a folder of files.
        about: Name, title, description, licence, publisher, version and date.
        key: File of the private key that signs.
        password: Of the private key, if it has one.
        model: The model, or its file: gives schema, ledger and model card.
        schema: The schema of the columns, and the keys of linked tables; default: the model's, else inferred from the
            synthetic rows.
        evaluation: The evaluation of these rows, or its JSON file.
        audit: The audit of these rows, or its JSON file.
        ledger: The data set's ledger, which must contain the model's charges.
        gates: Limits of scores, as for ``tabsynth evaluate --gates``.
        waivers: Gates that may be missed: mappings of gate, who, why and until.
        recipients: Public keys of age (``age1...``) or SSH to which the zip is encrypted.

    Raises:
        GateError: A gate is missed and not waived.
        SourceError: A file cannot be read or written, or the output is something else than a release.
        InputError: An argument is invalid.
    """
    facts, target = About.of(about), Path(output)
    check_output(target, recipients)
    signer = read_private_key(key, password)
    file = model.to_file() if isinstance(model, Synthesizer) else None if model is None else load_model_file(model)
    spent = None if file is None or not file.config.get("ledger") else PrivacyLedger.from_dict(file.config["ledger"])
    dataset = ledger if isinstance(ledger, PrivacyLedger) or ledger is None else PrivacyLedger.open(ledger)
    report = read_evaluation(evaluation) if isinstance(evaluation, (str, Path)) else evaluation
    attacks = AuditReport.from_dict(read_json(audit, "audit")) if isinstance(audit, (str, Path)) else audit
    frames, tables = _tables(data, schema, file, facts)
    if report is not None and isinstance(report, DatabaseReport) != isinstance(frames, Mapping):
        raise InputError("the evaluation and the data differ: one is of one table, the other of linked tables")
    results = check_gates(frames, report, attacks, spent, dataset, gates=gates, waivers=waivers, date=facts.date)

    with staging_folder(target) as folder:
        entries = _write_data(tables, folder)
        texts = _documents(facts, tables, entries, report, attacks, spent, dataset, results, file)
        for name, text in texts.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(text)
            entries[name] = FileEntry(len(text), hashlib.sha256(text).hexdigest())
        _write_signature(folder, entries, facts, signer)
        publish(folder, target, recipients)
    return Release(target, entries, results, fingerprint(signer.public_key()))


def read_evaluation(path: str | Path) -> Report | DatabaseReport:
    """Read the JSON file of an evaluation, of one table or of linked tables.

    Raises:
        InputError: It is not such a file.
    """
    found = read_json(path, "evaluation")
    is_database = isinstance(found, Mapping) and found.get("format") == DATABASE_FORMAT
    return DatabaseReport.from_dict(found) if is_database else Report.from_dict(found)


def _tables(
    data: pd.DataFrame | Table | Mapping[str, pd.DataFrame] | str | Path,
    schema: Schema | DatabaseSchema | None,
    model: ModelFile | None,
    about: About,
) -> tuple[pd.DataFrame | dict[str, pd.DataFrame], list[ReleasedTable]]:
    """Return the rows, and the same with what may be said of them; what frames carry along is internal."""
    is_folder = isinstance(data, (str, Path)) and holds_linked_tables(data)
    if not is_folder and not isinstance(data, Mapping):
        if isinstance(schema, DatabaseSchema):
            raise InputError(
                "the schema is of linked tables, but the data are one table; pass the schema of this table"
            )
        own = schema or (None if model is None else Schema.from_dict(model.config["schema"]))
        table = Table.of(data, own)
        frame = _plain(table.frame)
        return frame, single_table(about.name, frame, table.schema)
    if isinstance(schema, Schema):
        raise InputError("the schema is of one table, but the data are several; pass a DatabaseSchema")
    known = schema or (None if model is None else DatabaseSchema.from_dict(model.config["schema"]))
    if isinstance(data, Mapping):
        frames, found = dict(data), known or DatabaseSchema.infer(data)
    else:
        assert isinstance(data, (str, Path))
        frames, found = read_folder(data, None if known is None else relax_database(known))
    frames = {name: _plain(frame) for name, frame in frames.items()}
    return frames, linked_tables(frames, known or found)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    out = frame.copy(deep=False)
    out.attrs = {}
    return out


def _write_data(tables: Sequence[ReleasedTable], folder: Path) -> dict[str, FileEntry]:
    (folder / "data").mkdir(parents=True)
    for table in tables:
        write(table.frame, folder / table.parquet)
        write(table.frame, folder / table.csv, csv_schema(table.frame))
    return {name: _entry(folder / name) for table in tables for name in (table.parquet, table.csv)}


def _documents(
    about: About,
    tables: Sequence[ReleasedTable],
    entries: Mapping[str, FileEntry],
    report: Report | DatabaseReport | None,
    attacks: AuditReport | None,
    ledger: PrivacyLedger | None,
    dataset: PrivacyLedger | None,
    results: Sequence[GateResult],
    model: ModelFile | None,
) -> dict[str, bytes]:
    """Return all documents, by name; the keys of each are checked against the list of those that may enter."""
    private = is_private(ledger)
    evaluation = {} if report is None else public_evaluation(report, private)
    audit = {} if attacks is None else public_audit(attacks, private)
    privacy = public_privacy(ledger, dataset)
    gates = [result.to_dict() for result in results]
    dated = {"format": "tabsynth-release-gates", "version": 1, "date": about.date.isoformat(), "gates": gates}
    plain: dict[str, Any] = {
        **{table.table_schema: {**table_schema(table.columns), **key_schema(table)} for table in tables},
        names.PACKAGE: data_package(about, tables, entries),
        names.CROISSANT: croissant(about, tables, entries, privacy),
        names.EVALUATION: evaluation,
        names.AUDIT: audit,
        names.PRIVACY: privacy,
        names.GATES: dated,
        names.VERSIONS: bill_of_materials(about),
    }
    out = {}
    for name, document in plain.items():
        if document:
            check_keys(name, document)
            out[name] = canonical_json(document)
    for table in tables:
        out[table.contract] = pandera_yaml(table.columns, table.name if table.is_linked else about.title).encode()
    card = public_model(None if model is None else model.config, "" if model is None else model.kind)
    out[names.MODEL_CARD] = model_card(about, card, privacy).encode()
    out[names.DATA_CARD] = data_card(about, tables, evaluation, audit, privacy).encode()
    out[names.REPORT] = report_page(about, evaluation, audit, privacy, gates).encode()
    return out


def _write_signature(folder: Path, entries: Mapping[str, FileEntry], about: About, key: Ed25519PrivateKey) -> None:
    manifest = write_manifest(entries, name=about.name, version=about.version, date=about.date.isoformat())
    (folder / MANIFEST).write_bytes(manifest)
    (folder / SIGNATURE).write_bytes(sign(manifest, key))


def _entry(path: Path) -> FileEntry:
    return FileEntry(path.stat().st_size, file_hash(path))
