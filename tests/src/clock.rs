//! Instants as a policy writes them.

use anyhow::Result;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// So many seconds from now, or before now, as RFC 3339.
///
/// # Errors
/// When that is no year of four digits.
pub fn from_now(seconds: i64) -> Result<String> {
    Ok((OffsetDateTime::now_utc() + Duration::seconds(seconds)).format(&Rfc3339)?)
}
