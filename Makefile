# `make` shows what there is.
LAB  := cargo run --quiet --package egress-lab --
WASM := $(or $(CARGO_TARGET_DIR),target)/wasm32-wasip1/release/egress_authz.wasm
# What `make build` left is what is played.
export EGRESS_AUTHZ_WASM ?= $(abspath $(WASM))
# The filter must stay small: every worker of every gateway holds it.
WASM_LIMIT := 350000

.PHONY: help build setup demo up down

help: ## Show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

build: ## Build the filter and check its size
	@cargo build --release --target wasm32-wasip1 --package egress-authz
	@size=$$(wc -c < $(WASM)); echo "$(WASM): $$size bytes (at most $(WASM_LIMIT))"; test $$size -le $(WASM_LIMIT)

setup: ## Find an Envoy, or install the pinned one into .tools/
	@$(LAB) setup

demo: build ## Play the stories on a real Envoy and show who reaches what (DEMO="--only A,B1")
	@$(LAB) demo $(DEMO)

up: build ## Leave a mesh running, with curl lines to try and a policy to edit
	@$(LAB) up

down: ## End it
	@$(LAB) down
