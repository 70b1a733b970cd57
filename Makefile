# make study: a fresh clone to a report (about 4 minutes after the install). make test: a fresh clone to tested.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: study test nightly lint docs audit clean

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

# what is known against the packages that a user gets, by the service of OSV (network); pip-audit in an environment of its own
AUDIT_EXTRAS ?= all,docs,trl
AUDIT_SERVICE ?= --vulnerability-service osv
audit: | $(BIN)/python
	mkdir -p build
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --dry-run --ignore-installed --report build/audit.json -c constraints.txt '.[$(AUDIT_EXTRAS)]'
	$(BIN)/python -c 'import json; found = [x["metadata"] for x in json.load(open("build/audit.json"))["install"]]; print(*sorted(x["name"] + "==" + x["version"].split("+")[0] for x in found if x["name"] != "breadth"), sep="\n")' > build/audit.txt
	build/audit/bin/pip-audit $(AUDIT_SERVICE) --no-deps --disable-pip --progress-spinner off --requirement build/audit.txt

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
