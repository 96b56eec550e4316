# Every target sets up what it needs in .venv; nothing outside the project is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint matrix bench perplexity study calibrate ablation docs pictures clean

# The real model past its trained window: RoPE, YaRN and LaMPE. ARGS="--text FILE --minutes 0" goes to the program.
demo: $(READY)
	$(BIN)/python -m examples.demo $(ARGS)

# Formatting, types, and all tests, the slow ones too.
test: lint
	$(BIN)/python -m pytest -m "slow or not slow" $(ARGS)

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Every method against every property, on as many random plans as you have time for: make matrix EXAMPLES=200
matrix: $(READY)
	LAMPE_MATRIX_EXAMPLES=$(or $(EXAMPLES),10) $(BIN)/python -m pytest tests/testing/test_matrix.py -m "slow or not slow" --matrix out/matrix.md

# Prefill, decoding, the model against transformers, loading, second turns, memory: over an hour without matrix units,
# two thirds of it memory. Each prints a table and writes JSON and a picture to out/bench/.
bench: $(READY)
	$(BIN)/python -m benchmarks.prefill
	$(BIN)/python -m benchmarks.decode
	$(BIN)/python -m benchmarks.model
	$(BIN)/python -m benchmarks.loading
	$(BIN)/python -m benchmarks.turns
	$(BIN)/python -m benchmarks.memory

# All methods on the real model past its trained window: an hour without matrix units; goes on where it was stopped.
perplexity: $(READY)
	$(BIN)/python -m benchmarks.perplexity $(ARGS)

# Every method on the demo's model, at half to three times its window, on seven tasks: the report of the scores that
# ship. ARGS="--out out/study" makes them anew, many hours on two cores, and goes on where it was stopped; "--minutes
# 60", "--ray --workers 2" go to `lampe compare` too.
study: $(READY)
	$(BIN)/python -m examples.smollm2 $(ARGS)

# The profile of the demo's model that ships, measured again into out/: three quarters of an hour without matrix units;
# goes on where it was stopped. ARGS="--budget 20m" does what fits.
calibrate: $(READY)
	$(BIN)/python -m examples.calibration --objective retrieval --keys 1 --places 3 --finest 1.2 $(ARGS)

# LaMPE part by part, and three ideas beyond the paper, on the demo's model: many hours without matrix units; goes on
# where it was stopped, ARGS as for study.
ablation: $(READY)
	$(BIN)/python -m examples.ablation $(ARGS)

# The pages under docs/ are Markdown; what is generated in them is written anew, and every block is run.
docs: $(READY)
	$(BIN)/python -m docs.build
	$(BIN)/python -m pytest tests/test_docs.py

# The pictures of docs/methods/ too.
pictures: $(READY)
	$(BIN)/python -m docs.build --pictures

clean:
	rm -rf $(VENV) out .cache

# torch first and alone: its exact version is in constraints.txt, so that pip does not look for a newer one.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==$(shell sed -n 's/^torch==//p' constraints.txt)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@
