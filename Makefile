# Two commands do everything on a fresh clone: `make demo` and `make test`. They need Python 3.11+ and make.

PYTHON ?= python3
VENV ?= .venv
DATA ?=
TARGET ?=
WORKERS ?= 2
NOTEBOOKS ?=

PY := $(VENV)/bin/python
STAMP := $(VENV)/.tabsynth-installed

# One thread for each test worker: more would only fight over the cores.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# By group: tests that share a fitted model run in one worker, so that it is fitted once, and in the order of
# tests/conftest.py: what takes long first.
PYTEST := $(ONE_THREAD) $(PY) -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder --doctest-modules

# Only these have an example; the others need not be searched.
DOCTESTS = $(shell find -L tabsynth -name '*.py' -exec grep -l '>>>' {} +)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all check format docs notebooks bench bench-short licences vulnerabilities clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv and install everything, pinned

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("tabsynth needs Python 3.11 or later, this is " + sys.version.split()[0] + ": set PYTHON=") if sys.version_info < (3, 11) else None'
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

demo: setup ## Read, fit, sample and evaluate a table: DATA=table.csv TARGET=column, by default two tables of scikit-learn
	$(PY) examples/demo.py $(if $(DATA),--data "$(DATA)") $(if $(TARGET),--target "$(TARGET)")

test: setup ## Tests and the examples in docstrings, without the slow ones
	$(PYTEST) -m "not slow" tests $(DOCTESTS)

test-all: setup ## All tests, the slow ones too
	$(PYTEST) tests $(DOCTESTS)

check: setup ## Linter, types and import layers
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy --strict
	$(VENV)/bin/lint-imports

format: setup ## Bring the code into the house style
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

docs: setup ## The documentation, in build/site: strict, no broken link
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet

notebooks: setup ## Execute the notebooks of examples/ and keep their outputs, small: NOTEBOOKS="quickstart.ipynb" for some
	$(ONE_THREAD) $(PY) examples/execute_notebooks.py $(NOTEBOOKS)

bench: setup ## Every benchmark, in full
	@set -e; for file in benchmarks/[!_]*.py; do echo "== $$file"; $(PY) "$$file"; done

bench-short: setup ## One short pass of every benchmark
	@$(ONE_THREAD) $(PY) benchmarks/_short.py --workers $(WORKERS)

licences: setup ## The licence of every installed package
	$(PY) -c 'import importlib.metadata as m; [print("\t".join((d.name, d.version, d.metadata.get("License-Expression") or next((c.split(" :: ")[-1] for c in d.metadata.get_all("Classifier", []) if c.startswith("License")), "") or (d.metadata.get("License") or "not stated").splitlines()[0]))) for d in sorted(m.distributions(), key=lambda d: d.name.lower())]'

vulnerabilities: setup ## Known vulnerabilities of the pinned packages; needs the network (pip-audit in build/audit)
	test -x build/audit/bin/pip-audit || { $(PYTHON) -m venv build/audit && build/audit/bin/pip install --quiet pip-audit; }
	build/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip

clean: ## Remove the environment and everything built
	rm -rf $(VENV) build dist output *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
