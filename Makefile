# pc5lab. Two commands for a newcomer: `make demo` and `make test`; each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-fast test-slow test-newest coverage mutants lint types contracts wheel interop clean

demo: $(VENV)/.ready
	$(BIN)/pc5lab demo $(ARGS)

# On all cores; the kernels are compiled once, before the workers start.
test: $(VENV)/.ready-dev
	$(BIN)/pc5lab warm-up
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

# The inner loop: what needs no whole processes, no other programs and no long runs.
test-fast: $(VENV)/.ready-dev
	$(BIN)/pc5lab warm-up
	$(BIN)/python -m pytest -n auto --dist worksteal -q -m "not emulated and not interop and not slow" \
		tests/unit/radio tests/unit/security tests/unit/documents $(ARGS)

# The exhaustive tier: long runs that the normal one leaves out.
test-slow: $(VENV)/.ready-dev
	$(BIN)/pc5lab warm-up
	$(BIN)/python -m pytest -m slow $(ARGS)

# The rooms without compiled code, by branches, under the tests that need no processes and no radio.
# Fails below `fail_under` of pyproject.toml.
coverage: $(VENV)/.ready-dev
	rm -rf .coverage && mkdir .coverage
	$(BIN)/python -m coverage run -m pytest -q -n auto --dist worksteal -m "not emulated and not interop and not slow" \
		tests/unit/security tests/unit/prose_link tests/unit/radio/l2 $(ARGS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

# Changes lines on purpose, one at a time, and names those that no unit test of the room notices, with a score for each
# room. ROOM is one or more rooms of tests/mutation/rooms.toml, all without it; a run that is broken off goes on later.
#   make mutants ROOM=link            make mutants ROOM=l2 ARGS=--survivors
mutants: $(VENV)/.ready-dev
	$(BIN)/python tests/mutation/run_rooms.py $(ROOM) $(ARGS)

# The wheel under the newest Python of this machine that the dependencies support, in an environment of its own.
test-newest: wheel
	.ci/newest_python

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready-dev
	$(BIN)/mypy

contracts: $(VENV)/.ready-dev
	$(BIN)/lint-imports

wheel: $(VENV)/.ready-dev
	$(BIN)/python -m build --wheel

# System packages that only the interop tests use (apt; needs root).
interop:
	lab_scripts/install_interop_peers.sh

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), f"pc5lab needs Python 3.11 or newer, this is {sys.version}"'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fftw]'
	touch $@

$(VENV)/.ready-dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fftw,dev]'
	touch $@ $(VENV)/.ready

clean:
	rm -rf $(VENV) build dist mutants .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
