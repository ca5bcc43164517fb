# On a new machine, two commands do everything: `make figures` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN ?= runs/train/scenes
OUT ?= figures

.PHONY: figures test lint docs evidence env clean

figures: env  ## Train on the built-in synthetic data set and make every figure and table of the supplement.
	$(BIN)/psmt-viz train --preset scenes --out $(RUN) --resume
	$(BIN)/psmt-viz figures $(RUN) --out $(OUT)

test: env lint  ## All tests, lint, types and import rules.
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: env  ## Build the documentation as a site that needs no network -> site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

evidence: env  ## Draw the figures and tables on the paper's claims again, from the table of runs alone.
	$(BIN)/python analysis/evidence.py

env: $(VENV)/.complete

# The stamp is written last, so that an interrupted installation is repeated.
$(VENV)/.complete: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch torchvision
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) runs figures site
