.DEFAULT_GOAL := help
.PHONY: help check test lint fuzz bench

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: ## everything that a change must pass, as CI runs it
	.ci/run

test: ## the tests with the race detector, on every database
	scripts/install
	go build -o bin/with ./internal/dbtest/with
	bin/with go test -race ./...

lint: ## format, vet, linters, tidy go.mod
	scripts/lint

fuzz: ## every fuzz target for FUZZTIME (30s): make fuzz FUZZTIME=10m
	FUZZTIME=$(FUZZTIME) scripts/fuzz

bench: ## CapeBase beside a hand-written server
	scripts/bench
