//! A client for many requests on one connection: plain HTTP/1.1, blocking, and as little work for each as there can be.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// A connection that is kept for the next request.
pub struct KeepAlive {
    to: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
}

// === impl KeepAlive ===

impl KeepAlive {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { to, stream, buffer: Vec::with_capacity(4096) })
    }

    /// The status of a GET for a host, with header lines of the form `name: value\r\n`.
    ///
    /// # Errors
    /// When there is no whole answer; the next request then has a connection of its own.
    pub fn get(&mut self, host: &str, headers: &str) -> Result<u16> {
        let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n");
        self.ask(request.as_bytes())
    }

    /// The status of any request without a body.
    ///
    /// # Errors
    /// As [`KeepAlive::get`].
    pub fn ask(&mut self, request: &[u8]) -> Result<u16> {
        let outcome = self.exchange(request);
        if !matches!(outcome, Ok((_, false))) {
            *self = Self::connect(self.to)?;
        }
        outcome.map(|(status, _)| status)
    }

    /// The status, and whether the other side will close the connection.
    fn exchange(&mut self, request: &[u8]) -> Result<(u16, bool)> {
        self.stream.write_all(request)?;
        self.buffer.clear();
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.read()?;
        };
        let head = String::from_utf8_lossy(self.buffer.get(..end).unwrap_or_default()).to_ascii_lowercase();
        let status = head.get(9..12).and_then(|text| text.parse().ok()).with_context(|| head.clone())?;
        let length = head
            .split_once("content-length: ")
            .and_then(|(_, rest)| rest.split_once('\r'))
            .and_then(|(text, _)| text.parse::<usize>().ok())
            .with_context(|| format!("an answer without a length: {head}"))?;
        while self.buffer.len() < end + length {
            self.read()?;
        }
        Ok((status, head.contains("connection: close")))
    }

    fn read(&mut self) -> Result<()> {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes)? {
            0 => bail!("closed before the answer was whole"),
            read => self.buffer.extend_from_slice(bytes.get(..read).unwrap_or_default()),
        }
        Ok(())
    }
}
