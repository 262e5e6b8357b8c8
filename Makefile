# LR Ladder. `make` lists the targets. Nothing here deletes results.

PRESET ?= cpu
OUT ?= runs/$(patsubst %.yml,%,$(patsubst %.yaml,%,$(notdir $(PRESET))))
VENV ?= .venv
# pip reads these: make venv PIP_NO_INDEX=1 PIP_FIND_LINKS=wheelhouse installs without network.
export PIP_NO_INDEX PIP_FIND_LINKS
PYTEST_ARGS ?=
MUTANTS ?= runs/mutants
MUTANTS_ARGS ?=
# The first Python of at least 3.11, `python3` before others; `make PYTHON=...` names another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
# PyPI's torch for Linux is the CUDA build, several GB. Without a GPU the CPU build comes from here; empty: never.
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

INDEX_IS_THERE = [ -n "$(TORCH_CPU_INDEX)" ] && $(PYTHON) -c \
  'import sys, urllib.request as r; r.urlopen(sys.argv[1] + "/torch/", timeout=5)' "$(TORCH_CPU_INDEX)" >/dev/null 2>&1

MEGABLOCKS := megablocks==0.10.0
GROUPED_GEMM := grouped_gemm==0.3.0
STK := stanford-stk==0.7.1
WHEELHOUSE ?= wheelhouse

READY := $(VENV)/.ready
MARK := $(VENV)/.lrladder
SAY := @printf '%s\n'

.PHONY: help venv benchmark bench gpu-check test mutants lint docs format megablocks wheelhouse
.DEFAULT_GOAL := help

help:
	$(SAY) 'LR Ladder: which learning rate for a large MoE, and which way of finding it to trust.' '' \
	  '  make benchmark   train, compare and report (PRESET=cpu; smoke, or FILE.yaml; OUT=DIR). Continues what OUT holds.' \
	  '  make test        ruff, mypy and all tests (PYTEST_ARGS="-k law")' \
	  '  make bench       training speed of the rungs of PRESET beside a peer, in ratios; bench.json' \
	  '  make gpu-check   on a GPU: kernels, smoke, speed and first rungs in one table, 8 minutes at a time' \
	  '  make mutants     test the tests of what decides: 400 small changes of the code, which they should notice' \
	  '  make lint        ruff and mypy only' \
  '  make docs        build the pages of docs/ as a site in site/' \
	  '  make format      let ruff format and fix the sources' \
	  '  make venv        only set up $(VENV), as the targets above do when it is missing or out of date' \
	  '  make megablocks  build MegaBlocks into $(VENV); needs an NVIDIA GPU machine with nvcc' \
	  '  make wheelhouse  collect every package in $(WHEELHOUSE), for a machine without network'

benchmark: $(READY)
	@$(VENV)/bin/lrladder run "$(PRESET)" --out "$(OUT)"

bench: $(READY)
	@$(VENV)/bin/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[bench]'
	@OMP_NUM_THREADS=1 $(VENV)/bin/lrladder bench "$(PRESET)" --out bench.json

# What only a GPU can show, in pieces of 8 minutes: the same command goes on.
gpu-check: $(READY)
	@command -v nvidia-smi >/dev/null || { echo "make gpu-check needs an NVIDIA GPU, and this machine has none" >&2; exit 2; }
	@$(VENV)/bin/python -c 'import sys, importlib.util as u; sys.exit(u.find_spec("megablocks_ops") is None)' || $(MAKE) megablocks
	@$(VENV)/bin/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[bench]'
	@$(VENV)/bin/lrladder gpu-check --out "$(if $(filter runs/cpu,$(OUT)),runs/gpu-check,$(OUT))"

test: lint
	@OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n logical --maxprocesses 8 --dist loadfile $(PYTEST_ARGS)

# Slow, so neither `make test` nor .ci/run calls it. The same command goes on; MUTANTS_ARGS=--again tests survivors again.
mutants: $(READY)
	@$(VENV)/bin/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[mutants]'
	@OMP_NUM_THREADS=1 nice -n 10 $(VENV)/bin/python tests/mutants/run.py --out "$(MUTANTS)" $(MUTANTS_ARGS)

lint: $(READY)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-cache

