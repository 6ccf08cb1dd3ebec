# Few targets; each is what its name says. Everything runs on a bare Debian with Go and make.

GO      ?= go
SHELL   := /bin/bash
export CGO_ENABLED ?= 0
export GOFLAGS ?= -buildvcs=false

.PHONY: run test check build fuzz bench generate deps clean

run: ## the whole road on this machine: server, agent, one package, verified
	$(GO) run ./cmd/swab quickstart

test: deps ## everything that must hold; under 15 minutes on 2 cores
	./test/run

check: ## format, vet and the linters of the house
	./test/check

build: ## the programs, stripped, for this machine
	$(GO) build -trimpath -ldflags '-s -w' -o build/ ./cmd/swab ./cmd/swab-agent

fuzz: ## every fuzz target, FUZZTIME each
	./test/fuzz $(or $(FUZZTIME),30s)

bench: ## the figures, as a table with the machine's facts
	$(GO) run ./test/bench

generate: ## what is made from code: documents, golden files
	$(GO) test ./internal/... -run 'Golden|Plans|Docs' -update

deps:
	./test/deps

clean:
	rm -rf build bench-out
