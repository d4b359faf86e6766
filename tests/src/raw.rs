//! HTTP/1 as bytes.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use egress_lab::client::Stream;

/// No answer on a loopback takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawAnswer {
    /// The status; 0 where the connection was closed without an answer.
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// What came after them.
    pub body: Vec<u8>,
}

// === impl RawAnswer ===

impl RawAnswer {
    /// Parses whatever came until the connection was closed.
    ///
    /// # Errors
    /// When it is not HTTP/1.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let shown = || String::from_utf8_lossy(bytes).into_owned();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").with_context(shown)?;
        let (head, body) = bytes.split_at_checked(end).with_context(shown)?;
        let head = String::from_utf8_lossy(head).into_owned();
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).with_context(shown)?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Ok(Self { status: status.parse()?, headers, body: body.get(4..).unwrap_or_default().to_vec() })
    }

    /// Whether the body is as long as announced; without an announcement only the connection's end tells.
    fn is_whole(&self) -> bool {
        self.header("content-length").parse().is_ok_and(|length: usize| self.body.len() >= length)
    }

    /// A header's first value; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// Sends bytes and reads one answer: as many bytes of a body as it announces, or all until the other side closes.
///
/// Envoy waits a second before it closes a connection whose request it did not read to the end; nobody has to wait with it.
///
/// # Errors
/// When nothing comes, or what comes is not HTTP/1.
pub fn exchange(mut stream: Stream, request: &[u8]) -> Result<RawAnswer> {
    // The gateway may answer and close before all of it is sent.
    let _ = stream.send(request);
    let mut bytes = Vec::new();
    loop {
        match stream.receive(PATIENCE) {
            Ok(Some(more)) => bytes.extend(more),
            Ok(None) => bail!("the connection stays open after {:?}", String::from_utf8_lossy(&bytes)),
            // However the other side ends it.
            Err(_) => return RawAnswer::parse(&bytes),
        }
        if let Ok(answer) = RawAnswer::parse(&bytes)
            && answer.is_whole()
        {
            return Ok(answer);
        }
    }
}

/// The bytes of a GET with these header lines, ready to be sent.
#[must_use]
pub fn get(lines: &[&[u8]]) -> Vec<u8> {
    let mut request = b"GET / HTTP/1.1\r\n".to_vec();
    for line in lines {
        request.extend_from_slice(line);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"connection: close\r\n\r\n");
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = RawAnswer::parse(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").unwrap();
        assert_eq!(answer.status, 403);
        assert_eq!(answer.header("content-length"), "2");
        assert_eq!(answer.body, b"no");
        assert_eq!(RawAnswer::parse(b"").unwrap().status, 0);
        assert!(RawAnswer::parse(b"SMTP").is_err());
    }

    #[test]
    fn a_request_ends_with_an_empty_line() {
        assert_eq!(get(&[b"host: \xff"]), b"GET / HTTP/1.1\r\nhost: \xff\r\nconnection: close\r\n\r\n");
    }
}
