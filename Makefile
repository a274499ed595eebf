# One verb, one target; CI runs the same (`.ci/run`). `make help` lists them.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name) 2>/dev/null)))
CARGO  ?= cargo
CONFIG ?= examples/ser.cfg
VAR    ?= var
PORT   ?=
DOMAIN ?= 127.0.0.1
SECONDS_OF_FUZZ ?= 60

export VIRTUAL_ENV := $(CURDIR)/.venv
BIN    := .venv/bin
RUST   := $(shell find crates -name '*.rs' -o -name Cargo.toml) Cargo.toml $(wildcard Cargo.lock)
# A workspace of its own each, so that nothing of them can reach the product.
ASIDE  := benches/load/Cargo.toml fuzz/Cargo.toml

.DEFAULT_GOAL := help
.PHONY: help build peers run test test-rust test-python lint format types bench fuzz docs clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/environment: pyproject.toml tools/environment.sh
	@tools/environment.sh "$(PYTHON)"
	@touch $@

.venv/extension: .venv/environment $(RUST)
	@echo "compiling the core (release)"
	@$(BIN)/maturin develop --release --quiet
	@touch $@

build: .venv/extension ## the environment in .venv and the Rust core, compiled into it
	@echo "ready: $(BIN)/sipyard"

run: build ## build, then serve examples/ser.cfg with a database in var/ (CONFIG=FILE, PORT=NUMBER, DOMAIN=NAME)
	@mkdir -p $(VAR)
	@cd $(VAR) && exec $(CURDIR)/$(BIN)/sipyard run $(abspath $(CONFIG)) \
	  $(if $(filter examples/ser.cfg,$(CONFIG)),--domain $(DOMAIN)) $(if $(PORT),--listen 127.0.0.1:$(PORT))

peers: ## the SIP programs that tests talk to (root on Debian; elsewhere says what is missing)
	@tools/peers.sh

test: build peers test-rust test-python ## Rust and Python suites, real peers included

test-rust:
	$(CARGO) test --workspace --quiet

test-python: build
	$(BIN)/pytest

lint: build types ## formatters, linters, types, stubs, layers, sizes
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python tools/sizes.py
	$(CARGO) fmt --all --check
	@for manifest in $(ASIDE); do $(CARGO) fmt --check --manifest-path $$manifest || exit 1; done
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
	$(CARGO) clippy --quiet --manifest-path benches/load/Cargo.toml --target-dir target/load -- -D warnings

format: build ## let the formatters write
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .
	$(CARGO) fmt --all
	@for manifest in $(ASIDE); do $(CARGO) fmt --manifest-path $$manifest || exit 1; done

types: build ## mypy strict, and the stubs against the compiled core
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest sipyard._native.core

bench: build peers ## Sipyard beside Kamailio; writes benches/RESULTS.md (about half an hour)
	$(BIN)/python -m benches --write $(BENCH)

fuzz: build ## fuzz message, URI, framer and script parser, each SECONDS_OF_FUZZ=60
	@tools/fuzz.sh $(SECONDS_OF_FUZZ)

docs: build ## write the module reference, check the links and commands of the documents
	$(BIN)/python tools/reference.py
	$(BIN)/pytest tests/docs

clean: ## remove what was built
	rm -rf target .venv var fuzz/target .pytest_cache .mypy_cache .ruff_cache .hypothesis
