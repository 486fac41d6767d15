# `make demo`, `make test` and `make serve` need Python 3.11 or later with its venv module, and nothing else.

# Another interpreter: make PYTHON=python3.12 demo
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TESTS_READY := $(VENV)/.ready-for-tests
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo serve test lint format types unit docs guide screenshots clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY)  ## Transform the example photo in several styles and strengths, into out/
	$(BIN)/underpaint demo $(ARGS)

serve: $(READY)  ## Start the server on http://127.0.0.1:8080; ARGS="--port 9000" adds options
	$(BIN)/underpaint serve $(ARGS)

test: lint types unit  ## Run every check and test, as continuous integration does

lint: $(TESTS_READY)  ## Check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(TESTS_READY)  ## Check types
	$(BIN)/mypy

# Three at a time, on two cores: many tests wait for servers and clients, and each of those has threads of its own.
unit: $(TESTS_READY)  ## Run the tests; ARGS="tests/wire -k seed" runs some of them
	$(BIN)/pytest --numprocesses 3 --dist loadfile $(ARGS)

format: $(TESTS_READY)  ## Format the code and mend what can be mended by itself
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(TESTS_READY)  ## Write the generated pages of docs/ anew
	$(BIN)/python docs/generate.py

guide: $(READY)  ## Make the pictures of docs/guide anew
	$(BIN)/python docs/recipes.py

screenshots: $(TESTS_READY)  ## Take the pictures of the playground in docs/images anew; ARGS="sheet phone" takes some of them
	$(BIN)/python docs/screenshots.py $(ARGS)

clean:  ## Remove the environment, caches and out/
	rm -rf $(VENV) out dist .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests docs examples -name __pycache__ -type d -prune -exec rm -rf {} +

# torch comes first and alone, so that pip settles on its build (CUDA where PyPI offers one) before all that needs it.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "Underpaint needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1 || echo missing)." >&2; \
	    echo "If another one is installed: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	    echo "The venv module is missing; on Debian and Ubuntu: apt-get install python3-venv" >&2; rm -rf $(VENV); exit 1; }
	@echo "Installing PyTorch and the other packages into $(VENV). This happens once, and takes some minutes."
	$(PIP) install --constraint constraints.txt torch==2.13.0
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

$(TESTS_READY): $(READY)
	@echo "Installing what the tests need."
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev,training]'
	@touch $@
