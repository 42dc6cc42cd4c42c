# The front door. `make` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
BENCH := .venv-bench
ARGS ?=

# The first Python here that is new enough and can make a virtual environment; PYTHON=… chooses another.
NEW_ENOUGH = import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python3.14; do \
	"$$python" -c 'import ensurepip, venv; $(NEW_ENOUGH)' 2>/dev/null && { echo "$$python"; break; }; done)

.PHONY: help run test chaos bench bench-scale bench-pages screenshots lint format lock migrate upgrade clean install install-dev

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/run.stamp ## Install what is missing and run everything: web, worker, beat, broker, database
	@exec $(PY) -m task_app.run $(ARGS)

test: $(VENV)/dev.stamp ## Run all tests (ARGS="-k name" for some)
	@exec $(PY) -m pytest -n 4 --dist loadgroup $(ARGS)

chaos: $(VENV)/dev.stamp ## Kill, freeze and empty everything under load, then count (ARGS="--seed 7 --pair postgresql+redis")
	@exec $(PY) -m tests.chaos $(ARGS)

bench: $(VENV)/dev.stamp $(BENCH)/made.stamp ## Measure this service beside its peers; writes docs/benchmarks.md (ARGS="--only http")
	@exec $(PY) -m benchmarks $(ARGS)

bench-scale: $(VENV)/dev.stamp ## Measure with 5 million rows beside few; writes docs/benchmarks.md (ARGS="--rows 200000")
	@exec $(PY) -m benchmarks.scale $(ARGS)

bench-pages: $(VENV)/dev.stamp ## Measure every page in a browser with 1 million jobs; writes docs/dashboard-figures.md (ARGS="--rows 50000")
	@exec $(PY) -m benchmarks.pages $(ARGS)

screenshots: $(VENV)/dev.stamp ## Write pictures of every page to screenshots/ (ARGS="--only jobs")
	@exec $(PY) -m tests.browser.screenshots $(ARGS)

lint: $(VENV)/dev.stamp ## Check style, types and who imports whom
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-cache

format: $(VENV)/dev.stamp ## Put the code into its usual form
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

migrate: $(VENV)/run.stamp ## Write a migration for changed models (ARGS='-m "what changed"')
	$(PY) -m flask db migrate $(ARGS)

upgrade: $(VENV)/run.stamp ## Bring the schema of the configured database up to date
	$(PY) -m flask db upgrade

install: $(VENV)/run.stamp ## Install what running needs, and stop there

install-dev: $(VENV)/dev.stamp ## Install what tests and checks need as well

LOCK = $(PY) -m uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" --quiet $(ARGS)

lock: $(VENV)/made.stamp ## Choose the newest allowed versions anew (ARGS=--upgrade) and write the lock files
	$(PY) -m pip install --quiet "uv>=0.9"
	$(LOCK) --extra build --extra postgres --extra mysql --output-file requirements.lock
	$(LOCK) --all-extras --constraint requirements.lock --output-file requirements-dev.lock

clean: ## Remove the virtual environment and all caches; instance/ stays
	rm -rf $(VENV) $(BENCH) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp, not bin/python, says that it is complete: an interrupted environment is made anew.
$(VENV)/made.stamp:
	@if [ -z "$(PYTHON)" ]; then \
		if python3 -c '$(NEW_ENOUGH)' 2>/dev/null; \
		then echo "Error: python3 has no venv module; on Debian and Ubuntu: apt install python3-venv"; \
		else echo "Error: no Python from 3.11 on was found; install one, or name it: make PYTHON=/path/to/python"; \
		fi >&2; exit 1; fi
	@echo "Making $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv --clear $(VENV)
	@touch $@

# Peers have wishes of their own about versions.
$(BENCH)/made.stamp: benchmarks/peers/requirements.txt
	@echo "Installing the peers of the benchmarks"
	@"$(PYTHON)" -m venv --clear $(BENCH)
	@$(BENCH)/bin/python -m pip install -qq --disable-pip-version-check -r $<
	@touch $@

INSTALL = $(PY) -m pip install -qq --disable-pip-version-check

# --no-deps: the lock file is complete, even the tool that builds the package is in it.
# The stamp is written last, so an interrupted install is taken up again.
$(VENV)/run.stamp: requirements.lock pyproject.toml $(VENV)/made.stamp
	@echo "Installing what running needs"
	@$(INSTALL) --no-deps -r requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/run.stamp
	@echo "Installing what tests and checks need"
	@$(INSTALL) --no-deps -r requirements-dev.lock
	@touch $@
