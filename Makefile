# `make` shows what there is.
LAB  := cargo run --quiet --package egress-lab --
WASM := $(or $(CARGO_TARGET_DIR),target)/wasm32-wasip1/release/egress_authz.wasm
# What `make build` left is what is played.
export EGRESS_AUTHZ_WASM ?= $(abspath $(WASM))
# The same source is the same filter wherever it is built: it holds no path of its builder's.
export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS ?= --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo
# The filter must stay small: every worker of every gateway holds it.
WASM_LIMIT := 350000

# The programs that the tests need beside Cargo's own, pinned.
DENY_VERSION := 0.20.2
DENY := .tools/cargo-deny-$(DENY_VERSION)/bin/cargo-deny

# The test binaries of tests/, which play on a real Envoy.
IN_ENVOY := $(shell sed -n '/^\[\[test\]\]/,/^path/s/^name = "\(.*\)"/\1/p' tests/Cargo.toml)

.PHONY: help build toolchain filter setup demo up down test test-crates lint

help: ## Show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

build: filter ## Build the filter (and check its size) and egressctl
	@cargo build --release --package egressctl

# rustup fetches what rust-toolchain.toml names, unless it is told not to or the toolchain is there without its target.
toolchain:
	@test -d "$$(rustc --print target-libdir --target wasm32-wasip1)" || rustup target add wasm32-wasip1 || \
	  { echo "the Rust target wasm32-wasip1 is missing: please install it" >&2; exit 1; }

filter: toolchain
	@cargo build --release --target wasm32-wasip1 --package egress-authz
	@size=$$(wc -c < $(WASM)); echo "$(WASM): $$size bytes (at most $(WASM_LIMIT))"; test $$size -le $(WASM_LIMIT)

test: lint filter setup ## Everything that needs neither root nor a Debian package, as CI runs it
	@cargo test --workspace --no-run
	@$(MAKE) --no-print-directory --jobs $(TEST_LANES) --keep-going --output-sync=target test-crates $(filter-out $(ALONE),$(IN_ENVOY:%=test-in-envoy/%)) test-oldest
	@$(MAKE) --no-print-directory --keep-going $(ALONE)

# Tests in Envoy wait for their gateways most of the time, so that some binaries of them run at once,
TEST_LANES ?= 3
# but not those that hold a rate or look at memory.
ALONE := $(addprefix test-in-envoy/,ops_updates ops_flood net_soak)

# Always of the whole workspace: with fewer packages their dependencies would have other features, and be compiled once more.
test-crates:
	@cargo test --workspace --lib --bins
	@cargo test --workspace --exclude egress-tests --test '*'
	@cargo test --workspace --doc

test-in-envoy/%:
	@cargo test --workspace --test $*

lint: toolchain $(DENY) ## Formatting, lints as errors, documentation, licences (and advisories where their database is reached)
	@cargo fmt --all --check
	@cargo clippy --quiet --workspace --all-targets -- --deny warnings
	@cargo clippy --quiet --package egress-authz --target wasm32-wasip1 -- --deny warnings
	@RUSTDOCFLAGS="--deny warnings" cargo doc --quiet --no-deps --package egress-policy --package egress-authz
	@$(DENY) --log-level error check licenses bans sources
	@$(DENY) --log-level off check advisories >.tools/advisories.log 2>&1 && echo "advisories ok" \
	  || if grep -q '^error\[' .tools/advisories.log; then cat .tools/advisories.log; exit 1; \
	  else echo "advisories not checked: their database cannot be reached from here"; fi

$(DENY):
	@echo "installing cargo-deny $(DENY_VERSION) into .tools/ (some minutes, once)"
	@cargo install --quiet --locked --debug --root .tools/cargo-deny-$(DENY_VERSION) cargo-deny@$(DENY_VERSION)

setup: ## Find an Envoy, or install the pinned one into .tools/
	@$(LAB) setup

demo: filter ## Play the stories on a real Envoy and show who reaches what (DEMO="--only A,B1")
	@$(LAB) demo $(DEMO)

up: filter ## Leave a mesh running, with curl lines to try and a policy to edit
	@$(LAB) up

