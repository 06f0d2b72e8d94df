# What people and CI run. `make help` lists it.
#
# `make test` fetches what the tests need beyond Rust, a C compiler and Python 3, and keeps it under target/:
# a Python virtual environment with moto and OpenBao, dynalite, and cargo-deny where the machine has none. The second run fetches nothing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

CARGO ?= cargo
PYTHON ?= python3

REQUIREMENTS := crates/testkit/peers/requirements.txt
TEST_VENV := target/test-venv
TEST_VENV_STAMP := $(TEST_VENV)/.installed
TEST_NODE := target/test-node
DYNALITE_VERSION := 4.0.0

TOOLS := $(CURDIR)/target/tools
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2

GATEWARD := $(or $(CARGO_TARGET_DIR),target)/release/gateward
BENCH_TOOLS := nginx haproxy wrk h2load valgrind strace openssl

# Tools that were installed under target/ come last: a machine's own copy is taken first.
export PATH := $(PATH):$(TOOLS)/bin

.PHONY: help
help: ## Lists what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: peers format lint dependencies bench-gate terraform unit ## Everything that CI checks: format, lints, dependencies, instructions, Terraform, tests

.PHONY: peers
peers: $(TEST_VENV_STAMP) dynalite ## Fetches the systems that tests talk to (moto, OpenBao, dynalite)

# A second opinion, which a machine without Node does without.
.PHONY: dynalite
dynalite:
	@test -e $(TEST_NODE)/node_modules/.bin/dynalite || { \
		mkdir -p $(TEST_NODE) && timeout 120 npm install --prefix $(TEST_NODE) --no-audit --no-fund --silent dynalite@$(DYNALITE_VERSION) >/dev/null 2>&1; \
	} || echo "!! NOT RUN: dynalite cannot be fetched: what DynamoDB does is judged by moto alone" >&2

# An environment that broke half way has no stamp, and is made anew.
$(TEST_VENV_STAMP): $(REQUIREMENTS)
	@echo "== Python environment for the tests (once, about half a minute)"
	rm -rf $(TEST_VENV)
	mkdir -p $(dir $(TEST_VENV))
	$(PYTHON) -m venv $(TEST_VENV)
	$(TEST_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $(REQUIREMENTS)
	touch $@

.PHONY: format
format: ## Checks the layout of the code
	$(CARGO) fmt --all --check

.PHONY: lint
lint: ## Clippy over everything, warnings refused
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

# Advisories need a database from outside, so they are looked at by hand: `cargo deny check advisories`.
.PHONY: dependencies
dependencies: cargo-deny ## Checks licences, banned crates and sources (deny.toml)
	$(CARGO) deny --locked check licenses bans sources

.PHONY: cargo-deny
cargo-deny:
	@$(CARGO) deny --version >/dev/null 2>&1 || { \
		echo "== cargo-deny (once, a few minutes)"; \
		$(CARGO) install cargo-deny --locked --version $(CARGO_DENY_VERSION) --root $(TOOLS); }

# Its life is lived against moto, where the machine has Terraform and its AWS provider; what was not checked is said.
.PHONY: terraform
terraform: peers release ## Checks the Terraform module in deploy/terraform, and lives as its function
	$(TEST_VENV)/bin/python deploy/terraform/check.py $(GATEWARD)

# Documentation tests go first: the last lines that a run prints then tell how the tests went.
.PHONY: unit
unit: peers ## Every test
	$(CARGO) test --doc --workspace --locked
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --workspace --locked; \
	else \
		$(CARGO) build --workspace --locked --examples; \
		$(CARGO) test --workspace --locked --lib --bins --tests; \
	fi

# A history is a seed; the first is SEED. About ten minutes on two cores.
SEED := 0
HISTORIES := 100000

.PHONY: lease-histories
lease-histories: ## Lives a hundred thousand histories of leases against a model
	GATEWARD_LEASE_SEED=$(SEED) GATEWARD_LEASE_HISTORIES=$(HISTORIES) $(CARGO) test --locked --release \
		--package gateward-leases --lib -- histories --nocapture

# About LEASES leases, each revoked by functions under a schedule and a queue that lose, delay, double and reorder.
LEASES := 1000000

.PHONY: revocation-histories
revocation-histories: ## Revokes a million leases with functions, however their schedule and queue fail
	GATEWARD_TURN_LEASES=$(LEASES) $(CARGO) test --locked --release --package gateward-leases --lib -- turn_histories --nocapture

# Each target of fuzz/ (see its README) runs for SECONDS, from its seeds and what earlier runs found. Stable Rust is enough.
SECONDS := 30
FUZZ := $(CARGO) fuzz
FOUND := target/fuzz/found
TARGETS = $(shell sed -n 's/^name = "\(.*\)"$$/\1/p' fuzz/Cargo.toml | grep -v gateward-fuzz)

.PHONY: fuzz
fuzz: cargo-fuzz ## Looks for input that breaks a parser, for SECONDS=30 each; TARGETS="router path" for some
	@for target in $(TARGETS); do \
		echo "== $$target"; \
		mkdir -p $(FOUND)/$$target; \
		$(FUZZ) run --sanitizer none --features libfuzzer --target-dir target/fuzz $$target $(FOUND)/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0; \
	done

.PHONY: cargo-fuzz
cargo-fuzz:
	@$(FUZZ) --version >/dev/null 2>&1 || { \
		echo "== cargo-fuzz (once, about a minute)"; \
		$(CARGO) install cargo-fuzz --locked --version $(CARGO_FUZZ_VERSION) --root $(TOOLS); }

# QUICK=1 measures a part in three minutes, and leaves docs/performance.md alone.
.PHONY: bench
bench: release ## Measures Gateward beside nginx and HAProxy, a quarter of an hour: docs/performance.md
	bench/tools.sh $(BENCH_TOOLS)
	$(PYTHON) bench/run.py $(GATEWARD) $(if $(QUICK),--quick)

.PHONY: bench-leases
bench-leases: release ## Measures leases alone, ten minutes, two with QUICK=1: docs/leases.md
	bench/tools.sh wrk nginx
	$(PYTHON) bench/leases.py $(GATEWARD) $(if $(QUICK),--quick)

# Of the package: `make lambda` first. QUICK=1 leaves docs/serverless.md alone.
.PHONY: bench-lambda
bench-lambda: peers ## Measures a Lambda function: its start, its events, its memory
	$(PYTHON) bench/function.py target/lambda/gateward-$(ARCH).zip $(if $(QUICK),--quick,--write)

# A machine that cannot have valgrind passes, and says that nothing was held.
.PHONY: bench-gate
bench-gate: ## Holds the instructions of a request to bench/baseline.txt
	@if bench/tools.sh valgrind h2load || command -v valgrind >/dev/null; then \
		$(MAKE) --no-print-directory release && $(PYTHON) bench/gate.py $(GATEWARD); \
	else \
		echo "!! NOT COUNTED: the instructions of a request were not held to bench/baseline.txt: there is no valgrind" >&2; \
	fi

.PHONY: bench-save
bench-save: release ## Makes what bench-gate counts the baseline
	bench/tools.sh valgrind h2load
	$(PYTHON) bench/gate.py $(GATEWARD) --save

ARCH := x86_64

.PHONY: lambda
lambda: ## Builds the package for AWS Lambda; ARCH=arm64 for the other processor
	$(PYTHON) deploy/package.py $(ARCH)

.PHONY: release
release:
	$(CARGO) build --quiet --locked --release --package gateward
