# make demo | test | lint | bench | setup | blender | dist | site       VENV=folder  PYTHON=python3.11  TORCH_INDEX=url  EXTRAS=dev,studio,metrics
VENV ?= .venv
EXTRAS ?= dev,studio
BIN := $(VENV)/bin
OUT ?= out/demo
PYTEST_ARGS ?= -n 2 -q

BLENDER ?= .bpy

.PHONY: setup demo test lint bench surface blender dist site

setup:
	@python=""; for p in $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3 python; do \
	  if $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then python=$$p; break; fi; \
	done; \
	if [ -x $(BIN)/python ]; then python=$(BIN)/python; fi; \
	if [ -z "$$python" ]; then echo "make: headcast needs Python 3.11 to 3.14; install one or name it: make PYTHON=/path/to/python3.11" >&2; exit 2; fi; \
	$$python tools/install.py $(VENV) $(EXTRAS)

demo: setup
	$(BIN)/python -m headcast.cli.demo -o $(OUT)

test: setup
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: setup
	$(BIN)/ruff check src tests tools benchmarks
	$(BIN)/ruff format --check --diff src tests tools benchmarks
	$(BIN)/pyright src

bench: setup
	$(BIN)/python -m benchmarks

# Blender as a Python module, in an environment of its own: only tests of exported files use it.
blender: setup
	@test -x $(BLENDER)/bin/python || $(BIN)/python -m venv $(BLENDER)
	$(BLENDER)/bin/python -m pip install -q --disable-pip-version-check bpy==5.0.1

# Wheel and sdist in dist/, checked, installed into an empty environment, and the demo run there.
dist: setup
	$(BIN)/python tools/make_dist.py

# The documents as a site in out/site.
site: setup
	$(BIN)/python -m pip install -q --disable-pip-version-check "mkdocs-material>=9.5"
	$(BIN)/python -m mkdocs build --strict

surface: setup
	$(BIN)/python -m tests.api_surface
	$(BIN)/python -m tests.methods_table
	$(BIN)/python tools/write_cli_reference.py
