# Two commands, each doing all of its own set-up: `make bench` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
RESULTS := results/smoke
# The stand-ins at their easy setting: at others so short a training learns nothing.
EASY := text:difficulty=easy retrieval:difficulty=easy image:difficulty=easy

.PHONY: bench test lint types faults browser slow clean

# Train a small matrix over all five tasks, offline, and write the report.
bench: .venv/ready
	$(BIN)/python run_bench.py run --protocol smoke --tasks listops $(EASY) pathfinder \
		--attention linear softmax --encodings none sinusoidal learned rope --output $(RESULTS)
	$(BIN)/python run_bench.py report $(RESULTS)

# Style, types and the quick tests.
test: lint types
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

# The checks that take longer, each by its marker.
faults slow: .venv/ready
	$(BIN)/python -m pytest -m $@

# Needs Chromium; skips, saying so, where there is none.
browser: .venv/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[browser]"
	$(BIN)/python -m pytest -m $@

clean:
	rm -rf .venv $(RESULTS)

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "lra-bench needs Python 3.11 or newer; set PYTHON=..."; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@
