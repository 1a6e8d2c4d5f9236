# make demo   set-up and the main job, offline, on the embedded example
# make test   the tests          make check   formatter, linter, types
# make bench  the tables that documents quote (long; needs METIER_DATA_MIRROR); make bench-data: those on data alone;
#             make bench-eval: the statistics of the verdict
# Only Python 3.11 or newer, make and pip are needed; everything else is installed into .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
RUN    := DO_NOT_TRACK=1 HF_HUB_DISABLE_TELEMETRY=1 HF_HUB_OFFLINE=1

.PHONY: demo test check bench bench-data bench-eval clean

demo: $(VENV)/.ready
	$(RUN) $(BIN)/metier run quickstart/bank-messages
	@echo "open runs/quickstart-bank-messages/report.html in a browser"

test: $(VENV)/.ready-test
	$(RUN) $(BIN)/python -m pytest -q

check: $(VENV)/.ready-check
	$(BIN)/ruff format --check src tests benchmarks tools docs
	$(BIN)/ruff check src tests benchmarks tools docs
	$(BIN)/mypy

bench: $(VENV)/.ready-test
	$(RUN) $(BIN)/python benchmarks/run.py

bench-data: $(VENV)/.ready-test
	$(RUN) $(BIN)/python benchmarks/run.py data

bench-eval: $(VENV)/.ready-test
	$(RUN) $(BIN)/python benchmarks/run.py eval

# PyTorch goes first, by itself: resolved together with the rest, pip may look at builds for other hardware.
$(VENV)/.ready: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit("Metier needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (a few minutes the first time)"
	$(PIP) torch
	$(PIP) --editable ".[all]"
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	$(PIP) --editable ".[all,test]"
	@touch $@

$(VENV)/.ready-check: $(VENV)/.ready
	$(PIP) --editable ".[all,test,check]"
	@touch $@

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
