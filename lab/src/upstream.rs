//! The upstream filter that `deploy/` ships, taken from that very file.

use anyhow::{Context as _, Result};
use serde_json::Value;

const SHIPPED: &str = include_str!("../../deploy/upstream-private-addresses.yaml");

/// The upstream HTTP filters of `deploy/upstream-private-addresses.yaml`, as Envoy takes them, `upstream_codec` included.
///
/// # Errors
/// When the file has lost its form.
pub fn refuse_private_addresses() -> Result<Vec<Value>> {
    let resource: Value = yaml_serde::from_str(SHIPPED)?;
    resource
        .pointer("/spec/configPatches/0/patch/value/typed_config/upstream_http_filters")
        .and_then(Value::as_array)
        .cloned()
        .context("deploy/upstream-private-addresses.yaml has no upstream_http_filters")
}
