# Each target sets itself up: a fresh clone needs `make demo` or `make test`, and nothing before it.
.PHONY: setup demo test fuzz faults slurm audit-dependencies forge lint constraints bench docs clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PLUGINS := $(wildcard plugins/*)
# uv from the PATH, else from .tools/, where setup puts it
UV := $(or $(shell command -v uv 2>/dev/null),.tools/bin/uv)

setup: $(VENV)/.complete

$(VENV)/.complete: pyproject.toml constraints.txt $(PLUGINS:%=%/pyproject.toml) | $(UV)
	test -x $(BIN)/python || $(UV) venv --quiet --python "$(PYTHON)" $(VENV)
	$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e . $(PLUGINS:%=-e %) --group dev
	touch $@

.tools/bin/uv:
	$(PYTHON) -m pip install --quiet --target .tools uv \
		|| { echo "Setting up needs uv, or pip to fetch it: try 'apt-get install python3-pip'." >&2; exit 1; }

demo: setup ## the main job on the embedded dataset, a short end-to-end training, and a report of all runs
	$(BIN)/mitozoo eval --model efficientnet-lite0 --dataset demo
	$(BIN)/mitozoo eval --model efficientnet-lite0 --dataset demo --protocol end-to-end-short \
		--set epochs=2 --limit 400 --folds 1
	$(BIN)/mitozoo report runs/*-demo-* --page runs/report.html

test: setup ## on every core; each process keeps to one, and a module's tests stay together: tests/conftest.py orders them
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

fuzz: setup ## 10,000 mutated files of strangers, of all readers together; `make test` reads 1,000
	MITOZOO_FUZZED_FILES=10000 $(BIN)/python -m pytest -p no:randomly -k "or_refused" \
		tests/data tests/security tests/plugins_in_repo/test_datasets.py

faults: setup ## a plan killed 100 times at random moments, 100 nodes of Ray and its heads, two machines of one folder
	MITOZOO_KILLS=100 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -s -p no:randomly \
		-k "killed_drivers or loses_nodes or loses_its_head or two_machines" tests/plan

slurm: setup ## as root: a Slurm of three nodes on this machine, gone afterwards; Debian: slurm-wlm munge iproute2
	MITOZOO_SLURM=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n0 -s -p no:randomly tests/plan/test_slurm.py

audit-dependencies: | $(UV) ## what vulnerability services know of constraints.txt; exit code 3 where they cannot be asked
	$(PYTHON) .ci/audit_dependencies.py $(UV)

forge: setup ## 500 forged submissions, every one of which must be found; `make test` tries 100
	MITOZOO_FORGERIES=500 $(BIN)/python -m pytest -p no:randomly tests/submission/test_forgeries.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	for script in benchmarks/*.py; do echo "== $$script" && $(BIN)/python $$script || exit 1; done

docs: setup ## the site in site/; generated pages first, and any broken link is an error
	$(UV) pip install --quiet --python $(BIN)/python -c constraints.txt --group docs
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --quiet --strict

constraints: | $(UV) ## what every environment is pinned to; names no registry
	$(UV) pip compile --quiet --universal --no-header --no-annotate --no-emit-package mitozoo --python-version 3.11 \
		pyproject.toml $(PLUGINS:%=%/pyproject.toml) --group dev --group docs -o constraints.txt

clean:
	rm -rf $(VENV) .tools .pytest_cache .mypy_cache .ruff_cache
