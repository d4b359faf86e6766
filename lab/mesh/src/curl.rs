//! An application: curl as it is, inside a pod.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use egress_lab::client::http::Answer;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::netns::Netns;
use crate::place::APPLICATION_USER;

/// The lab's public authorities become those of the machine, in a mount namespace that ends with curl.
const ENTER: &str = r#"mount --bind "$1" /etc/ssl/certs/ca-certificates.crt || exit 125
user=$2
shift 2
exec setpriv --reuid "$user" --regid "$user" --clear-groups -- curl "$@""#;

/// What came of a request.
#[derive(Debug, Clone)]
pub enum Got {
    /// An answer.
    Answer(Box<Answer>),
    /// The connection was closed before one.
    Closed,
}

/// curl in a pod.
pub struct Curl<'p> {
    netns: &'p Netns,
    authorities: &'p Path,
}

// === impl Curl ===

impl<'p> Curl<'p> {
    pub(crate) fn new(netns: &'p Netns, authorities: &'p Path) -> Self {
        Self { netns, authorities }
    }

    /// `curl ARGS…`, not yet started.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.netns.command("sh");
        command.args(["-c", ENTER, "curl"]).arg(self.authorities).arg(APPLICATION_USER.to_string());
        command.args(["--silent", "--show-error", "--include", "--max-time", "15"]).args(arguments);
        command
    }

    /// Runs `curl ARGS…` to its end.
    ///
    /// # Errors
    /// When it ends neither with an answer nor with a connection that the other side closed.
    pub fn run(&self, arguments: &[&str]) -> Result<Got> {
        let output = self.command(arguments).output().context("starting curl")?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match output.status.code() {
            Some(0) => parse(&output.stdout).map(|answer| Got::Answer(Box::new(answer))),
            // TLS that ended before it began (35), an empty answer (52), and a connection reset (56).
            Some(35 | 52 | 56) => Ok(Got::Closed),
            code => bail!("curl {} ended with {code:?}: {said}", arguments.join(" ")),
        }
    }
}

/// Reads `curl --include`: the head as it came, and the body.
fn parse(output: &[u8]) -> Result<Answer> {
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").context("curl showed no head")?;
    let (head, body) = output.split_at_checked(end + 4).context("curl showed half a head")?;
    let head = String::from_utf8_lossy(head).into_owned();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        headers.append(
            HeaderName::from_bytes(name.trim().as_bytes())?,
            HeaderValue::from_bytes(value.trim().as_bytes())?,
        );
    }
    Ok(Answer {
        status: status.with_context(|| format!("curl showed no status: {head}"))?,
        headers,
        body: Bytes::copy_from_slice(body),
        trailers: HeaderMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_curl_includes_is_read() {
        let answer = parse(b"HTTP/1.1 403 Forbidden\r\nserver: envoy\r\n\r\nRBAC: access denied").unwrap();
        assert_eq!((answer.status, answer.header("server").as_str()), (403, "envoy"));
        assert_eq!(answer.text(), "RBAC: access denied");
        assert_eq!(parse(b"HTTP/2 200 \r\n\r\n").unwrap().status, 200);
        assert!(parse(b"curl: (7) nobody").is_err());
    }
}
