# Each target works on a fresh Debian or Ubuntu with Python 3.11+, make, and root or sudo.
.PHONY: run test check lint types layers soak bench clean
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TESTS ?= tests
WORKERS ?= 2

run: $(READY) ## the main job: an assistant that answers from documents, at the printed URL
	$(BIN)/holdfast serve

test: $(READY) ## everything, on servers that the tests start themselves; those marked `alone` at the end
	sh scripts/install-servers.sh
	sh scripts/run-tests.sh $(BIN)/pytest $(WORKERS) $(TESTS)

check: lint types layers test ## what CI runs

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

layers: $(READY)
	$(BIN)/lint-imports

soak: $(READY) ## the promise tests, long
	sh scripts/install-servers.sh
	HOLDFAST_SOAK=1 $(BIN)/pytest tests/promises tests/fuzz --timeout 3600

bench: $(READY) ## prints the tables of docs/benchmarks.md
	sh scripts/install-servers.sh
	$(BIN)/python -m bench

$(READY): pyproject.toml uv.lock scripts/make-env.sh
	sh scripts/make-env.sh $(VENV)
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
