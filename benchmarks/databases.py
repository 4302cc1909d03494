"""PostgreSQL to PostgreSQL: time, the most memory that reading and writing held, and whether anything was lost.

A temporary server is started, as in the tests; a table of 15 columns with keys, NOT NULL, CHECK and missing values is
copied to another database on it, in batches and as a whole.

    python benchmarks/databases.py            1 million rows
    python benchmarks/databases.py --short    20,000 rows
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

TABLE = """
CREATE TYPE ward AS ENUM ('north', 'south', 'east');
CREATE TABLE visits (
  id bigint PRIMARY KEY, person integer NOT NULL, ward ward NOT NULL, code varchar(8) NOT NULL,
  cost numeric(10,2) NOT NULL CHECK (cost >= 0), share double precision CHECK (share >= 0 AND share <= 1),
  rate real, age smallint NOT NULL CHECK (age >= 0 AND age <= 120), urgent boolean, day date NOT NULL,
  start timestamptz, stop timestamp, reference uuid, note text, kind text NOT NULL CHECK (kind IN ('a', 'b', 'c'))
);
INSERT INTO visits SELECT i, i % 200000, (ARRAY['north','south','east'])[1 + i % 3]::ward, 'c' || i % 5000,
  (i::bigint * 7919 % 1000000) / 100.0, CASE WHEN i % 11 > 0 THEN (i * 31 % 1000) / 1000.0 END, i % 97 / 7.0, i % 121,
  CASE WHEN i % 13 > 0 THEN i % 2 = 0 END, date '2000-01-01' + i % 9000,
  CASE WHEN i % 5 > 0 THEN timestamptz '2020-01-01 00:00+00' + i * interval '1 minute' END,
  timestamp '2020-01-01' + i * interval '1 second', md5(i::text)::uuid,
  CASE WHEN i % 3 > 0 THEN 'note ' || i % 1000 END, (ARRAY['a','b','c'])[1 + i % 3]
  FROM generate_series(1, {rows}) AS i;
"""

DEFINITION = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull FROM pg_attribute a
WHERE a.attrelid = 'visits'::regclass AND a.attnum > 0 ORDER BY a.attnum;
SELECT contype FROM pg_constraint WHERE conrelid = 'visits'::regclass ORDER BY 1;
"""

CONTENT = "SELECT count(*), md5(string_agg(v::text, ',' ORDER BY id)) FROM visits v"


def copy(source: str, target: str, *, whole: bool) -> None:
    """Copy the table and print time and memory; runs in a process of its own, so that the peak is its own."""
    import tabsynth as ts
    from tabsynth.data.batch_reader import Batches
    from tabsynth.data.read_write import write_chunks
    from tabsynth.data.sql import read_schema

    read_schema(f"{source}#visits")  # what is loaded by then is the program, not the data
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter(), time.process_time()
    if whole:
        ts.write(ts.read(source, table="visits").frame, target, read_schema(source, "visits"), table="visits")
    else:
        with write_chunks(target, read_schema(source, "visits"), table="visits") as append:
            for frame in Batches(f"{source}#visits").frames():
                append(frame)
    figures = {
        "seconds": round(time.perf_counter() - began[0], 1),
        "processor seconds": round(time.process_time() - began[1], 1),
        "MB before": before // 1024,
        "MB at most": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(figures))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="20,000 rows")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--copy", nargs=3, metavar=("SOURCE", "TARGET", "HOW"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.copy:
        copy(args.copy[0], args.copy[1], whole=args.copy[2] == "whole")
        return
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        print("skipped: PostgreSQL is not installed")
        return
    sys.path.insert(0, str(ROOT / "tests" / "data" / "sql"))
    from conftest import new_server

    server = new_server()
    try:
        server.psql(TABLE.format(rows=20_000 if args.short else args.rows))
        original = server.psql(DEFINITION), server.psql(CONTENT)
        for how in ("batches", "whole"):
            server.psql(f"CREATE DATABASE {how}")
            line = [sys.executable, __file__, "--copy", server.url, server.url_of(how), how]
            done = subprocess.run(line, capture_output=True, text=True, check=True)
            is_same = (server.psql(DEFINITION, how), server.psql(CONTENT, how)) == original
            print(f"{how}: {done.stdout.strip()}, definition and content are {'kept' if is_same else 'NOT KEPT'}")
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
