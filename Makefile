# Everything a developer or a newcomer runs. `make demo` and `make test` need nothing but Python 3.11 and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_LIBRARY ?= build/demo

.PHONY: help demo test lint types check bench bench-index crash load fuzz baseline browser openapi clean mutate replicas ray

help:
	@echo "make demo    set up, add seeds/articles to a library, ask three questions"
	@echo "make test    set up, then every check: tests, lint, types, layers"
	@echo "make check   the checks alone, in an environment that is set up"
	@echo "make bench   the figures of the README, from the benchmark data (see CONTRIBUTING.md)"
	@echo "make bench-index   the index's figures: types, a library of a million passages, filters"
	@echo "make crash   kill a library that is being written to, 200 times, and count what was lost"
	@echo "make load    a server under load, of slow clients and told to end, for an hour (LOAD=soak: one part alone)"
	@echo "make fuzz    requests made from the description of the HTTP interface, and hostile ones, to a server"
	@echo "make mutate  files of every format with mistakes in them, 100 each, through the parser"
	@echo "make replicas   two servers behind HAProxy, which must be installed: one killed, both started anew"
	@echo "make ray     a bulk job on a local Ray, killed and begun again"
	@echo "make openapi   keep the description of the HTTP interface, which a test holds later versions to"
	@echo "make browser   the pages in Chromium, which must be at /usr/bin/chromium"
	@echo "make baseline   keep how the questions in seeds/ are answered today, which tests hold later versions to"

$(BIN)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(BIN)/.installed
	$(BIN)/pullquote --library $(DEMO_LIBRARY) add seeds/articles
	printf '%s\n' "Which missiles were shown at the parade?" \
		"How many people were hurt in the Norhaven ferry accident?" \
		"Who won the chess tournament?" | $(BIN)/pullquote --library $(DEMO_LIBRARY) ask -

test: $(BIN)/.installed check

check: lint types
	$(BIN)/python -m pytest --ignore tests/test_server_browser.py

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

bench: $(BIN)/.installed
	$(BIN)/python -m eval.benchmark

bench-index: $(BIN)/.installed
	$(BIN)/python -m eval.bench_index

crash: $(BIN)/.installed
	$(BIN)/python -m tests.crash --kills 200

load: $(BIN)/.installed
	$(BIN)/python -m tests.load $(LOAD)

fuzz: $(BIN)/.installed
	$(BIN)/python -m tests.fuzz $(FUZZ)

mutate: $(BIN)/.installed
	$(BIN)/python -m tests.mutate

replicas: $(BIN)/.installed
	$(BIN)/python -m tests.replicas

ray: $(BIN)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[ray]'
	$(BIN)/python -m pytest tests/test_bulk.py

baseline: $(BIN)/.installed
	rm -rf build/seeds
	$(BIN)/pullquote --library build/seeds add seeds/articles
	$(BIN)/pullquote --library build/seeds eval seeds/questions.jsonl --out seeds/baseline.json

openapi: $(BIN)/.installed
	$(BIN)/python -m tests.openapi

browser: $(BIN)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[browser]'
	$(BIN)/python -m pytest tests/test_server_browser.py

clean:
	rm -rf build
