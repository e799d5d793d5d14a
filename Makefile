# Everything lives in this folder: the environment in .venv, the embedded database in .data.
# `make help` lists what there is.

PYTHON ?= python3
BIN := .venv/bin
# Once the development tools are there, they stay: `make run` must not take them away again.
INSTALLED := $(if $(wildcard .venv/dev.installed),.venv/dev.installed,.venv/run.installed)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test test-fast check types rules format bench screenshots torture cluster mutants upgrade-check reset build image machine lock freeze release-notes

# Allows the embedded database and the demo's well-known passwords; never set in production.
run test test-fast check bench screenshots torture cluster mutants upgrade-check reset: export HOLDFAST_DEMO := 1
# Dozens of Python processes are started, each of which would otherwise compile everything anew.
test test-fast check: export PYTHONDONTWRITEBYTECODE :=

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

run: $(INSTALLED) ## start Holdfast on 127.0.0.1:$PORT (8000); Ctrl-C stops it
	@$(BIN)/python -m config.supervisor

reset: $(INSTALLED) ## throw away the embedded database, so that the next start loads the demo
	@$(BIN)/python -m config.supervisor --reset

# One process more than there are cores (tests/database.py), since each waits a quarter of its time;
# each has a database of its own, all on one server, which has no connections for more than four.
# Each takes whole files, since many of them prepare something, in the order in which they stand:
# see tests/conftest.py.
PYTEST := $(BIN)/python -m pytest --durations=10
SPREAD := --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

test: .venv/dev.installed ## run the tests, on a PostgreSQL of their own or on DATABASE_URL
	@# Browser tests in two processes more, since a browser's event loop disturbs other tests; beside
	@# the others, so that neither are the last. A shell lets what runs in its background ignore
	@# Ctrl-C, hence the trap.
	@$(PYTEST) $(SPREAD) --numprocesses=2 -m browser tests/browser >.venv/browser-tests.log 2>&1 & browser=$$!; \
		trap 'kill $$browser 2>/dev/null' INT TERM; \
		$(PYTEST) $(SPREAD); failed=$$?; \
		wait $$browser || failed=1; cat .venv/browser-tests.log; exit $$failed

test-fast: .venv/dev.installed ## run the quick tests: no browser, no other program, nothing by the hundred
	@$(PYTEST) $(SPREAD) -m "not browser and not processes and not thorough"

check: .venv/dev.installed ## format, lint, types, import contracts, migrations and tests
	@# Types take longer than all else, on one core.
	@$(MAKE) --no-print-directory --jobs=2 --output-sync types rules
	@$(MAKE) --no-print-directory test

types:
	$(BIN)/mypy .

rules:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/deptry .
	# There is no database yet, of which it would warn after waiting for one.
	DATABASE_POOL_SIZE=0 $(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	# While types are still looked at: else each process that runs tests would compile all of them.
	@DATABASE_URL=postgresql://nobody@localhost/nothing $(BIN)/python -m pytest --collect-only -qqq \
		>.venv/collected.log || { cat .venv/collected.log; exit 1; }

format: .venv/dev.installed ## write the code the way `make check` wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/dev.installed ## measure purchases, and the stock service beside PostgreSQL's own limit
	@$(BIN)/python -m benchmarks

screenshots: .venv/dev.installed ## take pictures of every page into screenshots/
	@SCREENSHOTS=screenshots $(BIN)/python -m pytest -m browser tests/browser/test_tour.py

torture: .venv/dev.installed ## kill and break everything at random for ten minutes, and compare all books
	@$(BIN)/python -m tests.torture $(TORTURE)

cluster: .venv/dev.installed ## show a shop on several machines of which one part after the other fails: 15 minutes
	@$(BIN)/python -m tests.cluster $(CLUSTER)

mutants: .venv/dev.installed ## change the rules one at a time, and tell what no test notices: hours
	@$(BIN)/python -m tests.mutants $(MUTANTS)

upgrade-check: .venv/dev.installed ## upgrade a shop from the last tag while it sells: some minutes
	@$(BIN)/python -m tests.upgrade $(UPGRADE)

release-notes: $(BIN)/python ## what CHANGELOG.md says of VERSION, for its tag
	@$(BIN)/python -m tests.upgrade.notes $(VERSION)

freeze: .venv/dev.installed ## at a release: write down which migrations it has, which nobody changes from then on
	@$(BIN)/python -m tests.upgrade.frozen

COMPILE = $(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 \
	--fork-strategy fewest --generate-hashes --no-emit-index-url --custom-compile-command "make lock"

build: .venv/dev.installed ## make the wheel that production installs, in dist/
	@$(BIN)/python -m build --no-isolation

image: ## build deploy/Dockerfile without Docker, and serve from it: root, buildah, debootstrap
	@deploy/check_image.sh

machine: .venv/dev.installed ## follow docs/operations.md on a bare Debian, and kill what runs there: root
	@$(BIN)/python -m tests.deploy.machine

lock: $(BIN)/python ## resolve pyproject.toml into the lock files
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) pyproject.toml --extra s3 -c requirements.lock -o requirements-s3.lock
	$(COMPILE) pyproject.toml --extra otel -c requirements.lock -o requirements-otel.lock
	$(COMPILE) pyproject.toml --extra sentry -c requirements.lock -o requirements-sentry.lock
	$(COMPILE) pyproject.toml --extra demo -c requirements.lock -o requirements-demo.lock
	$(COMPILE) pyproject.toml --extra demo --group dev -c requirements.lock -o requirements-dev.lock
	$(COMPILE) --group install --group build -c requirements-dev.lock -o requirements-install.lock

# uv installs in seconds what takes pip a minute. Where it is not to be had, or finds no packages
# because only pip is configured for the network at hand, pip reads the same lock.
define install
	@echo "Installing $< ..."
	@{ $(BIN)/python -m uv --version && $(BIN)/python -m uv pip sync --quiet --python $(BIN)/python --require-hashes $<; } >/dev/null 2>.venv/uv.log \
		|| $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r $<
	@touch $@
endef

.venv/run.installed: requirements-demo.lock | $(BIN)/python
	$(install)

.venv/dev.installed: requirements-dev.lock | $(BIN)/python
	$(install)

# Rebuilt also when the Python it was made with has gone, for then this is a dangling link.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Holdfast needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1). Say which one to use: make PYTHON=/path/to/python3.11"; \
		exit 1; } >&2
	@$(PYTHON) -m venv --clear .venv || { rm -rf .venv; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r requirements-install.lock || true
