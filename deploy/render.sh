#!/bin/sh
# Writes the manifests of this folder anew from its gateway files.
# usage: deploy/render.sh EGRESSCTL
set -eu
egressctl=$(realpath "$1")
cd "$(dirname "$0")"
"$egressctl" render egress.yaml --out istio
"$egressctl" render ambient.yaml --out ambient
folder=$(mktemp -d)
"$egressctl" render egress.yaml --carrier traffic-extension --out "$folder"
cp "$folder/traffic-extensions.yaml" istio/
rm -r "$folder"
