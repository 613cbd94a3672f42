# SPDX-License-Identifier: MIT
#
#   make run     set everything up (once), then start the app; SCENE=folder opens that instead of the demo
#   make test    set everything up (once), then run the tests
#   make lint    the checks of style
#   make clean   remove what was built, and .venv
#
# PYTHON=python3.12 takes another Python; WORKERS=0 tests in one process. `tools/setup.sh` is all the set-up there is.

PYTHON ?= python3
SCENE ?= demo
ARGS ?=
WORKERS ?= 2
VENV := .venv

.PHONY: run test lint clean

run: $(VENV)/.ready
	$(VENV)/bin/nerfviewer $(if $(SCENE),"$(SCENE)") $(ARGS)

test: $(VENV)/.ready-dev
	$(VENV)/bin/python -m pytest -n $(WORKERS) $(ARGS)

lint: $(VENV)/.ready-dev
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.ready: pyproject.toml setup.py tools/setup.sh
	@PYTHON="$(PYTHON)" sh tools/setup.sh run

$(VENV)/.ready-dev: pyproject.toml setup.py tools/setup.sh
	@PYTHON="$(PYTHON)" sh tools/setup.sh dev
