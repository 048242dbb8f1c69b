# What a newcomer types is `make run` and `make test`. Needs Python 3.11, 3.12 or 3.13 and make; everything else is put
# into .venv/ and .uv/ here. Only `make test`, as root on Debian, installs system packages (tests/apt-packages.txt).

SHELL := /bin/sh
.DEFAULT_GOAL := help

UV_VERSION := 0.13.9

PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
	if $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1; then \
	$$p -c 'import sys; print(sys.executable)'; break; fi; done)

# A uv on the PATH serves if pyproject.toml's required-version admits it; else one is installed into .uv/.
UV := $(shell if uv --version 2>/dev/null | grep -Eq '^uv (0\.([89]|[1-9][0-9]+)|[1-9])'; then command -v uv; \
	else echo .uv/bin/uv; fi)

# Python comes from this machine, never from a download; byte code is compiled once, so that the first start is quick.
export UV_PYTHON_DOWNLOADS := never
export UV_COMPILE_BYTECODE := 1
export UV_PROJECT_ENVIRONMENT := .venv
export UV_HTTP_TIMEOUT ?= 180
# BLAS threads on a busy machine cost more than they bring.
export OPENBLAS_NUM_THREADS := 1
export OMP_NUM_THREADS := 1

# A stamp newer than the lock file says that the environment is in order, so that a warm start does not ask uv at all.
RUN_STAMP := .venv/.ready-to-run
DEV_STAMP := .venv/.ready-to-test
BIN := .venv/bin
# Calls whose timing is judged, or whose tools must not be late: they need the machine for themselves.
TIMED := $(foreach name,barge_in changes_by_words tool_faults turn_bench turn_ends whole_call,tests/integration/test_$(name).py)

.PHONY: help run test lint style types imports bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

run: $(RUN_STAMP) ## set up what is missing, then start the server (ARGS="--port 8080")
	@exec $(BIN)/voice-agent serve $(ARGS)

test: $(DEV_STAMP) ## set up what tests need, then run them all (ARGS="-k name")
	@sh tests/setup.sh
ifdef ARGS
	@$(BIN)/pytest $(ARGS)
else
	@# Calls in real time mostly wait: three files of them at once.
	@$(BIN)/pytest tests --ignore=tests/integration -n 2 --dist loadfile; quick=$$?; \
	$(BIN)/pytest tests/integration $(TIMED:%=--ignore=%) -n 3 --dist loadfile; calls=$$?; \
	$(BIN)/pytest $(TIMED); timed=$$?; \
	[ $$quick -eq 0 ] && [ $$calls -eq 0 ] && [ $$timed -eq 0 ]
endif

lint: style types imports ## style, types and import contracts

style: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV_STAMP)
	$(BIN)/mypy

imports: $(DEV_STAMP)
	$(BIN)/lint-imports

bench: $(DEV_STAMP) ## latency and barge-in on local models, measured here
	$(BIN)/python benchmarks/voice_to_voice.py --scripted
	$(BIN)/python benchmarks/voice_to_voice.py
	$(BIN)/python benchmarks/barge_in.py

clean: ## remove the environments, caches and local state
	rm -rf .venv .uv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis var

$(RUN_STAMP): pyproject.toml uv.lock | python $(filter .uv/bin/uv,$(UV))
	@echo "Setting up the environment (a few minutes the first time) ..."
	@# --inexact leaves what `make test` installed where it is.
	$(UV) sync --frozen --all-extras --no-dev --inexact --python $(PYTHON)
	@touch $@

$(DEV_STAMP): pyproject.toml uv.lock | python $(filter .uv/bin/uv,$(UV))
	$(UV) sync --frozen --all-extras --python $(PYTHON)
	@touch $(RUN_STAMP) $@

.PHONY: python
python:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and none is on the PATH." >&2; exit 1; }

# Debian's bare python3 has neither venv nor pip; then apt may bring them, or the message says what to install.
.uv/bin/uv: | python
	@rm -rf .uv
	@if ! { $(PYTHON) -m venv .uv >/dev/null 2>&1 && .uv/bin/python -m pip --version >/dev/null 2>&1; }; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv; \
	  else \
	    echo "Neither uv nor Python's venv module is here. Install one of them (Debian: apt-get install python3-venv)." >&2; \
	    exit 1; \
	  fi; \
	  rm -rf .uv && $(PYTHON) -m venv .uv; \
	fi
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
