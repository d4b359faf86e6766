# `make` shows what there is. A target is one concept; what takes more than a few lines is a program beside what it serves.
OUT  := $(or $(CARGO_TARGET_DIR),target)
WASM := $(OUT)/wasm32-wasip1/release/egress_authz.wasm
LAB  := cargo run --quiet --package egress-lab --
MESH := cargo run --quiet --package egress-mesh --
OCI  := cargo run --quiet --package egress-image --
# What `make build` left is what is played.
export EGRESS_AUTHZ_WASM ?= $(abspath $(WASM))
# The same source is the same filter wherever it is built: it holds no path of its builder's.
export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS ?= --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo
# The filter must stay small: every worker of every gateway holds it. Bytes; the one place that says so.
WASM_LIMIT := 420000

# Programs beside Cargo's own, pinned; each is built into .tools/ by the first target that needs it.
DENY      := .tools/cargo-deny-0.20.2/bin
FUZZ      := .tools/cargo-fuzz-0.13.2/bin
MUTANTS   := .tools/cargo-mutants-27.1.0/bin
CYCLONEDX := .tools/cargo-cyclonedx-0.5.9/bin

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' Makefile) release-egressctl release-checksums
help:
	@awk -F ':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' Makefile

.tools/cargo-%/bin:
	@echo "installing cargo-$* into .tools/ (some minutes, once)"
	@name=$$(echo $* | sed 's/-[0-9.]*$$//'); CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0 \
	  cargo install --quiet --locked --debug --root $(@D) cargo-$$name@$$(echo $* | sed 's/^.*-//')

##@ See it and build it
demo: filter ## Play the scenarios on a real Envoy and show who reaches what (DEMO="--only deny-namespace,dry-run")
	@$(LAB) demo $(DEMO)
up: filter ## Leave that mesh running, with curl lines to try and a policy to edit
	@$(LAB) up
down: ## End it
	@$(LAB) down

build: filter ## Build the filter (and check its size) and egressctl
	@cargo build --release --package egressctl

filter: toolchain
	@cargo build --release --target wasm32-wasip1 --package egress-authz
	@size=$$(wc -c < $(WASM)); echo "$(WASM): $$size bytes (at most $(WASM_LIMIT))"; test $$size -le $(WASM_LIMIT)

# rustup fetches what rust-toolchain.toml names, unless it is told not to or the toolchain is there without its target.
toolchain:
	@test -d "$$(rustc --print target-libdir --target wasm32-wasip1)" || rustup target add wasm32-wasip1 || \
	  { echo "the Rust target wasm32-wasip1 is missing: please install it" >&2; exit 1; }

setup: ## Find an Envoy, or install the pinned one into .tools/
	@$(LAB) setup

##@ Test it
# The test binaries of tests/, which play on a real Envoy.
IN_ENVOY := $(shell sed -n '/^\[\[test\]\]/,/^path/s/^name = "\(.*\)"/\1/p' tests/Cargo.toml)
# They wait for their gateways most of the time, so that some run at once, but not those that hold a rate or look at memory.
TEST_LANES ?= 3
ALONE := $(addprefix test-in-envoy/,ops_updates ops_flood net_soak)
# Envoy lines that are supported, oldest first; what one of them cannot do its tests print as not applicable.
ENVOY_LINES := 1.36.4 1.37.0 1.38.2 1.39.3 1.40.0

test: lint filter setup ## Everything that needs neither root nor a Debian package, as CI runs it
	@cargo test --workspace --no-run
	@$(MAKE) --no-print-directory --jobs $(TEST_LANES) --keep-going --output-sync=target test-crates $(filter-out $(ALONE),$(IN_ENVOY:%=test-in-envoy/%)) test-oldest
	@$(MAKE) --no-print-directory --keep-going $(ALONE)

# Always of the whole workspace: with fewer packages their dependencies would have other features, and be compiled once more.
test-crates:
	@cargo test --workspace --lib --bins
	@cargo test --workspace --exclude egress-tests --test '*'
	@cargo test --workspace --doc
test-in-envoy/%:
	@cargo test --workspace --test $*

lint: toolchain $(DENY) ## Formatting, lints as errors, documentation, licences (and advisories where their database is reached)
	@PATH="$(abspath $(DENY)):$$PATH" .ci/lint

test-oldest: filter ## The scenarios on the oldest supported Envoy
	@ENVOY= ENVOY_VERSION=$(firstword $(ENVOY_LINES)) cargo test --workspace --test http_scenarios --test net_scenarios

