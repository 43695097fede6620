# The commands of this project. `make help` lists them.
#
# Everything a target needs is built from pinned sources into .cache, which Git
# ignores. Go, make and git are enough; `make demo` needs npm as well.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
# Targets generate and build into the same places; `make -j` must not mix them.
.NOTPARALLEL:

GO ?= go

BIN := $(CURDIR)/.cache/bin
BUF := $(BIN)/buf

# The repository of the example events.
EXAMPLES := examples/events

# Every directory with a go.mod is a module, so a new one needs no entry here.
MODULES := $(shell find . -name go.mod -not -path '*/.*/*' -not -path '*/node_modules/*' \
	-not -path '*/testdata/*' | sed 's,/go\.mod$$,,' | sort)

# $(call each-module,COMMAND,DIRECTORIES) runs a command in every module that has
# packages, or in those that are named, and fails in the end if it failed in one. A
# module that the go command can't list counts as one with packages, so that the
# command shows what is wrong.
define each-module
failed=; for dir in $(or $(2),$(MODULES)); do \
	packages=$$($(GO) -C "$$dir" list -e ./... 2>/dev/null) || packages=unknown; \
	if [ -n "$$packages" ]; then \
		echo "--- $@ in $$dir"; \
		(cd "$$dir" && $(1)) || failed="$$failed $$dir"; \
	fi; \
done; \
if [ -n "$$failed" ]; then echo "$@ failed in:$$failed" >&2; exit 1; fi
endef

##@ Use

# Where `make run` keeps its data, the image of the events that the server knows,
# and further flags for it.
DATA_DIR ?= $(CURDIR)/.data
SCHEMAS ?= $(CURDIR)/$(EXAMPLES)/events.binpb
ARGS ?=

# What a newcomer runs first compiles no C: half a minute goes into a library for it that
# the server doesn't use. What is deployed is built like that too, and the race detector,
# and so `make test-all`, needs C.
run test: export CGO_ENABLED ?= 0

.PHONY: run
run: ## Start the server with the example events; its data stays in .data
	@mkdir -p "$(BIN)"
	@$(GO) -C server build -o "$(BIN)/tidings" ./cmd/tidings
	@exec "$(BIN)/tidings" serve --data-dir "$(abspath $(DATA_DIR))" --schemas "$(SCHEMAS)" $(ARGS)

.PHONY: demo
demo: webhook-examples ## Publish real GitHub webhooks, read them back and share them among workers
	@$(GO) -C examples/github-webhooks run ./cmd/demo

.PHONY: bench
bench: ## Measure publishing and reading against the raw NATS client
	@$(GO) -C benchmark run .

.PHONY: bench-quick
bench-quick: ## The same in a minute or so, less exactly
	@$(GO) -C benchmark run . -events 50000 -duration 250ms -repeats 0

.PHONY: bench-docs
bench-docs: ## Measure everything and write the tables and plots of docs/performance.md; ARGS=-latency for some
	@$(GO) -C benchmark run . $(or $(ARGS),-all) -docs ../docs/performance.md

.PHONY: bench-fairness
bench-fairness: ## Measure how far a flood of one caller slows another
	@$(GO) -C benchmark run . -fairness -duration 2s -runs 20

# One language or several joined by commas; empty means all. For `make interop` they
# are directories in interop/.
# Not by ?=, because an environment has the variable to say what people speak.
LANGUAGE :=

# The schemas with all that they import, for clients that generate code.
PROTOS := .cache/protos

.PHONY: interop
interop: buf-cache ## Run the clients and servers of all languages, or LANGUAGE=go; ARGS=--install, ARGS=--check
	@rm -rf $(PROTOS)
	@$(BUF) export -o $(PROTOS)
	@$(GO) -C interop build -o "$(BIN)/interop" .
	@exec "$(BIN)/interop" -root . -protos $(PROTOS) -language "$(LANGUAGE)" $(ARGS)

