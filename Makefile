# `make help` lists the targets. Everything runs in .venv, which they create; nothing is installed elsewhere.
PYTHON ?= python3
PORT ?= 3456
PROCESSES ?= 2
BIN := .venv/bin
RUNTIME := .venv/.runtime-ready
DEVELOPMENT := .venv/.development-ready

.DEFAULT_GOAL := help
.PHONY: help demo serve test test-deep lint bench bench-ledger bench-payments bench-settlement bench-limits bench-mcp
.PHONY: replay conformance clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

demo: $(RUNTIME) ## Walk the main job over HTTP on a free port, print each step, verify the ledger
	@$(BIN)/python manage.py demo

serve: $(RUNTIME) ## Run web, worker and sequencer until Ctrl-C  [PORT=3456]
	@$(BIN)/python manage.py serve --port $(PORT)

test: $(DEVELOPMENT) lint ## Lint, types, migrations, architecture and the whole test suite  [PROCESSES=2]
	@$(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/python -m tests.counterparties.install || test -z "$(RAKO_TEST_REQUIRE)"
	@$(BIN)/python -m tests.counterparties.mcp_conformance || test -z "$(RAKO_TEST_REQUIRE)"
	@$(BIN)/python -m tests.examples.install || test -z "$(RAKO_TEST_REQUIRE)"
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile $(ARGS)

test-deep: $(DEVELOPMENT) ## The ledger's attack, crash and random tests at a hundred times their size (hours)
	@RAKO_TEST_DEPTH=100 $(BIN)/python -m pytest tests/core/tlog tests/core/test_facts.py tests/ledger tests/tools $(ARGS)

lint: $(DEVELOPMENT)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --no-incremental

bench: $(DEVELOPMENT) ## Measure the real server against a ceiling in the same run
	@$(BIN)/python -m benchmarks

bench-ledger: $(DEVELOPMENT) ## Measure appends, log, proofs and verification
	@$(BIN)/python -m benchmarks.ledger

bench-payments: $(DEVELOPMENT) ## Measure checkouts at a slow processor, webhooks and reconciliation
	@$(BIN)/python -m benchmarks.payments

bench-settlement: $(DEVELOPMENT) ## Measure closing months of up to RAKO_BENCHMARK_COMMISSIONS
	@$(BIN)/python -m benchmarks.settlement

bench-limits: $(DEVELOPMENT) ## Measure what a limit and an Idempotency-Key add to a recommendation
	@$(BIN)/python -m benchmarks.limits

bench-mcp: $(DEVELOPMENT) ## Measure the MCP tools against the REST API in the same run
	@$(BIN)/python -m benchmarks.mcp

replay: $(DEVELOPMENT) ## Report, validate and settle 69,659 real orders of 18 months; compare with plain Python
	@$(BIN)/python -m benchmarks.replay

conformance: $(DEVELOPMENT) ## Test a server from outside  [BASE_URL=… AGENT_KEY=… MERCHANT_KEY=…, or none: our own]
ifdef BASE_URL
	@AAP_BASE_URL="$(BASE_URL)" AAP_AGENT_KEY="$(AGENT_KEY)" AAP_MERCHANT_KEY="$(MERCHANT_KEY)" \
		$(BIN)/python -m conformance $(ARGS)
else
	@$(BIN)/python manage.py conformance $(ARGS)
endif

clean: ## Remove the environment, the embedded database and all local data
	rm -rf .venv .rako .counterparties

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Rako needs Python 3.11 or later: make PYTHON=python3.11 …" if sys.version_info < (3, 11) else 0)'
	@echo "creating .venv"
	@$(PYTHON) -m venv .venv

$(RUNTIME): requirements.txt | .venv/bin/python
	@echo "installing what Rako runs on (first time only)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(DEVELOPMENT): requirements-dev.txt requirements.txt | .venv/bin/python
	@echo "installing what its tests need (first time only)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $(RUNTIME) $@