down: ## End it
	@$(LAB) down

# --- core ---
FUZZ_VERSION    := 0.13.2
FUZZ            := .tools/cargo-fuzz-$(FUZZ_VERSION)
MUTANTS_VERSION := 27.1.0
MUTANTS         := .tools/cargo-mutants-$(MUTANTS_VERSION)

.PHONY: fuzz mutants

fuzz: $(FUZZ)/bin/cargo-fuzz ## Every fuzz target, T seconds in all (T=60); needs a nightly toolchain
	@PATH="$(abspath $(FUZZ))/bin:$$PATH" fuzz/run.sh $(or $(T),60)

mutants: $(MUTANTS)/bin/cargo-mutants ## Which changes to policy/ no test notices (hours; MUTANTS_ARGS="--file policy/src/truth.rs")
	@PATH="$(abspath $(MUTANTS))/bin:$$PATH" PROPTEST_CASES=200 PROPTEST_MAX_SHRINK_ITERS=0 \
	  cargo mutants --package egress-policy --timeout 300 --output target $(MUTANTS_ARGS)

$(FUZZ)/bin/cargo-fuzz:
	@cargo install --quiet --locked --root $(FUZZ) cargo-fuzz@$(FUZZ_VERSION)

$(MUTANTS)/bin/cargo-mutants:
	@cargo install --quiet --locked --root $(MUTANTS) cargo-mutants@$(MUTANTS_VERSION)

# --- differential ---
# The same random policies to our filter and to Envoy's native RBAC filter in one Envoy (docs/differences.md).
.PHONY: differential differential-replay


differential: build ## Compare with native RBAC for M=<minutes> on fresh seeds
	@DIFFERENTIAL_MINUTES=$(or $(M),15) cargo test --quiet --workspace --test differential -- --ignored --exact --nocapture random::fresh_seeds_for_minutes

differential-replay: build # One policy set again: DIFFERENTIAL_SEED=<seed> [DIFFERENTIAL_PROTOCOL=tcp]
	@cargo test --quiet --workspace --test differential -- --ignored --exact --nocapture random::replay

# --- delivery ---
# The OCI image, without a container engine; the release's files; what needs root or a Debian package.
.PHONY: image push manifests test-mesh
IMAGE_DIR := $(or $(CARGO_TARGET_DIR),target)/image
REVISION := $(shell git rev-parse HEAD 2>/dev/null)
OCI := cargo run --quiet --package egress-image --

image: filter ## Write the OCI image to target/image and print its digest
	@$(OCI) build --wasm $(WASM) --layout $(IMAGE_DIR) --revision "$(REVISION)"

push: ## Push it: make push IMAGE=registry/repository:tag (user: REGISTRY_USER, REGISTRY_PASSWORD or docker's)
	@test -n "$(IMAGE)" || { echo "make push IMAGE=registry/repository:tag" >&2; exit 1; }
	@test -f $(IMAGE_DIR)/oci-layout || $(MAKE) --no-print-directory image
	@$(OCI) push --layout $(IMAGE_DIR) $(IMAGE)

