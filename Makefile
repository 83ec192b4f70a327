# Every command of this project. `make` alone lists them.
PYTHON ?= python3
BIN := .venv/bin
FILE ?= samtal-backup.tar.gz

.DEFAULT_GOAL := help
.PHONY: help run install dev hub test lint format e2e chaos bench screens train reread backup restore recover

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run:  ## start the dashboard and a worker; the first time, install them
	@$(PYTHON) run.py

install:  ## only install what `make run` needs
	@$(PYTHON) run.py install

dev:  ## install what tests and linters need, too
	@$(PYTHON) run.py install dev

hub: install  ## install what SENTIMENT_MODEL needs (torch)
	@$(BIN)/python -m pip install --quiet -r requirements-hub.txt

test: dev  ## every test but those in a browser
	@began=$$(date +%s); $(BIN)/python -m pytest --ignore=tests/e2e $(ARGS); code=$$?; \
	echo "make test took $$(( $$(date +%s) - began )) s."; exit $$code

lint: dev  ## ruff, the rooms' borders, types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-logo && $(BIN)/mypy .

format: dev  ## lay the code out
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

e2e: dev  ## the whole journey in a real browser on a real network (needs chromium and ../shared)
	@$(BIN)/python -m pytest tests/e2e --timeout=600 $(ARGS)

chaos: dev  ## kill the worker at every named point and count what was lost or doubled
	@$(BIN)/python -m benchmarks.chaos

bench: dev  ## every benchmark against its baseline
	@$(BIN)/python -m benchmarks

screens: dev  ## a picture of every page, in OUT
	@$(BIN)/python -m tests.e2e.screens $(or $(OUT),screens)

train: install  ## train both encoders again (installs torch; about two hours on two cores)
	@$(BIN)/python -m pip install --quiet -r requirements-train.txt && $(BIN)/python -m analysis.train

reread: install  ## ask for every mention to be read again by the model that is set
	@$(BIN)/python -m dialogue.rereading

backup: install  ## copy the embedded database to FILE
	@$(BIN)/python -m dialogue.backup make $(FILE)

restore: install  ## put the database in FILE back; the old one is kept aside
	@$(BIN)/python -m dialogue.backup restore $(FILE)

recover: install  ## print a one-time link that sets a new password for USERNAME
	@$(BIN)/python -m api.recover "$(USERNAME)"
