.DEFAULT_GOAL := help
.PHONY: help check test lint fuzz bench bench-check bench-observe bench-pocketbase bench-growth bench-guard soak kill audit-export

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

bench-check: ## has CapeBase become slower beside the hand-written server?
	scripts/bench-check

bench-observe: ## what metrics and a log line cost a request
	scripts/bench -servers capebase,observed -only list-20,read-one -starts 9 -rounds 15 -round 200ms

bench-pocketbase: ## the same beside PocketBase
	scripts/bench -servers hand-written,capebase,pocketbase -only read-one,list-20,create,update,fanout-pocketbase

bench-growth: ## how costs grow with rows, subscribers, rules, journal and resources; writes docs/growth.md, in some 20 minutes
	scripts/bench-growth

bench-guard: ## what the guard of sessions costs a query by key
	scripts/bench-guard

bench-timing: ## do sign-ins tell by their time who has an account?
	scripts/bench-timing

bench-accounts: ## 200 sign-ins at a time: memory, and a list route beside them
	scripts/bench-accounts

soak: ## writers and subscribers under load: make soak SOAK=5m SEED=1 ENGINE=sqlite
	SOAK=$(SOAK) SEED=$(SEED) ENGINE=$(ENGINE) scripts/soak

kill: ## kill -9 under load, of the program and of database servers: make kill KILLS=20 SEED=1
	KILLS=$(KILLS) SEED=$(SEED) ENGINE=$(ENGINE) scripts/kill

audit-export: ## export 1,000,000 audit entries per engine; heap and totals: make audit-export ENTRIES=100000
	ENTRIES=$(ENTRIES) scripts/audit-export
