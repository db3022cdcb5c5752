# `make help` lists the targets. Each one builds .venv first, once: the stamp file is written only
# after a whole installation, and is out of date when pyproject.toml is newer.
#
#   PYTHON=/path/to/python3.12   the interpreter to build .venv with (3.11 to 3.13)
#   EXTRAS=gpu,dev               TensorFlow for NVIDIA GPUs instead of the CPU; remembered in .venv

PYTHON ?= python3
DEFAULT_EXTRAS := cpu,dev
EXTRAS ?= $(or $(patsubst .venv/.installed-%,%,$(wildcard .venv/.installed-*)),$(DEFAULT_EXTRAS))
STAMP := .venv/.installed-$(EXTRAS)
RUN := .venv/bin/python
BENCHMARKS := $(sort $(filter-out benchmarks/_%,$(wildcard benchmarks/*.py)))

.DEFAULT_GOAL := help
.PHONY: help venv demo weights test test-all lint bench clean distclean

help:  ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

venv: $(STAMP)  ## build .venv with everything installed (the other targets do this themselves)

$(STAMP): pyproject.toml scripts/make_venv.sh
	@scripts/make_venv.sh "$(PYTHON)" "$(EXTRAS)"

demo: $(STAMP)  ## draw a data set, train on it, score it and draw detections, all under demo/
	@scripts/demo.sh

weights: $(STAMP)  ## fetch COCO weights (18 MB), which detect and train at once
	@$(RUN) scripts/fetch_weights.py ssdlite_mobilenet_v2_coco

PYTEST := $(RUN) -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

test: $(STAMP)  ## run the tests, in two processes: minutes
	@$(PYTEST) -m "not slow"

# The long tests start many processes and send them signals, and a machine may stall for seconds: up to
# three that fail run once more. Both tracebacks are shown, and the last line counts the reruns.
test-all: test  ## run the long tests too: the demo, faults, every layout
	@$(PYTEST) -m slow --reruns=1 --max-suite-reruns=3 --rerun-show-tracebacks

lint: $(STAMP)  ## ruff (lint and format) and mypy
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

bench: $(STAMP)  ## run every benchmark in turn
	@for each in $(BENCHMARKS); do \
	  echo "== $$each"; PYTHONPATH="$(CURDIR)" $(RUN) $$each || exit 1; \
	done

clean:  ## remove demo/ and the tools' caches
	rm -rf demo build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## clean, and remove .venv
	rm -rf .venv
