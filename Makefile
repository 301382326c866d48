# make setup   a virtual environment in .venv with the `decal` command; does nothing when it is up to date
# make demo    set-up and the whole flow on the stickers and the small base model in the package
# make test    set-up and all tests but those that need a GPU
# make lint    set-up, formatting, lint and types
# Another build of torch:  make setup PIP_ARGS="--extra-index-url URL-OF-THE-BUILD"  (docs/bases.md, "With a GPU")

PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP_ARGS ?= --constraint constraints.txt

# Set-up is done for one PIP_ARGS; another one does it again.
ASKED := $(shell mkdir -p .venv; echo '$(PIP_ARGS)' | cmp -s - .venv/pip-args || echo '$(PIP_ARGS)' > .venv/pip-args)

.PHONY: setup demo test lint clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt .venv/pip-args
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Decal needs Python 3.11 or newer: make setup PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet $(PIP_ARGS) --editable '.[dev]'
	touch .venv/ready

demo: setup
	.venv/bin/decal demo demo

test: setup
	.venv/bin/pytest -n 2

lint: setup
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy

clean:
	rm -rf .venv demo
