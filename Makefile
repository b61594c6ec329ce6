# Two commands, each doing all of its own set-up: `make bench` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
RESULTS := results/smoke
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_OPTIONS)
# Short lists, easy stand-ins and small images: at others so short a training learns nothing.
TASKS := listops:min_length=10,max_length=60 text:difficulty=easy retrieval \
	image:size=16,difficulty=easy pathfinder:size=16,difficulty=easy

.PHONY: bench test lint types faults browser slow clean

# Train a small matrix over all five tasks, offline, and write the report.
bench: .venv/ready
	$(BIN)/python run_bench.py run --protocol smoke --tasks $(TASKS) \
		--mixers linear softmax --encodings none sinusoidal learned rope --output $(RESULTS)
	$(BIN)/python run_bench.py report $(RESULTS)

# Style, types and the quick tests.
test: lint types
	$(PYTEST) -n 2 --dist worksteal

lint: .venv/tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/tools
	$(BIN)/mypy

# The checks that take longer, each by its marker; `browser` needs Debian's chromium.
slow: .venv/tools
	$(PYTEST) -n 2 --dist worksteal -m $@

# Files side by side: what a file's tests share is made once.
faults browser: .venv/tools
	$(PYTEST) -n 2 --dist loadfile -m $@

clean:
	rm -rf .venv $(RESULTS)

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "lra-bench needs Python 3.11 or newer; set PYTHON=..."; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[data,report]"
	@touch $@

# What only tests need is a third of the installation: `bench` does without.
.venv/tools: .venv/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@
