#!/bin/sh
# Says all that is missing for the mesh lab, and installs what is a Debian package.
# usage: lab/mesh/needs.sh --mesh          what the lab itself needs: Linux, root, Go, and its programs
#        lab/mesh/needs.sh PROGRAM…        programs of the tests around it
set -eu
missing=
if [ "${1:-}" = --mesh ]; then
    test "$(uname -s)" = Linux || missing="$missing, Linux"
    test "$(id -u)" = 0 || missing="$missing, root"
    go version 2>/dev/null | grep -qE ' go(1\.(2[6-9]|[3-9][0-9])|[2-9]\.)' || missing="$missing, Go 1.26 or later on PATH"
    test -z "$missing" || {
        echo "the mesh needs what is not here: ${missing#, }" >&2
        exit 1
    }
    set -- ip iptables dnsmasq docker-registry curl update-ca-certificates
fi
packages=
for program in "$@"; do
    command -v "$program" >/dev/null && continue
    case $program in
        ip) package=iproute2 ;;
        dnsmasq) package=dnsmasq-base ;;
        update-ca-certificates) package=ca-certificates ;;
        podman) package="podman netavark aardvark-dns" ;;
        *) package=$program ;;
    esac
    packages="$packages $package"
done
test -n "$packages" || exit 0
command -v apt-get >/dev/null || {
    echo "please install:$packages" >&2
    exit 1
}
echo "installing$packages"
# A machine that has just been made knows no package by name.
apt-get update --quiet >/dev/null
# shellcheck disable=SC2086 # words
DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends $packages >/dev/null
