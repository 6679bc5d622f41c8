# Each stage is one target; it brings what it stands on up to date.
#   make ensemble CONFIG=clothing SET="folds.n=3 members.net.epochs=2"
#   make train MEMBER=linear,net FOLD=0,1
#   make ensemble VERIFY=1    reads and compares files that seem unchanged, too
#   make ensemble EXECUTOR=ray    jobs on a cluster, see docs/cluster.md
#   make ensemble VERBOSE=1   prints the statistics in full, and details of training
PYTHON ?= python3
CONFIG ?= digits
SET ?=
MEMBER ?=
FOLD ?=
BUDGET ?=
EXECUTOR ?=
# Of one command only, so not taken from the environment.
RUN =
NOTE =
PUBLIC =
OUT =
PORT =
MESSAGE =
WAIT =
A =
B =
COMPETITION =
KEEP =
TARGET =
METRIC =
BENCH = features

VENV := .venv
READY := $(VENV)/.installed
STAGE = $(VENV)/bin/python -m pipeline
# Through the environment, so that SET="tta.views=[original, mirrored]" needs no second quoting.
export CONFIG SET EXECUTOR MEMBER FOLD BUDGET RUN NOTE PUBLIC OUT PORT MESSAGE WAIT A B COMPETITION KEEP TARGET METRIC
CHOSEN = --config "$$CONFIG" --set "$$SET$${EXECUTOR:+ runtime.executor=$$EXECUTOR}"
PART = --member "$$MEMBER" --fold "$$FOLD"
TIME = --budget "$$BUDGET"
AGAIN = --run "$$RUN"
NOTED = --note "$$NOTE"

# What an extra of pyproject.toml asks for; the pipeline itself is run from here, not installed.
EXTRAS =
define READ_EXTRAS
import sys, tomllib
extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]
unknown = set(sys.argv[1].split(",")) - set(extras)
unknown and sys.exit(f"EXTRAS: no {sorted(unknown)}; there are {sorted(extras)}")
print(*(need for name in sys.argv[1].split(",") for need in extras[name]), sep="\n")
endef
export READ_EXTRAS

.DEFAULT_GOAL := help
.PHONY: help install demo new doctor folds audit weights features plan check train infer ensemble report ledger diff restore reproduce clean status board kernel submit config test lint gpu-check bench torture

help: ## Print this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12
	@echo
	@echo 'CONFIG=NAME or CONFIG=path/to/file.yaml says which competition (default: digits, the demo);'
	@echo 'SET="folds.n=3 seed=1" overrides keys of it; MEMBER=linear,net and FOLD=0,1 do a part.'

install: $(READY) ## Make .venv and install the pinned lock (EXTRAS=kaggle: also those)
	@test -z "$(EXTRAS)" || { needs=$$($(VENV)/bin/python -c "$$READ_EXTRAS" "$(EXTRAS)") && \
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	--constraint requirements.lock $$needs; }

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@touch $@

demo: $(READY) ## Digits of scikit-learn as a competition, and the whole chain on them
	@$(STAGE) demo --set "$$SET"

new: $(READY) ## Write a config for input/COMPETITION (TARGET=, METRIC=, BUDGET=, OUT= decide)
	@$(STAGE) new "$$COMPETITION" --target "$$TARGET" --metric "$$METRIC" $(TIME) --out "$$OUT"

doctor: $(READY) ## Is this machine ready, and (CONFIG=) a competition? With times and disk
	@$(STAGE) doctor $(CHOSEN)

folds: $(READY) ## Check files, find duplicates, hold out K folds
	@$(STAGE) folds $(CHOSEN) $(AGAIN)

audit: $(READY) ## Look for leaks; it sees more after `make features`
	@$(STAGE) audit $(CHOSEN) $(AGAIN)

weights: $(READY) ## Bring the hub's weights into models/weights/ (or WEIGHTS_FOLDER=)
	@$(STAGE) weights $(CHOSEN)

features: $(READY) ## Frozen features of each backbone, cached on disk
	@$(STAGE) features $(CHOSEN) $(AGAIN)

plan: $(READY) ## What is to do, with predicted times (BUDGET=30m: what fits)
	@$(STAGE) plan $(CHOSEN) $(TIME) $(AGAIN)

check: $(READY) ## Try each network for a minute before a night of training (MEMBER= for some)
	@$(STAGE) check $(CHOSEN) --member "$$MEMBER"

train: $(READY) ## Fit every member on every fold (MEMBER=, FOLD= for a part)
	@$(STAGE) train $(CHOSEN) $(PART) $(AGAIN)

infer: $(READY) ## Out-of-fold and test predictions, with test-time augmentation
	@$(STAGE) infer $(CHOSEN) $(PART) $(AGAIN)

ensemble: $(READY) ## Blend, estimate the score, write the submission
	@$(STAGE) ensemble $(CHOSEN) $(TIME) $(AGAIN) $(NOTED)

report: $(READY) ## A page of pictures and numbers
	@$(STAGE) report $(CHOSEN) $(TIME) $(AGAIN) $(NOTED)

ledger: $(READY) ## Submissions, the best first (RUN=last NOTE="..." PUBLIC=0.934 write into it)
	@$(STAGE) ledger $(CHOSEN) $(AGAIN) $(NOTED) --public "$$PUBLIC"

diff: $(READY) ## What differs between two submissions (A= and B=, else the last two)
	@$(STAGE) diff $(CHOSEN) --a "$$A" --b "$$B"

restore: $(READY) ## The settings of a submission as a YAML file (RUN=last, OUT=file.yaml)
	@$(STAGE) restore $(CHOSEN) $(AGAIN) --out "$$OUT"

reproduce: $(READY) ## A submission once more, from its settings alone: the same bytes? (RUN=last)
	@$(STAGE) reproduce $(CHOSEN) $(AGAIN)

clean: $(READY) ## Disk that COMPETITION= takes; KEEP=submissions removes all else
	@$(STAGE) clean "$$COMPETITION" --keep "$$KEEP"

status: $(READY) ## What runs are doing now: jobs running, waiting, done, failed, time left
	@$(STAGE) status $(CHOSEN)

board: $(READY) ## TensorBoard over all networks (PORT=6006)
	@$(STAGE) board $(CHOSEN) --port "$$PORT"

kernel: $(READY) ## A folder for a competition whose notebooks run without internet (RUN=last)
	@$(STAGE) kernel --config "$$CONFIG" --set "$$SET" $(AGAIN)

submit: $(READY) ## Send a submission to Kaggle, wait for its score (RUN=last, MESSAGE=)
	@$(STAGE) submit $(CHOSEN) $(AGAIN) --message "$$MESSAGE" --wait "$$WAIT"

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

bench: $(READY) ## Speed beside a plain loop, into tests/bench/RESULTS.md (BENCH=features, learners, all)
	PYTHONPATH=. $(VENV)/bin/python tests/bench/results.py "$(BENCH)"

N = 100
torture: $(READY) ## N kills at random moments, N/5 pairs of processes, N/2 damaged files
	PYTHONPATH=.:tests $(VENV)/bin/python tests/torture.py $(N)
