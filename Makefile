# make demo   set-up and the main job, offline, on the embedded example; then a second act: a small model that writes
#             reads a bank's pages, and learns to answer about them. DOCUMENTS=folder puts your pages in their place,
#             QUESTIONS=table your questions (columns text, question, answer, split)
# make test   the tests          make check   formatter, linter, types
# make bench  the tables that documents quote (long; needs METIER_DATA_MIRROR); make bench-data: those on data alone;
#             make bench-eval: the statistics of the verdict
# make bench-train  training beside TRL, whose Python METIER_BENCH_TRL names (25 minutes on two cores)
# Only Python 3.11 or newer, make and pip are needed; everything else is installed into .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
RUN    := DO_NOT_TRACK=1 HF_HUB_DISABLE_TELEMETRY=1 HF_HUB_OFFLINE=1

.PHONY: demo demo-messages demo-documents test check bench bench-data bench-eval bench-train clean

demo: demo-messages demo-documents

demo-messages: $(VENV)/.ready
	$(RUN) $(BIN)/metier run quickstart/bank-messages
	@echo "open runs/quickstart-bank-messages/report.html in a browser"

# A verdict of REJECT (exit code 3) is a finding, not a failure.
demo-documents: $(VENV)/.ready
	@echo "second act: a small model reads a bank's pages, and learns to answer about them"
	$(RUN) $(BIN)/metier run quickstart/bank-pages $(if $(DOCUMENTS),collect.sources.0.path=$(abspath $(DOCUMENTS))) || test $$? -eq 3
	$(RUN) $(BIN)/metier run quickstart/bank-documents $(if $(QUESTIONS),collect.sources.0.path=$(abspath $(QUESTIONS))) || test $$? -eq 3
	$(RUN) $(BIN)/metier answers quickstart-bank-documents
	@echo "open runs/quickstart-bank-pages/report.html and runs/quickstart-bank-documents/report.html in a browser"

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

bench-train: $(VENV)/.ready-test
	$(RUN) $(BIN)/python benchmarks/run.py train

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