test-matrix: filter ## The end-to-end tests on every supported Envoy line (ENVOY_LINES="1.36.4 1.40.0")
	@tests/matrix.sh "$(ENVOY_LINES)" $(filter-out differential net_soak,$(IN_ENVOY))

soak: filter setup ## The long ones: updates and a flood under load, a thousand updates, churning connections
	@EGRESS_SOAK=1 cargo test --quiet --workspace --test ops_updates --test ops_flood -- --nocapture
	@EGRESS_SOAK_SECONDS=60 cargo test --quiet --workspace --test net_soak -- --nocapture

##@ Look for what nobody thought of
fuzz: $(FUZZ) ## Every fuzz target, T seconds in all (T=60); needs a nightly toolchain
	@PATH="$(abspath $(FUZZ)):$$PATH" fuzz/run.sh $(or $(T),60)

mutants: $(MUTANTS) ## Which changes to policy/ no test notices (hours; MUTANTS_ARGS="--file policy/src/truth.rs")
	@PATH="$(abspath $(MUTANTS)):$$PATH" PROPTEST_CASES=200 PROPTEST_MAX_SHRINK_ITERS=0 \
	  cargo mutants --package egress-policy --timeout 300 --output target $(MUTANTS_ARGS)

differential: build ## Random policies beside Envoy's native RBAC filter for M=<minutes> on fresh seeds (docs/differences.md)
	@DIFFERENTIAL_MINUTES=$(or $(M),15) cargo test --quiet --workspace --test differential -- --ignored --exact --nocapture random::fresh_seeds_for_minutes
differential-replay: build ## One policy set again: DIFFERENTIAL_SEED=<seed> [DIFFERENTIAL_PROTOCOL=tcp]
	@cargo test --quiet --workspace --test differential -- --ignored --exact --nocapture random::replay

##@ Through a real Istio (root, Linux, Go 1.26; docs/mesh-lab.md)
mesh: mesh-needs image setup ## Play the scenarios there; the first time builds it (MESH_ARGS="--only deny-namespace,dry-run")
	@$(MESH) run $(MESH_ARGS)
mesh-up: mesh-needs image setup ## Leave that mesh running, with wrappers for kubectl, istioctl and curl as a workload
	@$(MESH) up $(MESH_ARGS)
mesh-down: ## End it, and remove whatever a crashed run left
	@$(MESH) down

test-mesh: mesh-needs image setup ## What needs root and Debian packages: a real registry, containers, and everything through that Istio
	@lab/mesh/needs.sh docker-registry podman podman-compose runc curl
	@cargo test --quiet --workspace --test registry --test containers -- --ignored --test-threads 1
	@$(MESH) run
	@EGRESS_MESH_TESTS=1 cargo test --quiet --workspace --test 'mesh_*'

bench-mesh: mesh-needs image build setup ## What a change of policy costs there, with Istio's own policies and with ours; ~15 minutes
	@cargo run --quiet --package egress-mesh-tests --bin bench-mesh -- $(BENCH)

# It renders and imports with the debug build; how fast that does is not looked at.
mesh mesh-up test-mesh: export EGRESSCTL ?= $(abspath $(OUT)/debug/egressctl)
mesh-needs:
	@lab/mesh/needs.sh --mesh
	@cargo build --quiet --package egressctl

##@ Measure it
bench: build ## Measure, and hold against what is promised; ~20 minutes (BENCH=--quick: a look of 2)
	@bench/run.sh $(BENCH)

##@ Ship it
image: filter ## Write the OCI image to target/image and print its digest
	@$(OCI) build --wasm $(WASM) --layout $(OUT)/image --revision "$$(git rev-parse HEAD 2>/dev/null)"

push: ## Push it: make push IMAGE=registry/repository:tag (user: REGISTRY_USER, REGISTRY_PASSWORD or docker's)
	@test -n "$(IMAGE)" || { echo "make push IMAGE=registry/repository:tag" >&2; exit 1; }
	@test -f $(OUT)/image/oci-layout || $(MAKE) --no-print-directory image
	@$(OCI) push --layout $(OUT)/image $(IMAGE)

manifests: ## Write deploy/ and examples/egress/rendered/ anew from their gateway files
	@cargo build --quiet --package egressctl
	@deploy/render.sh $(OUT)/debug/egressctl
compose: build ## Write what envoy/docker-compose.yaml mounts (then: docker compose -f envoy/docker-compose.yaml up)
	@$(LAB) compose
version: ## Print the version
	@image/release.sh version

release: image $(CYCLONEDX) ## Build all of a release that this machine can build, into target/dist
	@PATH="$(abspath $(CYCLONEDX)):$$PATH" image/release.sh all

release-egressctl release-checksums: release-%:
	@image/release.sh $*
