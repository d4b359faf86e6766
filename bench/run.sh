#!/bin/sh
# Builds what is measured, and measures it.
# usage: bench/run.sh [--quick] [--only PART,…]     (of `egress-bench run`)
set -eu
cd "$(dirname "$0")/.."
out=$(realpath "${CARGO_TARGET_DIR:-target}")
# The filter once more, with the names of its functions: what each dependency costs.
named=$out/named
CARGO_PROFILE_RELEASE_STRIP=debuginfo cargo build --quiet --release --target wasm32-wasip1 --package egress-authz --target-dir "$named"
cargo build --quiet --release --target wasm32-wasip1 --package egress-bench-baseline
cargo build --quiet --profile bench --package egress-bench
cargo bench --quiet --package egress-bench --bench core -- --noplot | grep -E 'time:' || true
EGRESSCTL=$out/release/egressctl EGRESS_AUTHZ_WASM_NAMED=$named/wasm32-wasip1/release/egress_authz.wasm \
    exec cargo run --quiet --profile bench --package egress-bench -- run "$@"
