#!/bin/sh
# Runs every fuzz target for SECONDS / targets each, beside the committed corpus, and prints what came of it.
# usage: fuzz/run.sh SECONDS
set -eu
cd "$(dirname "$0")"
total=${1:-60}
targets=$(cd fuzz_targets && ls *.rs | sed 's/\.rs$//')
each=$((total / $(echo "$targets" | wc -l)))
[ "$each" -gt 0 ] || each=1
command -v cargo-fuzz >/dev/null || {
    echo "cargo-fuzz is needed: cargo install cargo-fuzz --locked, and a nightly toolchain" >&2
    exit 2
}
# One build for all.
cargo +nightly fuzz build >/dev/null
findings=0
executions=0
for target in $targets; do
    # What the fuzzer finds new goes to a folder that is not committed.
    mkdir -p "found/$target"
    log="found/$target.log"
    status=0
    cargo +nightly fuzz run "$target" "found/$target" "corpus/$target" -- \
        -max_total_time="$each" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -print_final_stats=1 >"$log" 2>&1 || status=$?
    ran=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
    if [ "$status" -ne 0 ]; then
        findings=$((findings + 1))
        verdict="FINDING, see fuzz/$log"
        tail -40 "$log"
    else
        verdict="no finding"
    fi
    printf '%-16s %12s executions in %s s: %s\n' "$target" "${ran:-0}" "$each" "$verdict"
    executions=$((executions + ${ran:-0}))
done
echo "$executions executions, $findings findings"
[ "$findings" -eq 0 ]
