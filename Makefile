# The same commands for people and for CI. `make` alone lists them.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
DEMO = .demo-venv
STAMP = $(VENV)/.installed

.PHONY: help setup check test test-slow bench docs site wheel bounds demo clean
.DEFAULT_GOAL := help

help:  ## list the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# torch first and by itself: the pinned version resolves to the CPU build. torchvision and timm without what they
# ask for: they are read and built, and bring CUDA builds otherwise.
$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test,docs]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps torchvision==0.28.0 timm
	@touch $@

setup: $(STAMP)  ## make .venv with everything the tests need

check: setup  ## lint, format check and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: setup  ## run the tests
	$(BIN)/pytest -n 2 -m "not slow"

test-slow: setup  ## run the long suites too
	$(BIN)/pytest -n 2

bench: setup  ## measure: reading and writing against cp, hostile files, reading source code, matching, starting
	$(BIN)/python benchmarks/io.py --gigabytes 0.5
	$(BIN)/python benchmarks/hostile.py
	$(BIN)/python benchmarks/static.py torchvision
	$(BIN)/python benchmarks/matching_growth.py --leaves 1000 10000
	$(BIN)/python benchmarks/start.py

docs: setup  ## write the tables and captures in docs/ anew, and what its code prints
	$(BIN)/python docs/support_matrix.py
	$(BIN)/python docs/layers.py
	$(BIN)/python docs/notes.py
	$(BIN)/python docs/errors.py
	$(BIN)/python docs/captures.py
	$(BIN)/python docs/page.py
	$(BIN)/python tests/docs/pages.py

site: setup  ## build the documentation into build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

wheel: setup  ## build the wheel, install it into an environment of its own, and use it there
	$(BIN)/python .ci/wheel.py

bounds:  ## run the tests with the lowest versions that pyproject.toml allows (SLOW; BOUNDS=highest for the newest)
	$(PYTHON) .ci/bounds.py $(or $(BOUNDS),lowest)

demo:  ## run the main job on a real model: PyTorch weights into Flax, without PyTorch
	@test -x $(DEMO)/bin/python || $(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/pip install --quiet --disable-pip-version-check '.[demo]'
	$(DEMO)/bin/python examples/digits/demo.py

clean:  ## delete the environments and everything generated
	rm -rf $(VENV) $(DEMO) demo-output build dist