# Needs no network, and is strict: a broken link fails. mkdocs.yml says how.
docs: $(READY)
	@$(VENV)/bin/zensical build --clean --strict
	@echo "The site is site/index.html."

format: $(READY)
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

venv: $(READY)

# The stamp goes first and comes back last, so an interrupted set-up is seen, and made afresh, by the next make.
# Only a folder that carries our mark is ever emptied.
$(READY): pyproject.toml constraints.txt
	@set -e; \
	if [ -z "$(PYTHON)" ] || ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  echo "LR Ladder needs Python 3.11 or newer: install it, or name one with make PYTHON=/path/to/python3.11" >&2; exit 2; fi; \
	if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "$(PYTHON) has no venv module: on Debian or Ubuntu, apt-get install python3-venv" >&2; exit 2; fi; \
	if [ -e $(VENV) ] && [ ! -e $(MARK) ] && [ -n "$$(ls -A $(VENV))" ]; then \
	  echo "$(VENV) was not made by this Makefile: move it away, or choose another with make VENV=DIR" >&2; exit 2; fi; \
	mkdir -p $(VENV); touch $(MARK); \
	if [ ! -e $@ ]; then find $(VENV) -mindepth 1 -maxdepth 1 ! -name .lrladder -exec rm -rf {} +; fi; \
	rm -f $@; \
	index=; if [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null && $(INDEX_IS_THERE); then \
	  index="--extra-index-url $(TORCH_CPU_INDEX)"; fi; \
	echo "Setting up $(VENV) (about 2 minutes and 2 GB for CPU; log: $(VENV)/setup.log) ..."; \
	start=$$(date +%s); \
	{ $(PYTHON) -m venv $(VENV) && \
	  $(VENV)/bin/python -m pip install --disable-pip-version-check $$index -c constraints.txt -e '.[test]'; \
	} >$(VENV)/setup.log 2>&1 || { tail -n 25 $(VENV)/setup.log >&2; \
	  echo "Setting up $(VENV) failed; the whole log is $(VENV)/setup.log. Run make again to retry." >&2; exit 2; }; \
	if $(VENV)/bin/python -c 'import sys, torch; sys.exit(torch.version.cuda is not None)'; then \
	  env -u CUDA_HOME $(VENV)/bin/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation \
	    $(MEGABLOCKS) >>$(VENV)/setup.log 2>&1 || \
	    echo "MegaBlocks could not be installed, so its kernels go untested; the log is $(VENV)/setup.log" >&2; fi; \
	touch $@; \
	echo "$(VENV) is ready after $$(($$(date +%s) - start)) s."

# MegaBlocks' metadata pins torch 2.7.0, hence --no-deps. Newer CUB has no debug_synchronous argument
# (databricks/megablocks#180), so the two calls that pass it are patched in the unpacked source. Toolkits that are little
# more than nvcc have no cusparse.h; torch's own CUDA packages bring it, and are looked at after the toolkit. nvcc itself
# says where its toolkit is: the one on PATH may be a script that stands elsewhere.
MEGABLOCKS_BUILD := $(VENV)/build-megablocks
TORCH_HEADERS = 'import glob, sysconfig; print(":".join(glob.glob(sysconfig.get_paths()["purelib"] + "/nvidia/*/include")))'

megablocks: $(READY)
	@command -v nvcc >/dev/null || [ -x "$$CUDA_HOME/bin/nvcc" ] || { \
	  echo "MegaBlocks is compiled with nvcc, and there is none: put it on PATH or set CUDA_HOME" >&2; exit 2; }
	@$(VENV)/bin/python -c 'import sys, torch; sys.exit(torch.version.cuda is None)' || { \
	  echo "$(VENV) has a CPU build of torch: remove $(READY) and run make venv TORCH_CPU_INDEX= on the GPU machine" >&2; exit 2; }
	@echo "Building MegaBlocks 0.10.0 and grouped_gemm 0.3.0 (8 minutes on 2 cores; log: $(VENV)/megablocks.log) ..."
	@set -e; rm -rf $(MEGABLOCKS_BUILD); mkdir -p $(MEGABLOCKS_BUILD); \
	pip="$(abspath $(VENV))/bin/python -m pip --disable-pip-version-check"; \
	PATH="$(abspath $(VENV))/bin:$$PATH"; export PATH; \
	CUDA_HOME="$${CUDA_HOME:-$$(nvcc --dryrun -x cu /dev/null 2>&1 | sed -n 's/^#\$$ TOP=//p')}"; export CUDA_HOME; \
	CPLUS_INCLUDE_PATH="$${CPLUS_INCLUDE_PATH:+$$CPLUS_INCLUDE_PATH:}$$($(VENV)/bin/python -c $(TORCH_HEADERS))"; \
	export CPLUS_INCLUDE_PATH; \
	{ $$pip install --no-deps $(STK) && \
	  $$pip download --no-deps --no-build-isolation --no-binary :all: -d $(MEGABLOCKS_BUILD) $(MEGABLOCKS) && \
	  tar -xzf $(MEGABLOCKS_BUILD)/megablocks-0.10.0.tar.gz -C $(MEGABLOCKS_BUILD) && \
	  $(VENV)/bin/python -c 'import pathlib, re, sys; f = pathlib.Path(sys.argv[1]); \
	    f.write_text(re.sub(r"stream,\s*debug_synchronous\)", "stream)", f.read_text()))' \
	    $(MEGABLOCKS_BUILD)/megablocks-0.10.0/csrc/cumsum.h && \
	  $$pip install --no-deps --no-build-isolation --force-reinstall $(GROUPED_GEMM) $(MEGABLOCKS_BUILD)/megablocks-0.10.0; \
	} >$(VENV)/megablocks.log 2>&1 || { tail -n 25 $(VENV)/megablocks.log >&2; \
	  echo "Building MegaBlocks failed; the whole log is $(VENV)/megablocks.log" >&2; exit 2; }
	@rm -rf $(MEGABLOCKS_BUILD); echo "MegaBlocks is installed; lrladder doctor says whether it will be used."

# Everything that this environment was made of, as wheels, and MegaBlocks' sources, which are compiled where the GPU is.
# The target's Python and platform must be this machine's; torch is the build that $(VENV) has. To name a source archive
# pip runs its setup.py, and grouped_gemm's asks for a GPU and for CUDA, which this machine need not have.
wheelhouse: $(READY)
	@echo "Collecting packages in $(WHEELHOUSE) (log: $(VENV)/wheelhouse.log) ..."
	@set -e; mkdir -p $(WHEELHOUSE); \
	pip="$(VENV)/bin/python -m pip --disable-pip-version-check"; \
	index=; if $(VENV)/bin/python -c 'import sys, torch; sys.exit(torch.version.cuda is not None)' && $(INDEX_IS_THERE); then \
	  index="--extra-index-url $(TORCH_CPU_INDEX)"; fi; \
	{ $$pip freeze --all --exclude-editable --exclude megablocks --exclude grouped_gemm >$(WHEELHOUSE)/requirements.txt && \
	  $$pip wheel --no-deps $$index -w $(WHEELHOUSE) -r $(WHEELHOUSE)/requirements.txt && \
	  mkdir -p $(VENV)/as-with-cuda && printf '%s\n' 'import torch.utils.cpp_extension as extension, torch' \
	    'torch.cuda.get_device_capability = lambda *_: (9, 0)' 'extension.CUDA_HOME = extension.CUDA_HOME or "/nowhere"' \
	    >$(VENV)/as-with-cuda/sitecustomize.py && \
	  PYTHONPATH="$(abspath $(VENV))/as-with-cuda" $$pip download --no-deps --no-build-isolation --no-binary :all: -d $(WHEELHOUSE) \
	    $(MEGABLOCKS) $(GROUPED_GEMM); \
	} >$(VENV)/wheelhouse.log 2>&1 || { tail -n 25 $(VENV)/wheelhouse.log >&2; \
	  echo "Collecting failed; the whole log is $(VENV)/wheelhouse.log. The same command continues." >&2; exit 2; }
	@$(VENV)/bin/lrladder doctor --wheelhouse $(WHEELHOUSE)
	@printf '%s\n' 'Copy it with this checkout to the machine without network, and there:' \
	  '  make venv PIP_NO_INDEX=1 PIP_FIND_LINKS=$(abspath $(WHEELHOUSE))   # the folder as it is called there' \
	  '  make megablocks PIP_NO_INDEX=1 PIP_FIND_LINKS=...                  # with a GPU and nvcc'
