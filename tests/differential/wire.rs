//! Connections to the gateway that are kept.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use egress_lab::client::Tls;
use rustls::{ClientConnection, StreamOwned};
use socket2::{Domain, Socket, Type};

const PATIENCE: Duration = Duration::from_secs(10);

/// A connection by mTLS.
pub(crate) struct Wire {
    stream: StreamOwned<ClientConnection, TcpStream>,
    received: Vec<u8>,
}

/// One request as it is written, and whether its answer can have a body.
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    pub(crate) bodiless: bool,
}

// === impl Wire ===

impl Wire {
    /// Connects from any address of the loopback.
    pub(crate) fn connect(from: Ipv4Addr, to: SocketAddr, tls: &Tls) -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        socket.set_tcp_nodelay(true)?;
        socket
            .connect_timeout(&to.into(), PATIENCE)
            .with_context(|| format!("connecting from {from} to {to}"))?;
        let socket = TcpStream::from(socket);
        socket.set_read_timeout(Some(PATIENCE))?;
        let (config, name) = tls.config()?;
        let connection = ClientConnection::new(Arc::new(config), name)?;
        Ok(Self { stream: StreamOwned::new(connection, socket), received: Vec::new() })
    }

    /// Asks over HTTP/1.1; gives the status. One at a time: Envoy hangs up on requests behind one that it refuses.
    pub(crate) fn ask(&mut self, request: &Written) -> Result<u16> {
        self.stream.write_all(&request.bytes)?;
        self.stream.flush()?;
        self.answer(request.bodiless)
    }

    fn answer(&mut self, bodiless: bool) -> Result<u16> {
        let (status, length) = loop {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut response = httparse::Response::new(&mut headers);
            if let httparse::Status::Complete(length) = response.parse(&self.received)? {
                let status = response.code.context("an answer without a status")?;
                let body =
                    match response.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length")) {
                        _ if bodiless || status == 204 => 0,
                        Some(header) => std::str::from_utf8(header.value)?.parse::<usize>()?,
                        None => bail!(
                            "an answer of unknown length: {:?}",
                            String::from_utf8_lossy(&self.received)
                        ),
                    };
                break (status, length + body);
            }
            self.read_more()?;
        };
        while self.received.len() < length {
            self.read_more()?;
        }
        self.received.drain(..length);
        Ok(status)
    }

    fn read_more(&mut self) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        let read = self.stream.read(&mut buffer)?;
        if read == 0 {
            bail!("the gateway hung up after {:?}", String::from_utf8_lossy(&self.received));
        }
        self.received.extend_from_slice(&buffer[..read]);
        Ok(())
    }

    /// Sends bytes; whether any come back before the gateway hangs up.
    pub(crate) fn knock(mut self, bytes: &[u8]) -> Result<bool> {
        self.talk(bytes, |received| !received.is_empty())
    }

    /// Sends bytes to a site that echoes; whether these come back before the gateway hangs up.
    pub(crate) fn echoes(&mut self, bytes: &[u8]) -> Result<bool> {
        self.talk(bytes, |received| received.ends_with(bytes))
    }

    fn talk(&mut self, bytes: &[u8], heard: impl Fn(&[u8]) -> bool) -> Result<bool> {
        let mut received = Vec::new();
        let mut buffer = [0; 1024];
        let mut step = self.stream.write_all(bytes).and_then(|()| self.stream.flush()).map(|()| None);
        loop {
            match step {
                Ok(Some(0)) => return Ok(false),
                Ok(read) => received.extend_from_slice(&buffer[..read.unwrap_or(0)]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    bail!("neither an answer nor a hang-up")
                }
                Err(_) => return Ok(false),
            }
            if heard(&received) {
                return Ok(true);
            }
            step = self.stream.read(&mut buffer).map(Some);
        }
    }

    /// The client's own port, by which the gateway's log knows the connection.
    pub(crate) fn local_port(&self) -> Result<u16> {
        Ok(self.stream.sock.local_addr()?.port())
    }
}
