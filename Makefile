# Each stage is one target; it brings what it stands on up to date.
#   make ensemble CONFIG=clothing SET="folds.n=3 members.net.epochs=2"
#   make train MEMBER=linear,net FOLD=0,1
#   make ensemble VERIFY=1    reads and compares files that seem unchanged, too
PYTHON ?= python3
CONFIG ?= digits
SET ?=
MEMBER ?=
FOLD ?=
BUDGET ?=
COMPETITION ?=
TARGET ?=
METRIC ?=
OUT ?=

VENV := .venv
READY := $(VENV)/.installed
STAGE = $(VENV)/bin/python -m pipeline
# Through the environment, so that SET="tta.views=[original, mirrored]" needs no second quoting.
export CONFIG SET MEMBER FOLD BUDGET COMPETITION TARGET METRIC OUT
CHOSEN = --config "$$CONFIG" --set "$$SET"
PART = --member "$$MEMBER" --fold "$$FOLD"
TIME = --budget "$$BUDGET"

.DEFAULT_GOAL := help
.PHONY: help install demo new folds audit weights features plan check train infer ensemble report config test lint gpu-check bench

help: ## Print this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12
	@echo
	@echo 'CONFIG=NAME or CONFIG=path/to/file.yaml says which competition (default: digits, the demo);'
	@echo 'SET="folds.n=3 seed=1" overrides keys of it; MEMBER=linear,net and FOLD=0,1 do a part.'

install: $(READY) ## Make .venv and install the pinned lock

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@touch $@

demo: $(READY) ## Digits of scikit-learn as a competition, and the whole chain on them
	@$(STAGE) demo --set "$$SET"

new: $(READY) ## Write a config for input/COMPETITION (TARGET=, METRIC=, BUDGET=, OUT= decide)
	@$(STAGE) new "$$COMPETITION" --target "$$TARGET" --metric "$$METRIC" $(TIME) --out "$$OUT"

folds: $(READY) ## Check files, find duplicates, hold out K folds
	@$(STAGE) folds $(CHOSEN)

audit: $(READY) ## Look for leaks; it sees more after `make features`
	@$(STAGE) audit $(CHOSEN)

weights: $(READY) ## Bring the hub's weights into models/weights/ (or WEIGHTS_FOLDER=)
	@$(STAGE) weights $(CHOSEN)

features: $(READY) ## Frozen features of each backbone, cached on disk
	@$(STAGE) features $(CHOSEN)

plan: $(READY) ## What is to do, with predicted times (BUDGET=30m: what fits)
	@$(STAGE) plan $(CHOSEN) $(TIME)

check: $(READY) ## Try each network for a minute before a night of training (MEMBER= for some)
	@$(STAGE) check $(CHOSEN) --member "$$MEMBER"

train: $(READY) ## Fit every member on every fold (MEMBER=, FOLD= for a part)
	@$(STAGE) train $(CHOSEN) $(PART)

infer: $(READY) ## Out-of-fold and test predictions, with test-time augmentation
	@$(STAGE) infer $(CHOSEN) $(PART)

ensemble: $(READY) ## Blend, estimate the score, write the submission
	@$(STAGE) ensemble $(CHOSEN) $(TIME)

report: $(READY) ## A page of pictures and numbers
	@$(STAGE) report $(CHOSEN) $(TIME)

config: $(READY) ## Print every key of the YAML
	@$(STAGE) config

test: $(READY) ## All tests
	$(VENV)/bin/python -m pytest

lint: $(READY) ## Style
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

gpu-check: $(READY) ## Tests of the GPU paths, and their speed against the bare network
	$(VENV)/bin/python -m pytest tests/test_gpu.py
	PYTHONPATH=. $(VENV)/bin/python tests/bench/gpu.py

bench: $(READY) ## Speed of features against bare forward passes
	$(VENV)/bin/python tests/bench/features.py
