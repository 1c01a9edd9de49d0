# "make" alone says what there is. Every target does its own set-up, and a
# second run of each does only what has changed.

# Debian keeps runc in /usr/sbin, which an ordinary user's PATH lacks.
export PATH := $(PATH):/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin

# The version comes from git by ldflags, so Go need not ask git too: in a
# container whose user does not own the checkout, that ends the build.
export GOFLAGS ?= -buildvcs=false

# Where tests and the demo find the real parts.
export SECURE_BUILD_TOOLS := $(CURDIR)/bin/tools

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
STATIC  := CGO_ENABLED=0 go build -trimpath

# For example: make test TESTFLAGS='-race -run TestPrivate'
TESTFLAGS ?=

.DEFAULT_GOAL := help
.PHONY: help build image tools setup test-setup demo test bench lint generate clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

build: ## build bin/secure-build
	@mkdir -p bin
	$(STATIC) -ldflags '-s -w -X main.version=$(VERSION)' -o bin/secure-build ./cmd/secure-build

# Its times are the last commit's, so that a checkout anywhere gives the same.
image: export SOURCE_DATE_EPOCH := $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
image: test-setup tools build ## collect what the image of the Dockerfile holds, in bin/image
	go run ./cmd/image

tools: bin/tools/.built bin/tools/.built-act ## build buildkitd, buildctl, sops, crane and others to bin/tools

# One stamp for all of them: they change together, with the module that pins
# their versions. Every tool that tools/go.mod names is built.
bin/tools/.built: tools/go.mod tools/go.sum
	@echo 'building the tools that tools/go.mod names (some minutes the first time)'
	@mkdir -p bin/tools
	cd tools && $(STATIC) -o ../bin/tools/ \
		-ldflags "-s -w -X github.com/moby/buildkit/version.Version=$$(go list -m -f '{{.Version}}' github.com/moby/buildkit)" tool
	@touch $@

# What plays GitHub's part in tests: its runner, and the checker of workflows.
bin/tools/.built-act: tools/act/go.mod tools/act/go.sum
	@echo 'building the tools that tools/act/go.mod names'
	@mkdir -p bin/tools
	cd tools/act && $(STATIC) -ldflags '-s -w' -o ../../bin/tools/ tool
	@touch $@

# The registry that make bench pushes to.
bin/tools/.built-bench: tools/bench/go.mod tools/bench/go.sum
	@echo 'building the tools that tools/bench/go.mod names'
	@mkdir -p bin/tools
	cd tools/bench && $(STATIC) -ldflags '-s -w' -o ../../bin/tools/ tool
	@touch $@

# What npm has, as tools/npm/package-lock.json pins it. No script of a package
# runs, which leaves its program without the right to run.
bin/tools/node/.built: tools/npm/package.json tools/npm/package-lock.json | test-setup
	@echo 'installing the tools that tools/npm names'
	@mkdir -p $(@D) && cp tools/npm/package.json tools/npm/package-lock.json $(@D)
	cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@chmod u+x $(@D)/node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool
	@touch $@

setup: ## install the Debian packages that the demo needs
	@scripts/setup.sh

test-setup:
	@scripts/setup.sh test

demo: setup tools build ## build and push a small service, then catch its leaky twin
	@scripts/demo.sh

# Without -count=1, go notes each file that a test opens, half a GB of names where
# tests search a machine for secrets, and then looks at them all once more.
test: test-setup tools bin/tools/node/.built build ## run every test, against a real daemon and registry
	go test -count=1 -timeout 20m $(TESTFLAGS) ./...

bench: setup tools bin/tools/.built-bench build ## measure the redactor, the index and whole runs beside buildctl's
	go test -run '^$$' -bench . ./internal/redact ./internal/index
	go run ./cmd/bench

lint: tools ## run gofmt, go vet, staticcheck and the checks on go.mod and scripts
	scripts/lint.sh

generate: ## rewrite what is generated from the table of options
	go generate ./...

clean: ## remove bin and the caches of this folder
	rm -rf bin .cache
