# A thin layer over .venv, pytest and tools/: every target works on a fresh machine with Python, Go and make.

PYTHON ?= python3
BIN := .venv/bin
SDK := sdk/python/pulumi_runpod_serverless
# The generated SDK is not ours to format or lint; the hand-written modules beside it are.
SOURCES = . $(wildcard $(foreach name,dynamic testing jobs,$(SDK)/$(name) $(SDK)/$(name).py))

.PHONY: help env engine schema sdk readme demo live reliability test check format lint types layers generated bench smoke lock clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: .venv/.stamp ## Create .venv with the pinned dependencies and this project.

.venv/.stamp: constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed; name one: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --requirement constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

engine: env ## Provide the Pulumi engine in .engine: from PATH, built with Go, or downloaded.
	@$(BIN)/python tools/engine.py

schema: env ## Write schema.json from the models.
	@$(BIN)/python tools/generate.py schema

sdk: engine ## Write the Python SDK from schema.json.
	@$(BIN)/python tools/generate.py sdk

readme: env ## Write the generated tables of README.md.
	@$(BIN)/python tools/generate.py readme

demo: engine ## Show a stack's whole life on the real engine and the emulator.
	@$(BIN)/python tools/demo.py

live: engine ## Run the cheap part of a stack's life on a real account (RUNPOD_LIVE_TEST=1 and an API key).
	@$(BIN)/python tools/live.py

reliability: engine ## Measure what happens under faults, kills and storms, and print the scorecard (some hours).
	@$(BIN)/python -m tools.reliability

test: engine ## Run every test, and the checks as tests.
	$(BIN)/python -m pytest --numprocesses auto --cov

check: lint types layers generated ## Run every check by itself, then the tests.
	$(BIN)/python -m pytest --numprocesses auto --cov -m "not gate"

format: env ## Format the sources and repair what the linter can.
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lint: env ## Hold the sources against the formatter and the linter.
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)

types: env ## Check the types of the provider, the emulator and the tools.
	$(BIN)/mypy

layers: env ## Check that imports point down only.
	$(BIN)/lint-imports

generated: engine ## Check that schema.json, the SDK and the README's tables are what their sources give.
	@$(BIN)/python tools/generate.py --check

bench: engine ## Measure the provider against a plugin that only makes the same HTTP calls (Go; on an otherwise idle machine).
	@$(BIN)/python -m tools.bench --check

smoke: engine ## Install the wheel alone in an empty environment, and run its commands and the dynamic door.
	@$(BIN)/python tools/smoke.py

lock: ## Pin the newest allowed dependencies in constraints.txt.
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check uv
	{ echo "# Written by \`make lock\` from pyproject.toml, for Python 3.10 to 3.13 on every platform."; \
	  build/lock/bin/uv pip compile pyproject.toml --extra emulator --group dev --universal --python-version 3.10 --upgrade \
	  --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links --quiet; } > build/constraints.txt
	mv build/constraints.txt constraints.txt

clean: ## Remove what was built and cached; .venv and .engine stay.
	rm -rf build dist .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find provider sdk tests tools examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
