# Two commands do everything, on a machine with only Python 3.10-3.12, git and make:
#   make train [BUNDLE=name]   environment, sample data, training, evaluation, report
#   make test                  environment, lint, type check, tests
# make test-label builds a second environment, for MONAI Label, and needs Python 3.11.
# Choose the interpreter with PYTHON=/path/to/python3.x, and pip's options with PIP_ARGS, for example the
# smaller CPU build of torch:
#   make test PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"

BUNDLE ?= lv_mri_levelset_segmentation
PIP_ARGS ?=
PYTEST_ARGS ?= -n 2 --dist loadfile
BENCH_ARGS ?=

VENV := .venv
RUN := $(VENV)/bin
SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.10; do \
	$$p -c '$(SUPPORTED)' 2>/dev/null && echo $$p && exit; done; echo python3)

# The stamp is named after what it depends on: it is redone when a pin changes, not when a file is touched.
stamp = $(VENV)/.installed-$(1)-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
DEV := $(call stamp,dev)
DOCS := $(call stamp,docs)

LABEL_VENV := .venv-label
LABEL := $(LABEL_VENV)/.installed-$(shell cat pyproject.toml tests/monai_label/*.txt | cksum | cut -d' ' -f1)

.DEFAULT_GOAL := help
.PHONY: help train test test-slow test-label bench lint gallery docs clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

train: $(DEV) ## train a bundle on built-in sample data and evaluate it: make train [BUNDLE=name]
	$(RUN)/python -m monai_levelset.quickstart $(BUNDLE)

lint: $(DEV) ## ruff and mypy
	$(RUN)/ruff check .
	$(RUN)/mypy

test: lint ## lint, types and the tests, without the slow ones
	$(RUN)/python -m pytest -m "not slow" $(PYTEST_ARGS)

test-slow: $(DEV) ## the slow tests alone: short trainings, kill and resume
	$(RUN)/python -m pytest -m slow $(PYTEST_ARGS)

test-label: $(DEV) $(LABEL) ## the bundles in a MONAI Label server, over HTTP: about six minutes
	MONAI_LABEL_PYTHON=$(LABEL_VENV)/bin/python $(RUN)/python -m pytest tests/monai_label

bench: $(DEV) ## time and memory beside other libraries, ten minutes on one thread: make bench [BENCH_ARGS=--quick]
	$(RUN)/python -m benchmarks $(BENCH_ARGS)

gallery: $(DEV) ## draw the pictures of the documentation anew: make gallery [NAMES=force_region_weight]
	$(RUN)/python -m docs.gallery $(NAMES)

docs: $(DOCS) ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(RUN)/mkdocs build --strict

clean: ## remove the environment and caches, not your results
	rm -rf $(VENV) $(LABEL_VENV) site .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/python:
	@$(PYTHON) -c '$(SUPPORTED)' 2>/dev/null || { \
		echo "error: Python 3.10, 3.11 or 3.12 is needed, but '$(PYTHON)' is" \
			"'$$($(PYTHON) --version 2>&1)'. Name one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "error: '$(PYTHON)' cannot make virtual environments: its venv or ensurepip module is missing." \
			"Install your system's package (Debian, Ubuntu: python3-venv) or name another interpreter:" \
			"make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-%: | $(VENV)/bin/python
	@$(RUN)/python -m pip --version >/dev/null 2>&1 || { \
		echo "error: $(VENV) holds no pip; remove it with 'make clean' and run again" >&2; exit 1; }
	@echo "Installing into $(VENV) (minutes the first time, nothing to do later) ..."
	$(RUN)/python -m pip install -q -e '.[$(firstword $(subst -, ,$*))]' -c constraints.txt $(PIP_ARGS)
	@touch $@

# What MONAI Label names itself would not fit beside our pins and is not used: see the two files.
$(LABEL): | $(VENV)/bin/python
	@echo "Installing MONAI Label into $(LABEL_VENV) (minutes the first time, nothing to do later) ..."
	$(PYTHON) -m venv --clear $(LABEL_VENV)
	$(LABEL_VENV)/bin/python -m pip install -q -e . -r tests/monai_label/requirements.txt $(PIP_ARGS)
	$(LABEL_VENV)/bin/python -m pip install -q --no-deps -r tests/monai_label/no_deps.txt $(PIP_ARGS)
	@touch $@
