# Thin by intent: what these do is in tools/, in Python.
PYTHON ?= python3
VENV = .venv/bin/python

.PHONY: setup run demo-watch test prove bench lint fuzz vectors generate pictures clean

setup: ; @$(PYTHON) tools/setup.py
run: ; @$(PYTHON) tools/run.py
demo-watch: setup ; @$(VENV) tools/demo_watch.py --seed $(or $(SEED),7)
test: ; @$(PYTHON) tools/check.py
lint: ; @$(PYTHON) tools/check.py --lint
prove: setup ; @$(VENV) tools/prove.py
bench: setup ; @$(VENV) bench/run.py
fuzz: ; @$(PYTHON) tools/setup.py --group fuzz && $(VENV) tools/fuzz.py
vectors: setup ; @for file in spec/vectors/*.py; do $(VENV) $$file || exit 1; done
generate: setup ; @$(VENV) -m holdfast.node.generate
pictures: setup ; @$(VENV) tools/pictures.py

clean:
	rm -rf .venv .tools web/node_modules web/dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
