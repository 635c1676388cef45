# make demo and make test need nothing but a Debian machine; see README.md.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python
IN_CLUSTER := python3 -m tests.cluster run --

.PHONY: help
help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.complete: pyproject.toml constraints/dev.txt
	@bash tests/cluster/venv.sh
	@touch $@

.PHONY: demo
demo: .venv/.complete ## A real cluster, a fault survived, and a verdict: lost 0 (KEEP=1 leaves it running)
	@$(PY) -m tests.demo

.PHONY: test
test: .venv/.complete ## Everything: checks, unit, integration on real servers, end to end on a real cluster (LANES=1..4)
	@$(PY) -m tests.suite $(if $(LANES),--lanes $(LANES))

.PHONY: check
check: .venv/.complete ## Lint, types, layers, unit tests, the site: about two minutes
	@$(PY) -m tests.suite --quick

.PHONY: docs
docs: .venv/.complete ## The documentation as a site, .site/html; a dead link or anchor fails
	@rm -rf .site && PYTHONPATH=operator .venv/bin/sphinx-build -q -W --keep-going -d .site/doctrees docs .site/html
	@echo "open .site/html/index.html"

.PHONY: bench
bench: .venv/.complete ## Throughput, latency, memory, idle cost: a table and .bench/latest.json
	@$(PY) -m tests.benchmarks

.PHONY: bench-fleet
bench-fleet: .venv/.complete ## One operator with 50, 200 and 500 relays: cost, writes, first look (SIZES="50 200 500")
	@$(PY) -m tests.benchmarks --only fleet $(if $(SIZES),--relays $(SIZES)) $(if $(WRITE_DOCS),--write-docs)

.PHONY: faults
faults: .venv/.complete ## Thirteen faults and two hundred relays on the cluster, timed to the incident and the notification
	@python3 -m tests.cluster up && $(PY) -m tests.cluster.image
	@$(IN_CLUSTER) .venv/bin/pytest tests/e2e/test_timed_faults.py tests/e2e/test_parent_incident.py -v -s --tb=short

.PHONY: alerts
alerts: .venv/.complete ## A real fault for each type of incident, timed to the alert of the real Prometheus (WRITE_DOCS=1)
	@python3 -m tests.cluster up && $(PY) -m tests.cluster.image
	@$(IN_CLUSTER) .venv/bin/pytest tests/e2e/test_alerts_of_faults.py -v -s --tb=short

.PHONY: scaling
scaling: .venv/.complete ## The autoscaler on the cluster: 500,000 slow rows, no broker, a database that gives no more
	@python3 -m tests.cluster up && $(PY) -m tests.cluster.image
	@$(IN_CLUSTER) .venv/bin/pytest tests/e2e/test_autoscaling_on_the_cluster.py -v -s --tb=short

.PHONY: versions
versions: .venv/.complete ## What depends on PostgreSQL, with each of its versions 14 to 18 (ONLY="14 18", WRITE_DOCS=1)
	@$(PY) -m tests.versions $(if $(ONLY),--only $(ONLY)) $(if $(WRITE_DOCS),--write-docs)

.PHONY: migration
migration: .venv/.complete ## A real switch from Debezium to a relay and back, under a running writer (WRITE_DOCS=1)
	@$(PY) -m tests.migration $(if $(WRITE_DOCS),--write-docs)

.PHONY: chaos-operator
chaos-operator: .venv/.complete ## The leading operator killed while specs change: RUNS=30 SEED=n
	@$(PY) -m tests.chaos.kills $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED))

.PHONY: chaos-relay
chaos-relay: .venv/.complete ## Randomised faults on the real servers, judged by the oracle: RUNS=10 JOBS=1 SEED=n
	@$(PY) -m tests.chaos $(if $(RUNS),--runs $(RUNS)) $(if $(JOBS),--jobs $(JOBS)) $(if $(SEED),--seed $(SEED)) $(if $(ADD),--add) $(if $(WRITE_DOCS),--write-docs)

.PHONY: chaos-inbox
chaos-inbox: .venv/.complete ## Producers, a relay and consumers with an inbox, killed at random: RUNS=10 JOBS=2 SEED=n
	@$(PY) -m tests.chaos.inbox $(if $(RUNS),--runs $(RUNS)) $(if $(JOBS),--jobs $(JOBS)) $(if $(SEED),--seed $(SEED)) $(if $(WRITE_DOCS),--write-docs)

.PHONY: pictures
pictures: .venv/.complete cluster-up ## Draw kubectl get and outboxrelay top of thirty relays; renews docs/top.svg
	@$(IN_CLUSTER) $(PY) -m tests.pictures --write-docs

.PHONY: console-pictures
console-pictures: .venv/.complete ## Draw the console with thirty relays in Chromium; renews docs/console-*.png
	@$(PY) -m tests.pictures.console

.PHONY: cluster-up
cluster-up: ## Start the local cluster: Kubernetes, PostgreSQL, Kafka
	@python3 -m tests.cluster up

.PHONY: cluster-down
cluster-down: ## End the local cluster and leave nothing behind
	@python3 -m tests.cluster down

.PHONY: image
image: ## Build the image and print its size
	@python3 -m tests.cluster.image --no-load --print-size

.PHONY: crd
crd: .venv/.complete ## Generate crds/ and the chart's copy from the models
	@$(PY) -m outboxrelay crd > crds/outboxrelays.yaml.new && mv crds/outboxrelays.yaml.new crds/outboxrelays.yaml
	@cp crds/outboxrelays.yaml charts/outbox-relay-operator/files/outboxrelays.yaml

.PHONY: release-check
release-check: .venv/.complete ## Whether this can be released: version, changelog, same bytes, SBOM, licences; dist/ (FINAL=1)
	@$(PY) -m tests.release $(if $(FINAL),--final) $(if $(STRICT),--strict)

.PHONY: version
version: .venv/.complete ## Write another version into every place: VERSION=1.2.3
	@$(PY) -m tests.release --version $(VERSION)

.PHONY: reference
reference: .venv/.complete ## Generate the reference in docs/ from models, commands and examples
	@PYTHONPATH=operator $(PY) -m tests.reference

.PHONY: format
format: .venv/.complete ## Format the code
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .

.PHONY: constraints
constraints: .venv/.complete ## Pin the newest dependencies, with hashes
	@bash constraints/update.sh

.PHONY: clean
clean: ## Remove what the build and the tests left in this checkout
	@rm -rf .venv .bench .chaos .site dist build .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find operator tests -name __pycache__ -type d -prune -exec rm -rf {} +
