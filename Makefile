# Two commands do everything on a fresh machine: `make figures` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN ?= runs/train/scenes
OUT ?= figures

.PHONY: figures test lint docs evidence env clean

figures: env  ## Train on the embedded data and make every exhibit of the supplement.
	$(BIN)/psmt-viz train --preset scenes --out $(RUN) --resume
	$(BIN)/psmt-viz figures $(RUN) --out $(OUT)

test: env lint  ## All tests, lint, types and import rules.
	$(BIN)/pytest -n auto

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: env  ## The documentation as a site that needs no network -> site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

evidence: env  ## What holds of the paper's claims: tables and figures again, from the table of runs alone.
	$(BIN)/python analysis/evidence.py

env: $(VENV)/.complete

# The stamp is written last, so an interrupted installation is started again.
$(VENV)/.complete: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch torchvision
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) runs figures site
