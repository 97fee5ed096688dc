# Everything here works in a fresh clone with make and Python 3.11, 3.12 or 3.13: `make reproduce`.
# Another interpreter: `make PYTHON=python3.12 test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# There while packages are being written, so left behind only by an interrupted install.
INSTALLING := $(VENV)/.installing

# Idle OpenMP threads spin briefly, then sleep: small networks need the first, cores shared with others the second.
export GOMP_SPINCOUNT ?= 1000
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help reproduce test lint lab lock clean

help:
	@echo "make reproduce  run all notebooks, make every figure, say whether the numbers are those of figures/"
	@echo "make test       run the tests"
	@echo "make lint       check style and types"
	@echo "make lab        open JupyterLab"
	@echo "make lock       renew requirements.lock and the pins of environment.yml from pyproject.toml"
	@echo "make clean      remove .venv, .cache and build products"
	@echo "Each target installs what it needs into .venv first. Needs Python 3.11 to 3.13 (PYTHON=$(PYTHON))."
	@echo "'source $(BIN)/activate' then puts srcsep on the PATH."

# A sound virtual environment: made when missing, made anew when a stopped install left it half-written.
define ensure_venv
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
	  echo "'$(PYTHON)' is not Python 3.11, 3.12 or 3.13: name one that is, as in 'make PYTHON=python3.12 test'." >&2; \
	  exit 1; }
	@if [ -e $(INSTALLING) ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  echo "Making a virtual environment in $(VENV) with $$($(PYTHON) --version)."; \
	  rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); fi
endef

$(INSTALLED): requirements.lock pyproject.toml
	$(ensure_venv)
	@rm -f $@
	@echo "Installing the locked packages into $(VENV): a few minutes, and about 3 GB to download on Linux (mostly"
	@echo "PyTorch with its GPU libraries), far less elsewhere; nothing where pip has them in its cache."
	@touch $(INSTALLING)
	@$(BIN)/python -m pip install -q -r requirements.lock
	@rm -f $(INSTALLING)
	@$(BIN)/python -m pip install -q --no-deps -e .
	@touch $@
	@echo "Installed. 'source $(BIN)/activate' puts srcsep on the PATH."

reproduce: $(INSTALLED)
	@echo "Running all notebooks; what an earlier run finished is taken from .cache."
	@$(BIN)/srcsep notebooks

# One process a core with one thread each: small networks are slower on two threads that contend.
test: $(INSTALLED)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

lint: $(INSTALLED)
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy

lab: $(INSTALLED)
	@$(BIN)/python -m jupyterlab

# Keeps the versions already locked where they still fit; `make lock LOCK_FLAGS=--upgrade` takes the newest.
# One version of each package for every supported Python and platform; then environment.yml gets the same pins.
lock:
	$(ensure_venv)
	@$(BIN)/python -m pip install -q uv
	$(BIN)/python -m uv pip compile pyproject.toml --extra lab --extra test --universal --python-version 3.11 \
	  --fork-strategy fewest --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet \
	  $(LOCK_FLAGS) --output-file requirements.lock
	@sed -n 's/^\([a-z0-9-]*\)==\([^ ;]*\).*/s|^\\( *- \1==\\).*|\\1\2|/p' requirements.lock > $(VENV)/pins.sed
	@sed -f $(VENV)/pins.sed environment.yml > $(VENV)/environment.yml
	@cat $(VENV)/environment.yml > environment.yml
	@echo "Wrote requirements.lock and the pins of environment.yml; a new direct dependency is added there by hand."

clean:
	rm -rf $(VENV) .cache build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find srcsep_core tests notebooks scripts -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
