# make study: a fresh clone to a report (about 4 minutes after the install). make test: a fresh clone to tested.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: study test nightly lint docs clean

study: $(VENV)/.installed
	$(BIN)/breadth study circle

test: $(VENV)/.tests-installed
	$(BIN)/python -m pytest -n 2

nightly: $(VENV)/.tests-installed
	$(BIN)/python -m pytest -n 2 -m "nightly or not nightly"

lint: $(VENV)/.tests-installed
	$(BIN)/lint-imports
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/mypy

# the site in site/, built without network; a warning is an error
docs: $(VENV)/.docs-installed
	$(BIN)/python docs/gallery/house.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "open site/index.html"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "breadth needs Python 3.11 or newer, this is %d.%d: make PYTHON=python3.11 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.tests-installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[molecules,text,test]'
	touch $@ $(VENV)/.installed

$(VENV)/.docs-installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) runs
