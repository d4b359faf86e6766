//! A client that sends in small pieces.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Stream;

/// Writes at most `size` bytes at a time: a segment each over TCP, a record each over TLS.
struct Chopped<T> {
    inner: T,
    size: usize,
}

// === impl Chopped ===

impl<T: AsyncRead + Unpin> AsyncRead for Chopped<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Chopped<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let size = self.size;
        let piece = bytes.get(..size).unwrap_or(bytes);
        Pin::new(&mut self.inner).poll_write(cx, piece)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

// === impl Stream ===

impl Stream {
    /// The same connection, everything that is written to it in pieces of at most `size` bytes.
    #[must_use]
    pub fn chopped(self, size: usize) -> Self {
        self.map_io(|io| Box::new(Chopped { inner: io, size: size.max(1) }))
    }
}
