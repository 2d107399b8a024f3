# Two commands do everything, environment included: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo setup test test-slow lint format clean

demo: $(READY)            ## find the best ADePT configuration for the embedded task
	$(BIN)/python orchestrator/search.py

setup: $(READY)           ## the environment alone

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or later is needed; name one: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $(READY)

test: $(READY) lint       ## ruff, mypy, the fast tests
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(READY)       ## real searches, servers and kills: minutes
	$(BIN)/python -m pytest -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:                    ## caches and the environment; never results
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build *.egg-info
