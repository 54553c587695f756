# Needs git, make and a Python of at least 3.11; everything else goes into .venv, from a lock with hashes.
# Paths stay relative, so that the folder may have spaces in its name.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

export UV_PYTHON_DOWNLOADS := never

PY := .venv/bin/python
# Arguments for the command behind a target: make demo ARGS="--for 20s --json"
ARGS ?=
# A Python to build .venv with, in place of the newest one found: make setup PYTHON=python3.12
PYTHON ?=
# How many processes run the tests.
JOBS ?= 2

# Tests write small files and sync them by the thousand, so they use memory where the machine offers it as a folder.
PYTEST = shm=/dev/shm; [ -d "$$shm" ] && [ -w "$$shm" ] || shm="$${TMPDIR:-/tmp}"; \
	base=$$(mktemp -d "$$shm/watersmeet.XXXXXX"); trap 'rm -rf "$$base"' EXIT; trap 'exit 130' INT TERM; \
	$(PY) -m pytest -n $(JOBS) --dist worksteal --basetemp "$$base/t"

.PHONY: help
help: ## Print this list
	@sed -n 's/^\([a-z][a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

.PHONY: setup
setup: .venv/.stamp ## Make .venv: every dependency at its locked version, and this project
	@:

.PHONY: demo
demo: .venv/.stamp-demo ## Watch films being counted, live (ARGS="--for 20s --json", PROFILE=cluster)
	@$(PY) -m watersmeet demo $(if $(PROFILE),--profile $(PROFILE)) $(ARGS)

.PHONY: test
test: .venv/.stamp-demo ## Run every test (ARGS="tests/core -k window")
	@$(PYTEST) $(ARGS)

.PHONY: check
check: .venv/.stamp ## Format, lint, types, imports, budgets: the gate before the tests
	@$(PY) -m ruff format --check --quiet .
	@$(PY) -m ruff check --quiet .
	@$(PY) -m mypy --no-error-summary
	@.venv/bin/lint-imports > .venv/imports.log || { cat .venv/imports.log; exit 1; }
	@$(PY) -m pytest -p no:xdist tests/architecture
	@echo "check: all is well"

.PHONY: prove
prove: export WATERSMEET_PROVE := 1
prove: .venv/.stamp-demo ## The same tests over far more generated cases and crash moments
	@$(PYTEST) $(ARGS)

.PHONY: bench
bench: .venv/.stamp-demo ## Measure, and print what the README's figures say
	@$(PY) -m benchmarks $(ARGS)

.PHONY: coverage
coverage: .venv/.stamp-demo ## Run every test and list the lines and branches that none of them reached
	@$(PYTEST) --cov=watersmeet --cov-branch --cov-report=term-missing:skip-covered $(ARGS)

.PHONY: docs
docs: .venv/.stamp ## Run the examples in the documents, follow their links, look up their words
	@$(PY) -m pytest -p no:xdist tests/architecture/test_documents.py

.PHONY: lock
lock: .venv/.stamp ## Write requirements.txt anew from pyproject.toml (ARGS="--upgrade")
	@$(PY) -m uv pip compile pyproject.toml --group dev --universal --generate-hashes --no-emit-index-url \
		--no-header --quiet $(ARGS) -o requirements.txt

.PHONY: clean
clean: ## Delete .venv, caches and build output; never the state of an app (.watersmeet)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks htmlcov dist build
	@rm -f .coverage .coverage.* coverage.xml
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.stamp: requirements.txt pyproject.toml
	@PYTHON="$(PYTHON)" ./.ci/setup
	@touch $@

.venv/.stamp-demo: requirements-demo.txt .venv/.stamp
	@$(PY) -m uv pip install --quiet --python $(PY) --no-deps --require-hashes -r requirements-demo.txt
	@touch $@
