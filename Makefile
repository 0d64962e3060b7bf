# Each habit is one word. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := bash
.PHONY: help setup build install demo test chaos regress reference docker-test lint bench clean

# The Postgres to build for and install into; tests and demo use it too.
PG_CONFIG ?= /usr/lib/postgresql/15/bin/pg_config
export PG_CONFIG
# Further words for the command behind a target: make test ARGS='delivery', make bench ARGS='--quick'.
ARGS ?=

help: ## This list
	@echo "tradeflow: rules in SQL, evaluated in Postgres; mail and API calls by a small sidecar."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "New here: make demo"

setup: ## Install what is missing on this machine (Debian packages; asks for root if needed)
	@scripts/setup.sh

build: setup ## Build the sidecar and the extension (release)
	cargo build --release -p tradeflow-sidecar
	@. scripts/common.sh && cargo build --release -p tradeflow-extension --no-default-features --features "pg$$(pg_major)"

install: setup ## Install the extension into Postgres (PG_CONFIG=…, DESTDIR=…)
	@scripts/install-extension.sh

demo: setup ## Show all use cases on a sample store, with a private Postgres, mail server and sidecar (ARGS='quote' for some)
	@scripts/demo.sh $(ARGS)

test: ## All tests (ARGS='word' for some)
	@scripts/setup.sh test
	@scripts/test.sh $(ARGS)

chaos: setup ## The storm and the model at full length: 100,000 actions, minutes (TRADEFLOW_CHAOS_ACTIONS, _SEED)
	@scripts/chaos.sh

regress: setup ## Rewrite the golden files with what is there now; review the difference
	@BLESS=1 scripts/test.sh --test regress

reference: setup ## Write docs/reference anew, from the comments in the database and the program's help
	@BLESS=1 scripts/test.sh --test reference

docker-test: ## The images and docker/compose.yaml, on a private Docker daemon (root; ARGS='--help')
	@[ "$$(id -u)" != 0 ] || scripts/setup.sh docker || echo "scripts/setup.sh docker failed: its reason stands above" >&2
	@scripts/docker-test.sh $(ARGS)

lint: ## rustfmt, clippy, licences and sources of dependencies, shellcheck
	@scripts/setup.sh lint
	@scripts/lint.sh

bench: ## The benchmark (ARGS='--help')
	@scripts/setup.sh bench
	@scripts/bench.sh $(ARGS)

clean: ## Remove what was built and the demo's folder
	@scripts/demo.sh --clean
	cargo clean
