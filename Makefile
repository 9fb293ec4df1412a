# make demo    set everything up, then the whole experiment on the bundled miniature
# make test    set everything up, then the tests
# make check   formatting, lint, types, import rules
# make docs    the documentation as a site, in site/
# make mutation   changes of chosen files that no test notices: minutes
# make miniature   train the bundled miniature from nothing: hours on two cores
#
# PYTHON=python3.12 chooses another interpreter; TEST_ARGS="-k elo" goes to pytest.

PYTHON ?= python3
TEST_ARGS ?=
MINIATURE ?= runs/miniature
BIN := .venv/bin

.PHONY: help venv demo test check docs mutation miniature clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -8

venv: .venv/.installed

# Made again when the pins or the dependencies change; otherwise costs nothing.
.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "glide-eval needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing)." \
	       "Name a newer one: make $(or $(MAKECMDGOALS),venv) PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { \
	  rm -rf .venv; \
	  echo "$(PYTHON) can't make virtual environments; on Debian or Ubuntu: apt install python3-venv" >&2; \
	  exit 1; }
	@echo "Installing into .venv (a minute or two, about 6 GB with torch) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: venv
	$(BIN)/glide-eval demo

test: venv
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(TEST_ARGS)

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

docs: venv
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# The files and tests stand in pyproject.toml; mutmut works on a copy, in mutants/.
mutation: venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mutation]'
	$(BIN)/mutmut run
	$(BIN)/mutmut results

# Stops and resumes at will. MINIATURE=folder holds pictures, states and finished models.
miniature: venv
	$(BIN)/python -m generator.training.tabletop all --work $(MINIATURE) --install generator/weights
	$(BIN)/glide-eval reference build tabletop --extractor tabletop \
	  --out generator/weights/tabletop_reference.npz

clean:
	rm -rf .venv build dist site *.egg-info