# --- release ---
.PHONY: version release release-egressctl release-checksums
# The one place is the workspace's Cargo.toml.
VERSION := $(shell sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
DIST := $(or $(CARGO_TARGET_DIR),target)/dist
TARGET ?= $(shell rustc --print host-tuple 2>/dev/null)
CYCLONEDX_VERSION := 0.5.9
CYCLONEDX := .tools/cargo-cyclonedx-$(CYCLONEDX_VERSION)/bin/cargo-cyclonedx

version: # The version
	@echo $(VERSION)

release: image $(CYCLONEDX) ## Build all of a release that this machine can build, into target/dist
	@rm -rf $(DIST) && mkdir -p $(DIST)
	@cp $(WASM) $(DIST)/egress-authz-$(VERSION).wasm
	@tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --directory $(IMAGE_DIR) --file $(DIST)/egress-authz-$(VERSION)-image.tar .
	@$(MAKE) --no-print-directory release-egressctl
	@$(CYCLONEDX) cyclonedx --quiet --manifest-path Cargo.toml --format json --override-filename bom.cdx --target wasm32-wasip1
	@mv bom.cdx.json $(DIST)/egress-authz-$(VERSION).cdx.json
	@mv cli/bom.cdx.json $(DIST)/egressctl-$(VERSION).cdx.json
	@find . -name bom.cdx.json -not -path './target/*' -delete
	@$(MAKE) --no-print-directory release-checksums

release-egressctl: # The archive of egressctl for TARGET
	@test -f $(or $(CARGO_TARGET_DIR),target)/$(TARGET)/release/egressctl || cargo build --quiet --locked --release --package egressctl --target $(TARGET)
	@mkdir -p $(DIST)
	@tar -czf $(DIST)/egressctl-$(VERSION)-$(TARGET).tar.gz -C $(or $(CARGO_TARGET_DIR),target)/$(TARGET)/release egressctl -C $(CURDIR) LICENSE

release-checksums: # Of everything in target/dist
	@cd $(DIST) && rm -f SHA256SUMS && { sha256sum * 2>/dev/null || shasum -a 256 *; } > .sums && mv .sums SHA256SUMS && cat SHA256SUMS

$(CYCLONEDX):
	@echo "installing cargo-cyclonedx $(CYCLONEDX_VERSION) into .tools/ (some minutes, once)"
	@cargo install --quiet --locked --debug --root .tools/cargo-cyclonedx-$(CYCLONEDX_VERSION) cargo-cyclonedx@$(CYCLONEDX_VERSION)

# --- delivery ---
manifests: ## Write deploy/ and examples/egress/rendered/ anew from their gateway files
	@cargo build --quiet --package egressctl
	@set -e; ctl=$(or $(CARGO_TARGET_DIR),target)/debug/egressctl; \
	$$ctl render deploy/egress.yaml --out deploy/istio; \
	$$ctl render deploy/ambient.yaml --out deploy/ambient; \
	dir=$$(mktemp -d); $$ctl render deploy/egress.yaml --carrier traffic-extension --out $$dir; \
	cp $$dir/traffic-extensions.yaml deploy/istio/; rm -r $$dir; \
	mkdir -p examples/egress/rendered; \
	for short in examples/egress/*.yaml; do \
	  $$ctl render $$short --workload mytest/app=sleep-a:sleep-a > examples/egress/rendered/$$(basename $$short); \
	done

.PHONY: compose
compose: build ## Write what envoy/docker-compose.yaml mounts (then: docker compose -f envoy/docker-compose.yaml up)
	@$(LAB) compose

# A machine that has just been made knows no package by name.
APT := apt-get update --quiet >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends
MESH_PROGRAMS := docker-registry:docker-registry podman:podman podman-compose:podman-compose runc:runc iptables:iptables curl:curl

test-mesh: mesh-needs image mesh-egressctl setup ## What needs root and Debian packages: a real registry, containers, and everything through a real Istio
	@set -e; for program in $(MESH_PROGRAMS); do command -v $${program%%:*} >/dev/null || missing="$$missing $${program##*:}"; done; \
	if test -n "$$missing"; then echo "installing$$missing"; \
	  $(APT) $$missing netavark aardvark-dns >/dev/null; fi
	@cargo test --quiet --workspace --test registry --test containers -- --ignored --test-threads 1
	@$(MESH) run
	@EGRESS_MESH_TESTS=1 cargo test --quiet --workspace --test 'mesh_*'

# --- mesh ---
# The same stories through a real Istio, in network namespaces of its own (docs/mesh-lab.md).
.PHONY: mesh mesh-up mesh-down mesh-needs mesh-egressctl bench-mesh
MESH := cargo run --quiet --package egress-mesh --
# A program that must be there, and Debian's package of it.
MESH_DEBIAN := ip:iproute2 iptables:iptables dnsmasq:dnsmasq-base docker-registry:docker-registry curl:curl update-ca-certificates:ca-certificates

mesh: mesh-needs image mesh-egressctl setup ## Play the stories through a real Istio (root, Linux, Go 1.26; the first time builds it; MESH_ARGS="--only A,C")
	@$(MESH) run $(MESH_ARGS)

mesh-up: mesh-needs image mesh-egressctl setup ## Leave that mesh running, with wrappers for kubectl, istioctl and curl as a workload
	@$(MESH) up $(MESH_ARGS)

mesh-down: ## End it, and remove whatever a crashed run left
	@$(MESH) down

bench-mesh: mesh-needs image build setup ## What a change of policy costs there, with Istio's own policies and with ours; ~15 minutes
	@cargo run --quiet --package egress-mesh-tests --bin bench-mesh -- $(BENCH)

# It renders and imports there; how fast it does is not looked at.
mesh mesh-up test-mesh: export EGRESSCTL ?= $(abspath $(or $(CARGO_TARGET_DIR),target)/debug/egressctl)
mesh-egressctl:
	@cargo build --quiet --package egressctl

mesh-needs:
	@missing=; test "$$(uname -s)" = Linux || missing=", Linux"; test "$$(id -u)" = 0 || missing="$$missing, root"; \
	go version 2>/dev/null | grep -qE ' go(1\.(2[6-9]|[3-9][0-9])|[2-9]\.)' || missing="$$missing, Go 1.26 or later on PATH"; \
	test -z "$$missing" || { echo "the mesh needs what is not here:$${missing#,}" >&2; exit 1; }
	@for program in $(MESH_DEBIAN); do command -v $${program%%:*} >/dev/null || missing="$$missing $${program##*:}"; done; \
	if test -n "$$missing"; then command -v apt-get >/dev/null || { echo "please install:$$missing" >&2; exit 1; }; \
	  echo "installing$$missing"; $(APT) $$missing >/dev/null; fi

# --- operations ---
# Envoy lines that are supported, oldest first; what one of them cannot do its tests print as not applicable.
ENVOY_LINES := 1.36.4 1.37.0 1.38.2 1.39.3 1.40.0
# End to end: all of them but the comparison with native RBAC and the long ones, which have targets of their own.
END_TO_END := $(filter-out differential net_soak,$(IN_ENVOY))
.PHONY: test-oldest test-matrix soak

test-oldest: filter ## The stories on the oldest supported Envoy
	@ENVOY= ENVOY_VERSION=$(firstword $(ENVOY_LINES)) cargo test --workspace --test http_stories --test net_stories

test-matrix: filter ## The end-to-end tests on every supported Envoy line (ENVOY_LINES="1.36.4 1.40.0")
	@set -e; failed=; for version in $(ENVOY_LINES); do \
	  echo "== Envoy $$version"; \
	  ENVOY= ENVOY_VERSION=$$version cargo test --quiet --no-fail-fast --workspace $(END_TO_END:%=--test %) -- --nocapture || failed="$$failed $$version"; \
	done; test -z "$$failed" || { echo "failed on$$failed"; exit 1; }

soak: filter setup ## The long ones: updates and a flood under load, a thousand updates, churning connections
	@EGRESS_SOAK=1 cargo test --quiet --workspace --test ops_updates --test ops_flood -- --nocapture
	@EGRESS_SOAK_SECONDS=60 cargo test --quiet --workspace --test net_soak -- --nocapture

# --- bench ---
.PHONY: bench bench-build

bench: bench-build ## Measure, and hold against what is promised; ~20 minutes (BENCH=--quick: a look of 2)
	@cargo bench --quiet --package egress-bench --bench core -- --noplot | grep -E 'time:' || true
	@EGRESSCTL=$(abspath $(or $(CARGO_TARGET_DIR),target)/release/egressctl) \
	  EGRESS_AUTHZ_WASM_NAMED=$(NAMED)/wasm32-wasip1/release/egress_authz.wasm \
	  cargo run --quiet --profile bench --package egress-bench -- run $(BENCH)

# The filter once more, with the names of its functions: what each dependency costs.
NAMED := $(abspath $(or $(CARGO_TARGET_DIR),target)/named)

bench-build: build
	@CARGO_PROFILE_RELEASE_STRIP=debuginfo cargo build --quiet --release --target wasm32-wasip1 --package egress-authz --target-dir $(NAMED)
	@cargo build --quiet --release --target wasm32-wasip1 --package egress-bench-baseline
	@cargo build --quiet --profile bench --package egress-bench