.PHONY: interop-traces
interop-traces: buf-cache ## Publish in Go and consume in Python, and show the spans of their one trace
	@packages/python/build
	@interop/python/build.sh
	@TIDINGS_PYTHON="$(CURDIR)/interop/python/build/venv/bin/python" $(GO) -C interop test -count=1 -timeout 30m -v ./traces

.PHONY: packages
packages: buf-cache ## Build the packages for all languages, or LANGUAGE=python,rust, into .cache/packages
	@packages/build "$(LANGUAGE)"

##@ Change

# Results are never taken from Go's cache (-count=1): the cache doesn't see files
# outside of a module, and tests here read the whole checkout.
# On a fresh machine some compile tools first, which takes longer than go test's
# default of 10 minutes may allow. The part of `make vet` that go test runs by itself
# would have to be compiled for as well.
GO_TEST = $(GO) test -vet=off -count=1 -timeout 30m

# What holds no tests of the product itself, and much to compile that nothing else
# needs: the public schemas of others, a validator of OpenAPI documents, and one of
# Kubernetes' manifests.
TEST_ALL_ONLY := ./server/publicschemas ./tools/deploytest ./tools/openapitest

# The tests of the server wait a lot, so the other modules are tested beside it, once
# that is compiled which they have in common. It is xargs that runs them, because what
# a shell starts in the background ignores interrupts.
.PHONY: test
test: ## Run the tests of every day: unit, property and conformance, over a few transports
	@status=0; \
	$(MAKE) --no-print-directory .test-root || status=1; \
	printf '%s\n' .test-server .test-others | xargs -n 1 -P 2 $(MAKE) --no-print-directory || status=1; \
	echo "test: left to make test-all: the modules $(TEST_ALL_ONLY), what go test -short skips, as all that runs Buf, most transports, the race detector"; \
	exit $$status

.PHONY: .test-root .test-server .test-others
.test-root:
	@$(call each-module,$(GO_TEST) -short ./...,.)
.test-server:
	@$(call each-module,$(GO_TEST) -short ./...,./server)
.test-others:
	@$(call each-module,$(GO_TEST) -short ./...,$(filter-out . ./server $(TEST_ALL_ONLY),$(MODULES)))

# RACE=-race insists on the race detector, RACE= does without.
RACE ?= auto

.PHONY: test-all
test-all: ## Run all tests of all modules, with the race detector where it works
	@race='$(RACE)'; \
	if [ "$$race" = auto ]; then \
		race=-race; \
		reason=$$($(GO) build -race runtime/race runtime/cgo 2>&1) || { \
			race=; \
			echo "test-all: WITHOUT the race detector, which needs a C compiler: $$reason"; \
		}; \
	fi; \
	$(call each-module,$(GO_TEST) $$race ./...)

# The directories of generated code, of which each module has its own.
GENERATED := gen server/internal/gen conformance/gen $(EXAMPLES)/gen

# The image of the example events, which `make run` gives to the server. It is
# committed, so that Go is enough to run it.
IMAGE := $(EXAMPLES)/events.binpb

# The golden vectors: those of each release, and those of the schemas as they stand.
GOLDEN := conformance/golden

# What the documents say of the contract from the contract itself.
APIDOCS := docs/errors.md docs/reference docs/openapi.yaml

# The constant of the Go client that has gen/service_config.json.
SERVICE_CONFIG := client/service_config.gen.go

# The licences of what a program links, beside the go.mod of its module.
LICENSES := THIRD_PARTY_LICENSES.txt

.PHONY: generate
generate: buf-cache ## Generate the code in all gen/ and what else follows from the schemas
	@$(BUF) generate
	@$(BUF) generate --template server/buf.gen.yaml
	@$(BUF) generate --template conformance/buf.gen.yaml
	@$(GO) -C server test -count=1 -run '^TestExamples$$' ./internal/scaffold -update
	@cd $(EXAMPLES) && $(BUF) generate && $(BUF) build proto -o events.binpb
	@$(BIN)/apidocs -root . -buf "$(BUF)"
	@$(BIN)/serviceconfig -root . -buf "$(BUF)"
	@$(BIN)/golden -root . -buf "$(BUF)"
	@$(BIN)/licenses -C server -package ./cmd/tidings -o $(LICENSES)
	@$(BIN)/licenses -C conformance -package ./cmd/tidings-conformance -o $(LICENSES)

