"""Mix tables larger than memory: harmonise batch by batch to disk, join there, and write the result at the end.

Unions and joins by equal keys are supported. Steps that need all rows at once (probabilistic links, votes, fusing,
imputation, weights) are rejected before reading.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from tabsynth.common.atomic_files import check_writable, temporary_folder
from tabsynth.common.progress import progress_bar
from tabsynth.data.batch_reader import BATCH_ROWS, Batches
from tabsynth.data.file_formats import file_format
from tabsynth.data.provenance import attach_provenance, write_sidecar
from tabsynth.data.read_write import write_chunks
from tabsynth.errors import InputError, missing_package, quote
from tabsynth.mixing.checks import check_alarms
from tabsynth.mixing.column_types import cast_to, common_type, to_frame
from tabsynth.mixing.harmonise import check_recodings_used
from tabsynth.mixing.inputs import open_inputs
from tabsynth.mixing.linkage.database import open_database
from tabsynth.mixing.linkage.exact import check_growth
from tabsynth.mixing.linkage.spec import LinkSpec
from tabsynth.mixing.out_of_core.disk_join import KEY_COLUMN, MAX_MEMORY, KeyCounts, count_keys, join_sources
from tabsynth.mixing.out_of_core.eligibility import complete_plan, record_keys, unsupported_features
from tabsynth.mixing.out_of_core.staging import ROW_COLUMN, StagedSource, stage_source
from tabsynth.mixing.plan.plan import Plan
from tabsynth.mixing.report import MAX_DOMAIN_ROWS, mix_report, mixed_schema, provenance
from tabsynth.schema.columns import Numeric
from tabsynth.schema.schema import Schema


@dataclass(frozen=True, kw_only=True)
class MixedFile:
    """A mixed table on disk.

    Attributes:
        path: Its file.
        rows: Number of rows.
        schema: The schema: declared by the target, else inferred from evenly spaced rows.
        plan_hash: The hash of the applied plan.
        report: As in ``Mixed``.
    """

    path: Path
    rows: int
    schema: Schema = field(repr=False)
    plan_hash: str
    report: dict[str, Any] = field(repr=False)


def mix_to_file(plan: Plan, output: str | Path, tables: Mapping[str, pd.DataFrame] | None, seed: int) -> MixedFile:
    """Mix into a file with the memory of one batch; the file appears only when complete.

    Args:
        plan: A decided plan.
        output: A Parquet or CSV file.
        tables: Sources given as frames.
        seed: Seed of the domain shift.

    Raises:
        InputError: The plan needs all rows in memory, or does not fit its inputs.
        DataError: As ``mix``.
        MissingDependencyError: DuckDB is not installed.
    """
    needs = unsupported_features(plan)
    if needs:
        raise InputError(
            f"the plan cannot be applied batch by batch: {quote(needs)} needs all rows at once; leave output out to "
            "mix in memory, or change the plan"
        )
    if importlib.util.find_spec("duckdb") is None:
        raise missing_package("mixing out of memory", "duckdb", "mixing")
    if plan.combine["op"] == "join" and plan.link["engine"] == "none" and len(plan.inputs) > 1:
        raise InputError("a join needs linked rows: set link to exact, or combine to union")
    target = Path(output)
    kind = file_format(target)
    if kind in ("excel", "arrow"):
        raise InputError(
            f"cannot write {str(target)!r} batch by batch (Excel sheets are limited in rows); choose .parquet or .csv"
        )
    check_writable(target)
    inputs = open_inputs(plan, tables)
    whole = complete_plan(plan, inputs)
    with temporary_folder(".mixing-", target.resolve()) as folder:
        staged = _stage_sources(whole, inputs, folder)
        check_recodings_used(whole, {name: part.done for name, part in staged.items()})
        con = open_database(folder, MAX_MEMORY, threads=2, ordered=True)
        try:
            mixed = OutOfCoreMix(plan, staged, con, folder, seed)
        finally:
            con.close()
        with write_chunks(target) as append:
            for frame in mixed.frames():
                append(attach_provenance(frame, mixed.provenance))
    if kind != "parquet":
        write_sidecar(target, mixed.provenance)
    return MixedFile(path=target, rows=mixed.rows, schema=mixed.schema(), plan_hash=plan.hash, report=mixed.report)


def _stage_sources(plan: Plan, inputs: Mapping[str, Batches], folder: Path) -> dict[str, StagedSource]:
    """Harmonise every source into its own file."""
    fields, records = tuple(plan.link.get("fields", ())), record_keys(plan)
    out: dict[str, StagedSource] = {}
    start = 0
    with progress_bar(len(inputs), "harmonise", "source", None) as bar:
        for i, (source, table) in enumerate(inputs.items()):
            keys = (fields if plan.link["engine"] == "exact" else ()) or records[source]
            out[source] = stage_source(table, source, plan, keys, folder / f"s{i}.parquet", start)
            start += out[source].rows
            bar.update()
    return out


class OutOfCoreMix:
    """The mixed table in batches, with its report."""

    def __init__(self, plan: Plan, staged: Mapping[str, StagedSource], con: Any, folder: Path, seed: int) -> None:
        self.plan, self.staged, self.folder = plan, staged, folder
        spec: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in plan.link.items()}
        known = [source for source, item in plan.inputs.items() if item.key]
        linked = list(staged) if spec["engine"] == "exact" else known
        paths = {source: part.path for source, part in staged.items()}
        keys = count_keys(con, paths, LinkSpec(**spec), linked, len(known) == len(staged))
        check_alarms(plan, keys.report)
        self.columns = {
            name: [s for s in staged if s in match.sources]
            for name, match in plan.mapped.items()
            if plan.combine["op"] == "join"
            or plan.combine["on_missing_column"] != "drop"
            or len(match.sources) == len(staged)
        }
        if not self.columns:
            raise InputError("no column is in all sources, so on_missing_column: drop leaves nothing; choose mask")
        self.types = {n: common_type(n, {s: staged[s].facts[n] for s in have}) for n, have in self.columns.items()}
        self.sample: list[pd.DataFrame] = []
        self.conflicts: dict[str, int] = {}
        self.gaps: set[str] = set()
        self.n_seen = 0
        self.joined = self._join(con, keys) if plan.combine["op"] == "join" else None
        self.rows = self.joined.metadata.num_rows if self.joined else sum(part.rows for part in staged.values())
        self.report = self._report(keys, seed)
        self.provenance = provenance(plan, self.report["inputs"], self.rows, self.report["privacy"])

    def frames(self) -> Iterator[pd.DataFrame]:
        """Yield the rows in order, in batches."""
        with progress_bar(self.rows, "write", "row", None) as shown:
            for table in self._union() if self.joined is None else self._side_by_side():
                frame = to_frame(table)
                step = -(-self.rows // MAX_DOMAIN_ROWS)
                self.sample.append(
                    frame.iloc[-self.n_seen % step :: step].copy()
                )  # a view would keep the batch in memory
                self.n_seen += len(frame)
                self.gaps |= {name for name in self.columns if frame[name].isna().any()}
                shown.update(len(frame))
                yield frame
        if self.joined is not None:
            self.joined.close()
            self.report["combine"]["conflicts"] = {
                name: {"rule": "trust", "conflicts": count} for name, count in self.conflicts.items()
            }

    def _union(self) -> Iterator[pa.Table]:
        for source, part in self.staged.items():
            have = [name for name, sources in self.columns.items() if source in sources]
            for batch in part.batches(have):
                yield self._typed(source, batch).append_column("_source", pa.array([source] * len(batch)))

    def _typed(self, source: str, batch: pa.Table) -> pa.Table:
        """Return a batch in the types of the mixed table, with local keys prefixed by their source."""
        local = self.plan.link["engine"] != "exact"
        out = {}
        for name, kind in self.types.items():
            identifier = local and self.plan.mapped[name].kind == "identifier"
            kind = pa.string() if identifier else kind
            if name not in batch.column_names:
                out[name] = pa.nulls(len(batch), kind)
                continue
            values = batch[name].combine_chunks()
            if identifier:
                whole = cast_to(cast_to(values, self.types[name]), pa.string())
                values = pa.compute.binary_join_element_wise(f"{source}:", whole, "")
            out[name] = cast_to(values, kind)
        return pa.table(out)

    def _join(self, con: Any, keys: KeyCounts) -> pyarrow.parquet.ParquetFile:
        """Join the sources in a file."""
        check_growth(keys.growth, float(self.plan.combine["max_growth"]), str(self.plan.combine["cardinality"]))
        paths = {}
        for i, (source, part) in enumerate(self.staged.items()):
            have = [name for name, sources in self.columns.items() if source in sources]
            names = [*(f"c{list(self.columns).index(name)}" for name in have), ROW_COLUMN, KEY_COLUMN]
            kinds = [*(self.types[name] for name in have), pa.int64(), pa.string()]
            paths[source] = self.folder / f"t{i}.parquet"
            with pyarrow.parquet.ParquetWriter(paths[source], pa.schema(zip(names, kinds, strict=True))) as writer:
                for batch in part.batches([*have, ROW_COLUMN, keys.column]):
                    typed = [cast_to(batch[n].combine_chunks(), self.types[n]) for n in have]
                    writer.write_table(pa.table([*typed, batch[ROW_COLUMN], batch[keys.column]], schema=writer.schema))
        trust = {name: item.trust for name, item in self.plan.inputs.items()}
        join_sources(con, paths, list(self.columns.values()), trust, self.folder / "joined.parquet")
        return pyarrow.parquet.ParquetFile(self.folder / "joined.parquet", pre_buffer=False)

    def _side_by_side(self) -> Iterator[pa.Table]:
        assert self.joined is not None
        flags = {f"x{i}": n for i, (n, have) in enumerate(self.columns.items()) if len(have) > 1}
        chosen = [*(f"c{i}" for i in range(len(self.columns))), "_source"]
        for batch in self.joined.iter_batches(BATCH_ROWS):
            for flag, name in flags.items():
                found = pa.compute.sum(batch.column(flag)).as_py() or 0
                self.conflicts[name] = self.conflicts.get(name, 0) + int(found)
            yield pa.Table.from_batches([batch]).select(chosen).rename_columns([*self.columns, "_source"])

    def _report(self, keys: KeyCounts, seed: int) -> dict[str, Any]:
        """Return the report, as in ``Mixed``."""
        plan, rows = self.plan, {name: part.rows for name, part in self.staged.items()}
        combine: dict[str, Any] = {"op": "union", "rows_in": sum(rows.values()), "rows_out": self.rows}
        factor = keys.exposure.factor
        if self.joined is not None:
            combine |= {"op": "join", "growth": round(keys.growth.factor, 4), "cardinality": keys.growth.cardinality}
            combine["entities"] = sum(keys.exposure.sources.values())
            factor = keys.joined
        return mix_report(
            plan,
            {name: part.done for name, part in self.staged.items()},
            keys.report,
            combine,
            {name: self._some(name) for name in self.staged},
            rows=rows,
            factor=factor,
            seed=seed,
        )

    def _some(self, source: str) -> pd.DataFrame:
        """Return the evenly spaced rows of a source."""
        part = self.staged[source]
        have = [name for name, sources in self.columns.items() if source in sources]
        step, n_seen, out = -(-part.rows // MAX_DOMAIN_ROWS), 0, []
        for batch in part.batches(have):
            at = np.arange(-n_seen % step, len(batch), step)
            n_seen += len(batch)
            typed = {n: cast_to(batch[n].combine_chunks().take(pa.array(at)), self.types[n]) for n in have}
            out.append(pa.table(typed).to_pandas())
        some: pd.DataFrame = pd.concat(out, ignore_index=True)
        return some

    def schema(self) -> Schema:
        """Return the schema inferred from the sampled rows, corrected by facts about all rows."""
        found = mixed_schema(self.plan, pd.concat(self.sample, ignore_index=True))
        columns = dict(found.columns)
        for name, kind in self.types.items():
            column = columns[name]
            if name in self.gaps and not column.nullable:
                columns[name] = column = replace(column, nullable=True, origin="inferred")
            if isinstance(column, Numeric) and column.origin == "inferred" and column.decimals == 0:
                columns[name] = replace(column, decimals=0 if kind == pa.int64() else None)
        return Schema(columns, found.constraints)
