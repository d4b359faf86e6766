//! A connection with a blocking face: TCP, or TLS over any other connection.

use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::tls::Tls;
use crate::rt;

/// No answer on a loopback takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The other side closed the connection before the answer was whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Bytes that had come on it before.
    pub received: u64,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the connection was closed after {} bytes", self.received)
    }
}

impl std::error::Error for Closed {}

/// Anything that bytes go through.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// Counts the bytes that come.
pub(crate) struct Counted {
    inner: Box<dyn Io>,
    received: Arc<AtomicU64>,
}

/// A connection.
pub struct Stream {
    io: Counted,
    local: SocketAddr,
    alpn: Option<Vec<u8>>,
}

// === impl Stream ===

impl Stream {
    /// Connects by TCP.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(to: SocketAddr) -> Result<Self> {
        rt::block_on(async move {
            let tcp = within(async { Ok(TcpStream::connect(to).await?) })
                .await
                .with_context(|| format!("connecting to {to}"))?;
            tcp.set_nodelay(true)?;
            let local = tcp.local_addr()?;
            Ok(Self { io: Counted::new(Box::new(tcp)), local, alpn: None })
        })
    }

    /// Speaks TLS over this connection.
    ///
    /// # Errors
    /// [`Closed`] where the other side hangs up, otherwise what is wrong with its handshake.
    pub fn tls(self, tls: &Tls) -> Result<Self> {
        let (connector, name) = tls.connector()?;
        let received = self.io.received.clone();
        rt::block_on(async move {
            let stream = within(async {
                connector.connect(name, self.io).await.map_err(|error| closed(error, &received))
            })
            .await?;
            let alpn = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
            Ok(Self { io: Counted::new(Box::new(stream)), local: self.local, alpn })
        })
    }

    /// The client's own address, as the gateway's access log has it for a direct connection.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The protocol that the TLS on top agreed on.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// [`Closed`] where the other side hung up.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let received = self.io.received.clone();
        rt::block_on(within(async {
            self.io.write_all(bytes).await.map_err(|error| closed(error, &received))?;
            self.io.flush().await.map_err(|error| closed(error, &received))
        }))
    }

    /// Ends this side's direction (half-close).
    ///
    /// # Errors
    /// [`Closed`] where the other side hung up.
    pub fn finish(&mut self) -> Result<()> {
        let received = self.io.received.clone();
        rt::block_on(within(async { self.io.shutdown().await.map_err(|error| closed(error, &received)) }))
    }

    /// The next bytes, or none where nothing came in time.
    ///
    /// # Errors
    /// [`Closed`] where the other side ended the connection.
    pub fn receive(&mut self, patience: Duration) -> Result<Option<Vec<u8>>> {
        let received = self.io.received.clone();
        rt::block_on(async {
            let mut buffer = vec![0; 64 * 1024];
            match timeout(patience, self.io.read(&mut buffer)).await {
                Err(_) => Ok(None),
                Ok(Ok(0)) => Err(Closed { received: received.load(Ordering::Relaxed) }.into()),
                Ok(Ok(read)) => {
                    buffer.truncate(read);
                    Ok(Some(buffer))
                }
                Ok(Err(error)) => Err(closed(error, &received)),
            }
        })
    }

    /// All bytes until the other side ends the connection, in whatever way.
    ///
    /// # Errors
    /// When it does not end it in time.
    pub fn receive_all(&mut self) -> Result<Vec<u8>> {
        rt::block_on(within(async {
            let mut all = Vec::new();
            let mut buffer = vec![0; 64 * 1024];
            loop {
                match self.io.read(&mut buffer).await {
                    Ok(0) | Err(_) => return Ok(all),
                    Ok(read) => all.extend_from_slice(buffer.get(..read).unwrap_or_default()),
                }
            }
        }))
    }

    /// Bytes until they hold `wanted`.
    ///
    /// # Errors
    /// [`Closed`] where the other side ended the connection before, or when it takes too long.
    pub fn receive_until(&mut self, wanted: &[u8]) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while !all.windows(wanted.len().max(1)).any(|window| window == wanted) {
            match self.receive(PATIENCE)? {
                Some(bytes) => all.extend_from_slice(&bytes),
                None => bail!(
                    "{:?} did not come; instead {:?}",
                    String::from_utf8_lossy(wanted),
                    String::from_utf8_lossy(&all)
                ),
            }
        }
        Ok(all)
    }

    /// The same connection through something that stands in between.
    pub(crate) fn map_io(self, wrap: impl FnOnce(Counted) -> Box<dyn Io>) -> Self {
        Self { io: Counted::new(wrap(self.io)), local: self.local, alpn: self.alpn }
    }

    pub(crate) fn into_io(self) -> Counted {
        self.io
    }
}

// === impl Counted ===

impl Counted {
    fn new(inner: Box<dyn Io>) -> Self {
        Self { inner, received: Arc::default() }
    }

    pub(crate) fn received(&self) -> Arc<AtomicU64> {
        self.received.clone()
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        let read = buffer.filled().len().saturating_sub(before);
        self.received.fetch_add(read as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Turns the many ways in which a hang-up shows into one.
fn closed(error: std::io::Error, received: &AtomicU64) -> anyhow::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected => Closed { received: received.load(Ordering::Relaxed) }.into(),
        _ => error.into(),
    }
}

pub(crate) async fn within<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| bail!("nothing happened within {PATIENCE:?}"))
}