.PHONY: format
format: buf-cache $(BIN)/.linters ## Put schemas and Go code into their canonical form
	@$(BUF) format --write
	@$(call each-module,$(BIN)/golangci-lint fmt ./...)

.PHONY: release
release: buf-cache ## Write all files of a release, with its image: make release VERSION=x.y.z
	@if [ -z "$(VERSION)" ]; then echo "usage: make release VERSION=x.y.z" >&2; exit 2; fi
	@$(BIN)/release -root . -buf "$(BUF)" -breaking $(BIN)/breaking -base "$(BASE)" "$(VERSION)"
	@$(BIN)/golden -root . -buf "$(BUF)"

.PHONY: tags
tags: $(BIN)/.tools ## Tag the modules of a release that was committed: make tags, or VERSION=x.y.z
	@$(BIN)/tags -root . $(VERSION)

.PHONY: module
module: $(BIN)/.tools ## Give the repository names of your own: make module MODULE=git.example.org/acme/events; after a merge, make module
	@$(BIN)/rename-module -root . $(MODULE)
	@$(MAKE) --no-print-directory generate

##@ Check

.PHONY: check
check: lint breaking drift tidy vet golangci-lint vulncheck ## All checks of CI; its tests are `make test-all`, `make soak`, `make test-cluster`, `make test-balancers`, `make test-alerts`, `make fuzz` and `make demo`

# What `make fresh` runs, in the root of the clone.
COMMAND ?= .ci/run

.PHONY: fresh
fresh: ## Run CI in a clone of HEAD with an empty home and no caches, or COMMAND="make test"
	@.ci/fresh $(COMMAND)

# For how long the soak publishes events, and the seed that an earlier run printed.
SOAK ?= 2m
SEED ?=

.PHONY: soak
soak: ## Consume with 8 processes that crash, while the server crashes too, SOAK=2m on each storage, SEED=…
	@TIDINGS_SOAK='$(SOAK)' TIDINGS_SOAK_SEED='$(SEED)' \
		$(GO) -C server test -count=1 -timeout 60m -v -run '^TestSoak$$' ./internal/daemon

# What happens to the cluster: `all`, or some of its faults joined by commas. The
# links between its processes are cut as root alone, on Linux. The logs stay in
# .cache/test-cluster.
FAULTS ?= all

.PHONY: test-cluster
test-cluster: ## Do harm to three NATS servers and three replicas, and measure what it costs: FAULTS=kill-owner,…
	@rm -rf .cache/test-cluster && mkdir -p .cache/test-cluster
	@TIDINGS_CLUSTER='$(FAULTS)' \
		$(GO) -C server test -count=1 -timeout 30m -v -artifacts -outputdir "$(CURDIR)/.cache/test-cluster" \
		-run '^TestFaults$$' ./internal/clustertest

# nginx, HAProxy and Envoy have to be there: .ci/balancers installs them on Debian, the
# last into .cache/envoy. The logs stay in .cache/test-balancers.
BALANCERS ?= all

.PHONY: test-balancers
test-balancers: ## Kill and stop replicas behind nginx, HAProxy and Envoy, under load: BALANCERS=nginx,…
	@rm -rf .cache/test-balancers && mkdir -p .cache/test-balancers
	@PATH="$(CURDIR)/.cache/envoy/bin:$$PATH" TIDINGS_BALANCERS='$(BALANCERS)' \
		$(GO) -C server test -count=1 -timeout 30m -v -artifacts -outputdir "$(CURDIR)/.cache/test-balancers" \
		-run '^TestBalancers$$' ./internal/clustertest

