"""Execute the notebooks and keep their outputs, small: `make notebooks`, or this script with the names of some.

Each notebook runs in an empty folder, so that no output shows a path. Pages are shown by their text: a viewer of files
does not render them, and one page is larger than all the rest. Warnings are refused, because a reader would take them
for a fault of the example: fix the notebook.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbclient
import nbformat

EXAMPLES = Path(__file__).resolve().parent
DATA = EXAMPLES.parent.parent / "shared" / "data"
"""Default folder of the tables that do not ship; TABSYNTH_DATA names another."""

MAX_HTML = 20_000
"""Characters of the longest HTML output that is kept."""

TIMEOUT = 1800
"""Seconds for one cell."""


def execute(path: Path) -> nbformat.NotebookNode:
    """Run a notebook in an empty folder and return it with small outputs.

    Raises:
        SystemExit: A cell writes to the error stream.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = nbclient.NotebookClient(
            notebook,
            timeout=TIMEOUT,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                raise SystemExit(f"{path.name}: a cell warns, fix it:\n{cell.source}\n{output.text}")
            if len(output.get("data", {}).get("text/html", "")) > MAX_HTML:
                del output["data"]["text/html"]
    notebook.metadata.pop("language_info", None)  # the version of this machine's Python
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def main() -> None:
    """Execute the notebooks that are named on the command line, or all."""
    os.environ.setdefault("TABSYNTH_DATA", str(DATA))
    for path in [EXAMPLES / name for name in sys.argv[1:]] or sorted(EXAMPLES.glob("*.ipynb")):
        notebook = execute(path)
        nbformat.write(notebook, path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
