#!/bin/sh
# What a release consists of, in target/dist.
# usage: image/release.sh version | all | egressctl | checksums      (TARGET=… for another machine's egressctl)
set -eu
cd "$(dirname "$0")/.."
out=${CARGO_TARGET_DIR:-target}
dist=$out/dist
# The one place is the workspace's Cargo.toml.
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
target=${TARGET:-$(rustc --print host-tuple)}

egressctl() {
    binary=$out/$target/release/egressctl
    test -f "$binary" || cargo build --quiet --locked --release --package egressctl --target "$target"
    mkdir -p "$dist"
    tar -czf "$dist/egressctl-$version-$target.tar.gz" -C "$(dirname "$binary")" egressctl -C "$PWD" LICENSE
}

checksums() (
    cd "$dist"
    rm -f SHA256SUMS
    { sha256sum ./* 2>/dev/null || shasum -a 256 ./*; } | sed 's, \./, ,' >.sums
    mv .sums SHA256SUMS
    cat SHA256SUMS
)

all() {
    rm -rf "$dist"
    mkdir -p "$dist"
    cp "$out/wasm32-wasip1/release/egress_authz.wasm" "$dist/egress-authz-$version.wasm"
    tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --directory "$out/image" \
        --file "$dist/egress-authz-$version-image.tar" .
    egressctl
    cargo-cyclonedx cyclonedx --quiet --manifest-path Cargo.toml --format json --override-filename bom.cdx --target wasm32-wasip1
    mv bom.cdx.json "$dist/egress-authz-$version.cdx.json"
    mv cli/bom.cdx.json "$dist/egressctl-$version.cdx.json"
    find . -name bom.cdx.json -not -path './target/*' -delete
    checksums
}

case ${1:-} in
    version) echo "$version" ;;
    all | egressctl | checksums) "$1" ;;
    *)
        sed -n '3s/^# //p' "$0" >&2
        exit 2
        ;;
esac