# Prometheus and promtool have to be there: .ci/prometheus installs them on Debian.
.PHONY: test-alerts
test-alerts: ## Bring about what the alerts are for, with Prometheus beside the servers, and see each fire and end
	@TIDINGS_ALERTS=1 $(GO) -C server test -count=1 -timeout 20m -v -run '^TestAlerts' ./internal/alerttest

# For how long to fuzz with random calls, schemas and contents, all together, and again
# the check of payloads and the ways between JSON and protobuf with random schemas; SEED
# is as above. And for how long each of the fuzz targets.
FUZZ ?= 3m
FUZZ_EACH ?= 1m

# What strangers can send that says who they are, what they may do, or where a list or
# a topic goes on, and what they send in JSON: packages of the server and their fuzz
# targets.
FUZZ_TARGETS := auth/FuzzToken auth/FuzzPolicy auth/FuzzCertificate auth/FuzzNames \
	service/FuzzPageToken service/FuzzParseCursor delivery/FuzzParseToken filter/FuzzCompile filter/FuzzMatch \
	schema/FuzzTranscoding rpc/FuzzDecodeAcks

.PHONY: fuzz
fuzz: ## Try the server with random calls, schemas and contents: FUZZ=3m, SEED=…, its check of payloads and its ways between JSON and protobuf as long; its fuzz targets: FUZZ_EACH=1m
	@status=0; \
	TIDINGS_FUZZ='$(FUZZ)' TIDINGS_FUZZ_SEED='$(SEED)' \
		$(GO) -C server test -count=1 -timeout 0 -v ./internal/fuzz || status=1; \
	TIDINGS_FUZZ='$(FUZZ)' TIDINGS_FUZZ_SEED='$(SEED)' \
		$(GO) -C server test -count=1 -timeout 0 -v -run '^Test(OnePassAgreesWithParsing|TranscodingAgreesWithMessages)$$' ./internal/schema || status=1; \
	$(GO) test -run '^$$' -fuzz '^FuzzFrames$$' -fuzztime '$(FUZZ_EACH)' -fuzzminimizetime 100x -parallel 1 ./client || status=1; \
	printf '.fuzz/%s\n' $(FUZZ_TARGETS) | xargs -n 1 -P 2 $(MAKE) --no-print-directory || status=1; \
	exit $$status

# Go keeps an input that fails in testdata/fuzz of the package. Without a bound it
# spends most of a minute on making an input shorter that isn't always the same way.
.fuzz/%:
	@output=$$($(GO) -C server test -run '^$$' -fuzz '^$(notdir $*)$$' -fuzztime '$(FUZZ_EACH)' -fuzzminimizetime 100x \
		-parallel 1 ./internal/$(patsubst %/,%,$(dir $*)) 2>&1) || { echo "$$output"; exit 1; }; \
	echo "$* $$(echo "$$output" | grep 'execs:' | tail -n 1)"

.PHONY: lint
lint: buf-cache ## Check the rules and the format of the schemas
	@$(BUF) lint
	@$(BUF) format --diff --exit-code

# The branch or commit that a change goes to; empty means main.
BASE ?=

.PHONY: breaking
breaking: buf-cache ## Refuse schema changes that break users of the newest release or of main
	@$(BIN)/breaking -root . -buf "$(BUF)" -base "$(BASE)"

.PHONY: drift
drift: buf-cache ## Generate from nothing and refuse any difference from what is committed
	@rm -rf $(GENERATED) $(IMAGE) $(GOLDEN)/next $(APIDOCS) $(SERVICE_CONFIG)
	@$(MAKE) --no-print-directory generate
	@status=$$(git status --porcelain -- $(GENERATED) $(EXAMPLES)/third_party $(IMAGE) $(GOLDEN) $(APIDOCS) $(SERVICE_CONFIG) '*/$(LICENSES)') || exit 1; \
	if [ -n "$$status" ]; then \
		echo "drift: this is not what make generate writes; run it and commit:" >&2; \
		echo "$$status" >&2; exit 1; \
	fi

