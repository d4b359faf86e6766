//! What an older line of Envoy does not have is said, and never silently left out.

use anyhow::Result;
use egress_lab::provision::EnvoyBinary;

/// The line from which `tcp_proxy` can dial late (`upstream_connect_mode`).
pub const LATE_DIAL: u32 = 37;

/// The line from which native RBAC can be an upstream HTTP filter.
pub const UPSTREAM_RBAC: u32 = 39;

/// Whether the Envoy of this run is of this line (the `37` of 1.37) or a newer one; if it is not, says what that leaves out.
///
/// # Errors
/// When there is no Envoy.
pub fn from_line(line: u32, what: &str) -> Result<bool> {
    let binary = EnvoyBinary::find()?;
    let applies = binary.minor() >= line;
    if !applies {
        println!("not applicable on Envoy {}: {what} (needs 1.{line})", binary.version);
    }
    Ok(applies)
}

/// Says which requests of scenarios could not be played.
pub fn left_out(requests: &[String]) {
    for request in requests {
        println!("not applicable: {request}");
    }
}
