# Needs Python 3.11 or newer and make, nothing else. `make` lists what there is to make.

PYTHON ?= python3
# A second Python gets a second environment: make PYTHON=python3.12 test
VENV ?= .venv$(if $(filter-out python3,$(PYTHON)),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := results/demo

# One worker a core and one thread a worker: more threads than cores make small matrix products slower.
JOBS ?= auto
PYTEST := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint mutants fuzz soak audit docs pages format clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## make the virtual environment, with the tested versions

demo: $(READY) ## one published experiment on the embedded digits, beside the paper's numbers, and its page
	$(BIN)/ohmweave demo --out $(DEMO)

test: $(READY) ## the tests, without the slow ones
	$(PYTEST) -m "not slow"

check: lint test ## everything that CI runs: style, types, layers, tests, slow tests, documentation
	$(PYTEST) -m slow

lint: $(READY) ## style, types and layers only
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

MODULES ?= base cells circuit arrays programming fitting mapping nn cost optim
MUTANTS ?= 100

mutants: $(READY) ## plant faults in the sources, one at a time: the tests should fail for each (MODULES, MUTANTS)
	$(BIN)/python tests/mutants.py --n $(MUTANTS) --modules $(MODULES)

N ?= 10000

fuzz: $(READY) ## call everything public with wrong arguments, and load crafted files (N inputs)
	$(BIN)/python -m tests.fuzz $(N)

SHARE ?= 0.1

soak: $(READY) ## a million reads, updates, placements and rows, or a SHARE: memory, counters, bills and times
	$(BIN)/python -m tests.soak $(SHARE)

# --strict: a version that the service of advisories does not know is an error, not a note.
audit: ## known vulnerabilities of the tested versions, by pip-audit in an environment of its own
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	.venv-audit/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

docs: $(READY) ## the documentation as a site that opens from disk: site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet --site-dir site
	@echo "$(CURDIR)/site/index.html"

pages: $(READY) ## run the tutorials and the pages that show outputs, and write what they print and draw into them
	$(BIN)/python -m tests.docs.pages $$(grep -l -e '<!-- output -->' -e 'images/gallery' -r docs --include=*.md)

format: $(READY) ## rewrite the sources in the house style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove the environments, caches and the demo's results
	rm -rf .venv .venv-* build dist site $(DEMO) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ohmweave needs Python 3.11 or newer; say which: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,distributed,docs,fast]"
	@# badcrossbar, an independent circuit solver, is a referee of the tests. Its plotting wants cairo, its solver does not.
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps badcrossbar pathvalidate
	@touch $@
