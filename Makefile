# Every command of this repository. Bare `make` lists them.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
WORKERS ?= 2
PACKAGES := contracts chassis services/intake services/verification services/aggregation services/export deploy/local deploy/cli
SERVICES := intake verification aggregation export
LOCAL_NAMES := contracts chassis $(SERVICES) local-stack cli
LOCK := $(BIN)/uv pip compile --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	--no-annotate --no-header -q $(foreach n,$(LOCAL_NAMES),--no-emit-package mrm-$(n))

.DEFAULT_GOAL := help
.PHONY: help install demo up down test check unit lint format lock advisories generated bench bench-counting bench-check histories mutants clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## create .venv with pinned, hashed requirements and this project's packages

$(STAMP): requirements/dev.txt $(addsuffix /pyproject.toml,$(PACKAGES))
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $(foreach p,$(PACKAGES),-e $(p))
	@touch $@

demo: install ## set everything up and run the main job: AFG-2024 from reports to a signed, verified submission
	$(BIN)/mrm demo

up: install ## start the embedded stack and the four services (Ctrl-C stops them)
	$(BIN)/mrm up

down: ## stop the stack started with `mrm up --detach`
	$(BIN)/mrm down

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: install ## format the code
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

check: install lint ## ruff, mypy strict, import contracts, generated files current
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python contracts/generate.py --check

generated: install ## write schemas, OpenAPI, AsyncAPI and generated pages anew
	$(BIN)/python contracts/generate.py

ifndef MRM_TEST_SEED
MRM_TEST_SEED := $(shell date +%s)
endif
histories: install ## thousands of random histories on PostgreSQL, a hundred random files through the running system
	@echo "seed $(MRM_TEST_SEED): MRM_TEST_SEED=$(MRM_TEST_SEED) make histories brings this run back"
	MRM_TEST_SEED=$(MRM_TEST_SEED) MRM_HISTORIES=$${MRM_HISTORIES:-3000} $(BIN)/pytest -q --hypothesis-seed=$(MRM_TEST_SEED) \
		tests/integration/test_aggregation_histories.py tests/integration/test_aggregation_conservation.py
	MRM_TEST_SEED=$(MRM_TEST_SEED) MRM_RANDOM_FILES=$${MRM_RANDOM_FILES:-100} $(BIN)/pytest -q tests/system/test_random_files.py

mutants: install ## plant faults in the counting, one after the other: every one must be found by its tests
	$(BIN)/python tests/mutants/run.py

bench: install ## measure, as ratios in one run (never a test)
	$(BIN)/python tests/benchmarks/bench_intake.py
	$(MAKE) bench-counting
	$(MAKE) bench-check

bench-counting: install ## measure the counting alone: the note, its growth with history, postings, grouping, rebuild
	PYTHONPATH=tests $(BIN)/python -m benchmarks.bench_counting

bench-check: install ## how long `mrm check` takes for a file of 200 incidents and 100 queries
	PYTHONPATH=tests $(BIN)/python -m benchmarks.bench_check

unit: install ## the tests that need no running server
	$(BIN)/pytest -q tests/unit tests/contract tests/vectors

test: check ## everything: checks, unit, integration and system tests, on two cores (WORKERS=1 for one)
	$(BIN)/pytest -v -n $(WORKERS) --dist loadscope --no-loadscope-reorder --durations=20 tests

lock: ## compile the pinned, hashed requirements anew (one per service, one for development)
	$(LOCK) --group dev -o requirements/dev.txt
	$(foreach s,$(SERVICES),$(LOCK) -c requirements/dev.txt services/$(s)/pyproject.toml -o requirements/$(s).txt &&) true

advisories: install ## ask the package index whether anything pinned has a known weakness (needs the network; fails if it cannot be asked)
	$(BIN)/uv tool run --quiet --python $(BIN)/python --from pip-audit==2.10.1 \
		pip-audit --strict --disable-pip --require-hashes --progress-spinner off --desc off -r requirements/dev.txt

clean: ## remove the virtual environment and caches (never var/, which holds data)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