.PHONY: tidy
tidy: ## Check that every go.mod and go.sum is complete and holds nothing else
	@failed=; for dir in $(MODULES); do \
		$(GO) -C "$$dir" mod tidy -diff || failed="$$failed $$dir"; \
	done; \
	if [ -n "$$failed" ]; then echo "tidy: run go mod tidy in:$$failed" >&2; exit 1; fi

.PHONY: vet
vet: ## Run go vet in all modules
	@$(call each-module,$(GO) vet ./...)

.PHONY: golangci-lint
golangci-lint: $(BIN)/.linters ## Run golangci-lint, configured in .golangci.yml, in all modules
	@$(call each-module,$(BIN)/golangci-lint run ./...)

# Set VULNDB=required to fail where the database of vulnerabilities can't be reached.
VULNDB ?= optional

.PHONY: vulncheck
vulncheck: $(BIN)/.linters ## Look for known vulnerabilities in what the code calls
	@$(call each-module,$(vulncheck))

# govulncheck says that it could not fetch the database in its output only.
define vulncheck
{ \
	report=$$($(BIN)/govulncheck ./... 2>&1); status=$$?; echo "$$report"; \
	case "$$status,$(VULNDB),$$report" in \
	1,optional,*"fetching vulnerabilities"*) \
		echo "vulncheck: NOT CHECKED, the database of vulnerabilities can't be reached from here" ;; \
	0,*) ;; \
	*) false ;; \
	esac; \
}
endef

##@ Set-up, done by the others as they need it

.PHONY: buf-cache
buf-cache: $(BIN)/.tools ## Build Buf and its plugin and fill Buf's cache, for plain buf commands too
	@$(BIN)/bufcache -lock buf.lock

$(BIN)/.tools: tools/go.mod tools/go.sum $(shell find tools/cmd tools/internal -name '*.go' -o -name '*.tmpl')
	@mkdir -p $(BIN)
	@echo "building buf and this project's own tools; the first time takes a few minutes"
	@$(GO) -C tools build -o $(BIN)/ github.com/bufbuild/buf/cmd/buf ./cmd/...
	@touch $@

$(BIN)/.linters: tools/linters/go.mod tools/linters/go.sum
	@mkdir -p $(BIN)
	@echo "building golangci-lint and govulncheck; the first time takes a few minutes"
	@$(GO) -C tools/linters build -o $(BIN)/ tool
	@touch $@

# The payloads of the demo: examples that GitHub's own client library publishes.
WEBHOOKS_VERSION := 7.6.1
WEBHOOKS_INTEGRITY := sha512-De6U3XB6O3DtCa7bKgCMzTHdeopqqZ6SNivMYJnK65ierKL1AnNIA0tkRYCRS7lwGT792d+Ps1WbfHlso6MynQ==
WEBHOOKS_DIR := .cache/webhooks-examples

# A program for Node, given a file and its integrity string.
define check_integrity
const [file, want] = process.argv.slice(1);
const digest = require("crypto").createHash("sha512").update(require("fs").readFileSync(file)).digest("base64");
if ("sha512-" + digest !== want) {
  console.error(file + " has the integrity sha512-" + digest + ", want " + want);
  process.exit(1);
}
endef
export check_integrity

.PHONY: webhook-examples
webhook-examples: $(WEBHOOKS_DIR)/.$(WEBHOOKS_VERSION) ## Fetch the webhook payloads that the demo publishes (needs npm)

# The mark of a complete set bears the version, so another version is fetched anew.
$(WEBHOOKS_DIR)/.$(WEBHOOKS_VERSION):
	@rm -rf $(WEBHOOKS_DIR) && mkdir -p $(WEBHOOKS_DIR)
	@npm pack --silent --ignore-scripts --pack-destination $(WEBHOOKS_DIR) @octokit/webhooks-examples@$(WEBHOOKS_VERSION)
	@node --eval "$$check_integrity" $(WEBHOOKS_DIR)/*.tgz $(WEBHOOKS_INTEGRITY)
	@tar -xzf $(WEBHOOKS_DIR)/*.tgz -C $(WEBHOOKS_DIR)
	@touch $@

.PHONY: help
help: ## List these commands
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
