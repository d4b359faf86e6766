# The image for those who have Docker: what `make image` builds without it. `make build` first.
#   docker build --build-arg VERSION=$(make -s version) --build-arg REVISION=$(git rev-parse HEAD) -t IMAGE .
# Istio takes either; only that of `make image` is the same bytes every time.
FROM scratch
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="egress-authz" \
      org.opencontainers.image.description="Decides which workload may reach which external host, at an Istio egress gateway" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="https://github.com/egress-authz/egress-authz" \
      org.opencontainers.image.licenses="Apache-2.0"
# Last, and called as Istio looks for it: the agent unpacks the last layer.
COPY target/wasm32-wasip1/release/egress_authz.wasm /plugin.wasm
