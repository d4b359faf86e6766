//! A client that holds back the end of its handshake, so that a race with the site is lost on purpose.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Stream;
use super::tls::Tls;
use crate::rt;

/// Lets the first flight out (the ClientHello) and, once the server has answered, nothing until it is released.
struct Held<T> {
    inner: T,
    answered: bool,
    gate: Gate,
}

#[derive(Clone, Default)]
struct Gate(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    open: bool,
    waiting: Option<Waker>,
}

// === impl Gate ===

impl Gate {
    fn open(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.open = true;
        if let Some(waker) = state.waiting.take() {
            waker.wake();
        }
    }

    /// Whether it is open; otherwise the task is woken when it is.
    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.open {
            return Poll::Ready(());
        }
        state.waiting = Some(cx.waker().clone());
        Poll::Pending
    }
}

// === impl Held ===

impl<T: AsyncRead + Unpin> AsyncRead for Held<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        self.answered |= buffer.filled().len() > before;
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Held<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.answered && self.gate.poll(cx).is_pending() {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
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
    /// Speaks TLS over this connection, holding back the client's Finished (and certificate) until a condition is
    /// true, and no longer than `at_most`.
    ///
    /// # Errors
    /// As [`Stream::tls`].
    pub fn tls_held(
        self,
        tls: &Tls,
        until: impl Fn() -> bool + Send + 'static,
        at_most: Duration,
    ) -> Result<Self> {
        let gate = Gate::default();
        let opener = gate.clone();
        rt::runtime()?.spawn(async move {
            let deadline = Instant::now() + at_most;
            while !until() && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            opener.open();
        });
        self.map_io(|io| Box::new(Held { inner: io, answered: false, gate })).tls(tls)
    }
}
