# `make reproduce` and `make test` need Python 3.11 or 3.12 and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
KILLS ?= 20
CLUSTER ?= cluster

.PHONY: reproduce test test-faults test-cluster lint package docs fuzz audit bench desk questions always clean

reproduce: $(VENV)/installed ## the embedded default, from graphs to tables and figures
	$(BIN)/snakemake --cores $(CORES)

test: $(VENV)/installed lint docs ## everything that CI checks
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

test-faults: $(VENV)/installed ## break the running workflow: kill -9 at KILLS random moments, no room, damaged files
	$(BIN)/pytest -v -m faults tests/faults --kills $(KILLS)

test-cluster: $(VENV)/installed ## the workflow on a real Slurm of one node: root, and apt-get install slurm-wlm munge
	$(BIN)/pytest -v -m "$(CLUSTER)" tests/cluster --kills $(KILLS)

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check --compact-diff Snakefile rules
	$(BIN)/snakemake --lint

package: $(VENV)/installed ## wheel and sdist into dist, both installed into an environment of PYTHON's, and tried there
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/pytest -v -m package tests/test_packaging.py --interpreter $(PYTHON)

docs: $(VENV)/installed ## the pages, in build/docs
	$(BIN)/sphinx-build -W --keep-going -b html docs build/docs

# out of bounds is an error in compiled loops, which are compiled anew for that
fuzz: export NUMBA_BOUNDSCHECK = 1
fuzz: export NUMBA_CACHE_DIR = $(CURDIR)/build/bounds-checked
fuzz: $(VENV)/installed ## 20,000 damaged files for each reader, in an hour or two
	$(BIN)/pytest -v tests/fuzz --hypothesis-profile=fuzz

audit: $(VENV)/installed ## known vulnerabilities of what was tested together; asks the internet
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

bench: $(VENV)/installed ## the long benchmarks, into docs/results: a quiet machine, and the archives in NEGSAMP_MIRROR
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/epoch.py
	$(BIN)/python benchmarks/build.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/pretraining.py
	$(BIN)/python benchmarks/ranking.py
	$(BIN)/python benchmarks/trial.py

DESK := desk-codex-s desk-db50k desk-fb15k-237
STRONG := strong-codex-s strong-db50k strong-fb15k-237

desk: $(DESK:%=docs/results/%) $(STRONG:%=docs/results/%) docs/results/first-experiments ## what docs/desk.md tells of: hours on two cores, and the archives in NEGSAMP_MIRROR
	$(BIN)/negsamp claims $(DESK:%=docs/results/%/tables) --output docs/results
	rm docs/results/claims.tex

docs/results/first-experiments: TARGETS := all first_experiments checks

docs/results/%: configs/%.yaml $(VENV)/installed always ## the tables and figures of one experiment
	$(BIN)/snakemake --cores $(CORES) --configfile $< -- $(TARGETS)
	rm -rf $@ && mkdir -p $@
	cp -r results/$*/tables results/$*/figures $@
	find $@ -name '*.tex' -delete -o -name '*.pdf' -delete

QUESTIONS := graph-structure auxiliary-quality random-integration

questions: $(QUESTIONS:%=docs/results/%) docs/results/structure.md ## what docs/open-questions.md tells of: hours on two cores, and the archives in NEGSAMP_MIRROR

$(QUESTIONS:%=docs/results/%): docs/results/%: configs/%.yaml $(VENV)/installed always ## the answer to one open question
	$(BIN)/snakemake --cores $(CORES) --configfile $< -- $(subst -,_,$*)
	rm -rf $@ && mkdir -p $@
	cp $(addprefix results/$*/open_questions/$(subst -,_,$*),.csv .md .png .verdict.md) $@
	$(ADVICE)

# what advice foresees gains from, and how far that is right
docs/results/graph-structure: ADVICE = cp results/graph-structure/open_questions/evidence.csv negsamp/advice/generated.csv && $(BIN)/python benchmarks/advice.py

GRAPHS := codex-s,db50k-public,fb15k-237,fb15k-public,kinships,nations,umls,wn18,yago14k

docs/results/structure.md: $(VENV)/installed always ## the descriptors of benchmark graphs
	$(BIN)/snakemake --cores $(CORES) --config name=structure 'datasets=[$(GRAPHS)]' -- results/structure/tables/structure.md
	cp results/structure/tables/structure.csv results/structure/tables/structure.md docs/results

always:

# torch by itself first, so that the rest takes the build that is there, for the CPU or for a GPU
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "negsamp needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt torch
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	touch $@

clean: ## remove the environment and what the workflow made
	rm -rf $(VENV) build dist resources results logs .snakemake
