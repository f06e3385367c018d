# `make help` lists the verbs. Each installs what it needs by itself, so any of them works as the first command.
SHELL := /bin/sh
PY := .venv/bin/python
# Bytecode halves every start: nothing run from here may leave it out.
unexport PYTHONDONTWRITEBYTECODE

.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo test lint types fix bench e2e lock install install-dev clean

help: ## List the verbs
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

demo: install ## Hold a conversation across four simulated providers, with no key
	@.venv/bin/parley demo

test: install-dev ## Run the whole suite with coverage
	@scripts/install-redis || echo "The tests go on with another redis-server; those of TLS are skipped where it has none." >&2
	$(PY) -m pytest -n 2 --cov --cov-report=json --cov-report=term
	$(PY) tests/coverage_floor.py

lint: install-dev ## Check style and security rules
	.venv/bin/ruff check .

types: install-dev ## Check types, strictly in the packages
	.venv/bin/pyright

fix: install-dev ## Repair what the linter can
	.venv/bin/ruff check --fix .

bench: install-dev ## Measure starts, memory, overhead and failover
	$(PY) -m bench

e2e: install-dev ## Drive real clients: Claude Code and the MCP inspector (needs npm)
	@scripts/install-clients
	$(PY) -m pytest tests/e2e -m e2e

lock: install-dev ## Resolve pyproject.toml into the lock files (UPGRADE=--upgrade takes newer versions)
	$(PY) -m pip install --quiet --disable-pip-version-check uv
	$(PY) -m uv pip compile $(LOCKING) pyproject.toml --group build -o requirements.lock
	$(PY) -m uv pip compile $(LOCKING) pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock

LOCKING = --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command "make lock" $(UPGRADE)

install: ## Install what `parley` needs into .venv
	@scripts/install run

install-dev:
	@scripts/install dev

clean: ## Remove everything the verbs made
	rm -rf .venv .e2e .redis .coverage .coverage.json .pytest_cache .ruff_cache .hypothesis build dist
