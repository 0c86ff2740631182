# Every target works in a fresh clone with Go alone; e2e also runs against a real Kafka where KAFKA_BOOTSTRAP names one
# or where Java is present and ../shared/kafka/start-kafka.sh exists.
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS  = -s -w -X main.version=$(VERSION)
FUZZTIME ?= 20s

.PHONY: help build check test race e2e fuzz sim sim-small onset bench lint fmt demo clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 12

build: ## the binary, static, in bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/streamcanary ./cmd/streamcanary

test: ## all tests
	$(GO) test ./...

check: lint test ## format, vet, lint, tests

fmt: ## format in place
	gofmt -w .

lint: ## format and vet; golangci-lint too, where it is installed
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	@if command -v golangci-lint >/dev/null 2>&1; then golangci-lint run; else echo "golangci-lint is not installed: only gofmt, go vet and policy_test.go ran"; fi

race: ## all tests under the race detector (needs a C compiler); the longest begins first, beside the others
	CGO_ENABLED=1 $(GO) test -race -timeout 40m ./cmd/serve ./...

e2e: build ## processes, kills, real Kafka where there is one
	./deploy/e2e.sh

fuzz: ## every fuzz target for FUZZTIME each
	@set -e; for dir in $$($(GO) list -f '{{.Dir}}' ./...); do \
	  for f in $$(grep -hoE '^func (Fuzz[A-Za-z0-9_]+)' $$dir/*_test.go 2>/dev/null | awk '{print $$2}'); do \
	    echo "== $$f in $$dir"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$dir; done; done

sim: build ## the statistical claims, simulated in full, as a certificate in Markdown and JSON (hours on two cores)
	./bin/streamcanary certify --out certificate.md --out-json certificate.json
	$(GO) test ./analysis -run 'Sim|Footprint' -sim=full -timeout 90m -v
	$(GO) test ./analysis/stats -run 'Conformance|Harness' -runs 2000 -timeout 30m

sim-small: build ## the same, smaller: what CI runs
	./bin/streamcanary certify --runs 12 --worlds type-I/ramp/any,delay,tail,grid,gauges,scores,limits,segments,mix/,split --seed 2
	./bin/streamcanary certify --runs 10 --worlds 'type-I, all on' --seed 2
	$(GO) test ./analysis -run Sim -sim=small -timeout 20m -v
	$(GO) test ./analysis -run Footprint -sim=full -v

onset: ## from a harm's onset to what a subscriber knows, through Kafka and NATS: 20 runs of each case (over an hour on two cores)
	$(GO) test ./cmd/serve -run 'TestOnset$$' -onset=20 -timeout 4h -v

bench: ## benchmarks: events/s and allocations per event
	$(GO) test -run '^$$' -bench . -benchmem ./...

demo: build ## everything on this machine: a regression is injected, caught and rolled back
	./bin/streamcanary demo

clean:
	rm -rf bin
