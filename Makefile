# Two commands do everything, environment included: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Processes that run tests; each may start a Ray of two cores.
TESTS  ?= 2
# Compiled modules are kept, also where the environment asks for none: a search is a dozen processes with long imports.
export PYTHONDONTWRITEBYTECODE :=
PYTEST := $(BIN)/python -m pytest -n $(TESTS) --dist worksteal

.PHONY: demo setup test test-slow test-all pytest test-cluster lint format options clean

demo: $(VENV)/.search     ## find the best ADePT configuration for the embedded task
	$(BIN)/python orchestrator/search.py

setup: $(READY)           ## the environment alone, with all that the tests need

# Modules are compiled on all cores, which pip does on one; those that few ever import, when they are.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
SELDOM  = /(tests?|testing|pip|setuptools|databricks|moto|networkx|rllib|serve|llm|_inductor|transformers/models)/
COMPILE = $(BIN)/python -m compileall -qq -j 0 -x '$(SELDOM)' $(VENV)/lib/python3*/site-packages || true  # some files are for other Pythons

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or later is needed; name one: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.search: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e .
	$(COMPILE)
	touch $@

$(READY): pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[test]'
	$(COMPILE)
	umask 077; test -e ~/.ray/auth_token || $(BIN)/ray get-auth-token --generate >/dev/null  # cluster.yaml copies it
	touch $(VENV)/.search $(READY)

test: $(READY) lint       ## ruff, mypy, the fast tests
	$(PYTEST) -m "not slow and not cluster"

test-slow: $(READY)       ## real searches, servers and kills: minutes
	$(PYTEST) -m "slow and not cluster"

test-all: lint pytest     ## both in one run, as CI does: real searches wait for much, and other tests use that time

pytest: $(READY)
	$(PYTEST) -m "not cluster"

test-cluster: $(READY)    ## hosts made by root on this machine (power cuts, lost networks), PostgreSQL, stores: half an hour
	$(BIN)/python -m pytest -m cluster

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

options: $(READY)         ## write docs/options.md from the list of options
	$(BIN)/python -m orchestrator.plan.options_page > docs/options.md

clean:                    ## caches and the environment; never results
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build *.egg-info
