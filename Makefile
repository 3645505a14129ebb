# `make run` and `make test` work on a fresh checkout; they need python3 (3.11 or newer), its venv module, and git.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help install run test lint check bench lock clean
.DEFAULT_GOAL := help

help: ## what there is
	@sed -n "s/^\([a-z]*\):.*## /\1|/p" Makefile | awk -F"|" '{ printf "make %-8s %s\n", $$1, $$2 }'

install: .venv/installed ## .venv with the locked packages and this project, editable

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, as python3 or as make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
	  echo "$(PYTHON) has no working venv module; on Debian: apt-get install python3-venv"; exit 1; }

.venv/installed: requirements-dev.txt pyproject.toml | .venv/bin/python
	@echo "Installing into .venv (a minute or two, once)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: install ## edge, worker, scheduler and sandbox, with everything under var/
	@$(BIN)/gateway run --sandbox

# What the tests' result depends on: every file git does not ignore, and the settings of tests.
fingerprint = { git ls-files -z --cached --others --exclude-standard | xargs -0 sha256sum; \
	env | grep -E '^(GATEWAY_|PYTEST_|CI=)' | sort; } 2>&1 | sha256sum

# Three at a time: most tests wait for disks, processes and browsers. A file's tests stay together, in the
# order of tests/conftest.py: long ones first.
test: install ## the whole suite
	@rm -f .cache/tests-passed; mkdir -p .cache
	@before=$$($(fingerprint)); $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --junitxml=.cache/tests.xml && \
	  if [ "$$before" = "$$($(fingerprint))" ]; then echo "$$before" > .cache/tests-passed; fi

lint: install ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports --no-cache

# The tests run again unless the last `make test` passed, and passed on exactly these files and settings.
check: lint ## everything: lint, then the tests unless they passed on exactly these files
	@if [ "$$(cat .cache/tests-passed 2>/dev/null)" = "$$($(fingerprint))" ]; then \
	  echo "tests: passed on exactly these files and settings at $$(date -r .cache/tests-passed '+%F %T');" \
	    "$$(grep -o ' skipped="[0-9]*"' .cache/tests.xml | head -1 | tr -dc 0-9) skipped"; \
	else $(MAKE) --no-print-directory test; fi

bench: install ## the benchmarks, as a table and in benchmarks/results.json
	@$(BIN)/python -m benchmarks

# The lock: exact versions with hashes and no address, so that it installs from any index.
# UPGRADE=1 takes the newest versions; otherwise what stands is kept where it can be.
compile = CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
	--build-deps-for wheel --no-annotate --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	--no-emit-options $(if $(UPGRADE),--upgrade) pyproject.toml

lock: | .venv/bin/python ## requirements*.txt from pyproject.toml (UPGRADE=1: newest versions)
	@[ -x $(BIN)/pip-compile ] || $(BIN)/python -m pip install -qq --disable-pip-version-check pip-tools
	$(compile) --output-file requirements.txt
	$(compile) --extra dev --constraint requirements.txt --output-file requirements-dev.txt

clean: ## what was built and cached; not var/
	rm -rf .venv .cache .hypothesis .pytest_cache build dist *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
