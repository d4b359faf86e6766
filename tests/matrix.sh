#!/bin/sh
# Runs test binaries of this folder on several Envoy lines, all of them whatever fails, and says on which some did.
# usage: tests/matrix.sh "VERSION…" TEST…
set -eu
cd "$(dirname "$0")/.."
versions=$1
shift
tests=
for test in "$@"; do tests="$tests --test $test"; done
failed=
for version in $versions; do
    echo "== Envoy $version"
    # shellcheck disable=SC2086 # words
    ENVOY='' ENVOY_VERSION=$version cargo test --quiet --no-fail-fast --workspace $tests -- --nocapture || failed="$failed $version"
done
test -z "$failed" || {
    echo "failed on$failed" >&2
    exit 1
}
