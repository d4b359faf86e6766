//! `methods`: HTTP method tokens, which are compared with their case.

use super::text::TextPattern;
use crate::Fault;

/// Parses an entry of `methods`.
///
/// # Errors
/// As [`TextPattern::parse`], lower-case letters (no client sends them), and what is no token.
pub fn parse_method(text: &str) -> Result<TextPattern, Fault> {
    let pattern = TextPattern::parse(text)?;
    if pattern.literal().bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(Fault::with_repair(
            "methods are compared with their case and clients write them in capitals",
            format!("write `{}`", text.to_ascii_uppercase()),
        ));
    }
    if !pattern.literal().bytes().all(is_token_byte) {
        return Err(Fault::new("not an HTTP method"));
    }
    Ok(pattern)
}

/// The alphabet of a token (RFC 9110, 5.6.2); `*` is taken by the wildcard.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_only() {
        assert!(parse_method("GET").unwrap().matches(b"GET"));
        assert!(parse_method("PROP*").unwrap().matches(b"PROPFIND"));
        assert_eq!(parse_method("get").unwrap_err().repair(), Some("write `GET`"));
        for bad in ["", "G T", "GET,HEAD", "G*T"] {
            assert!(parse_method(bad).is_err(), "{bad}");
        }
    }
}
