# What a developer of amend types. `make` alone lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The linters and the test runner: programs that are no part of go.mod. They
# are built once from the Go module proxy into a folder for each version of Go,
# because a linter that an older Go has built can't read what a newer one can.
STATICCHECK_VERSION := v0.8.2
GOLANGCI_VERSION := v2.15.0
GOTESTSUM_VERSION := v1.13.0

TOOLS := .tools/$(firstword $(shell go env GOVERSION))
STATICCHECK := $(TOOLS)/staticcheck-$(STATICCHECK_VERSION)/staticcheck
GOLANGCI := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)/golangci-lint
GOTESTSUM := $(TOOLS)/gotestsum-$(GOTESTSUM_VERSION)/gotestsum

# How `make check` shows the tests: standard-quiet is a line for each package
# and whatever fails, standard-verbose a line for each test.
TEST_FORMAT ?= standard-quiet

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: check
check: deps lint $(GOTESTSUM) ## Everything that CI asks: lint, docs up to date, all tests with -race
	@echo "== generated docs"
	@mkdir -p docs .tools
	@rm -rf .tools/docs && cp -R docs .tools/docs
	@go generate ./...
	@diff -ru .tools/docs docs || { echo "error: generated docs were out of date; make generate has mended them, commit the result" >&2; exit 1; }
	@echo "== tests with -race"
	@CGO_ENABLED=1 $(GOTESTSUM) --format $(TEST_FORMAT) -- -race -count=1 -timeout=20m $$(go list ./... | grep -v -e /internal/faults -e /rehearsal)
	@echo "== rehearsals, as many as there is time for"
	@$(GOTESTSUM) --format $(TEST_FORMAT) -- -count=1 -timeout=20m ./rehearsal
	@echo "== kills and outages, by themselves: they measure how long recovery takes"
	@CGO_ENABLED=1 $(GOTESTSUM) --format $(TEST_FORMAT) -- -race -count=1 -timeout=20m ./internal/faults

.PHONY: lint
lint: $(STATICCHECK) $(GOLANGCI) ## gofmt, go vet, staticcheck and golangci-lint
	@echo "== gofmt"
	@files=$$(gofmt -l .); [ -z "$$files" ] || { printf 'error: not formatted; mend with: make fmt\n%s\n' "$$files" >&2; exit 1; }
	@echo "== go vet"
	@go vet ./...
	@echo "== staticcheck"
	@$(STATICCHECK) ./...
	@echo "== golangci-lint"
	@$(GOLANGCI) run ./...

.PHONY: test
test: ## The tests as fast as can be: cached, without -race
	go test ./...

.PHONY: cover
cover: ## Test coverage by function, as a page in .tools/cover.html
	@mkdir -p .tools
	go test -coverpkg=./... -coverprofile=.tools/cover.out ./...
	go tool cover -html=.tools/cover.out -o .tools/cover.html
	@go tool cover -func=.tools/cover.out | tail -n 1

.PHONY: bench
bench: ## Scans beside hand-written loops and peers as one table, what they cost as they grow, the Go benchmarks
	@go run ./bench/scans
	@go run ./bench/scans -instructions -samples 1
	@go run ./bench/scans -growth 10000,100000,1000000 -rows 'merged$$'
	@go run ./bench/scans -growth 10000,100000,1000000,10000000 -rows 'masked$$'
	go test -run='^$$' -bench=. -benchmem ./...

.PHONY: soak
soak: ## Rehearse 10,000 seeds, notice every mutant, kill workers and databases: for SOAK_HOURS, and on from there
	@scripts/soak.sh

.PHONY: build
build: ## The program, as bin/amend
	CGO_ENABLED=0 go build -trimpath -o bin/amend ./cmd/amend

.PHONY: demo
demo: ## Run the demo until Ctrl-C
	go run ./cmd/amend demo

.PHONY: generate
generate: ## Write the docs that come from the code anew
	go generate ./...

.PHONY: fmt
fmt: ## Format the code
	gofmt -w .

.PHONY: deps
deps: ## Install what the tests need beside Go (gcc, PostgreSQL, Chromium)
	@scripts/deps.sh

$(STATICCHECK): PACKAGE := honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION)
$(GOLANGCI): PACKAGE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
$(GOTESTSUM): PACKAGE := gotest.tools/gotestsum@$(GOTESTSUM_VERSION)

$(STATICCHECK) $(GOLANGCI) $(GOTESTSUM):
	@echo "== install $(@F), once"
	@mkdir -p $(@D)
	@GOBIN=$(CURDIR)/$(@D) go install $(PACKAGE) 2>$(@D)/log || { cat $(@D)/log >&2; \
		echo "error: $(PACKAGE) could not be installed: does the module proxy answer? (go env GOPROXY: $$(go env GOPROXY))" >&2; exit 1; }
