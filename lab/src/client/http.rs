//! HTTP over any connection.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;

use super::stream::{Closed, Stream, within};
use crate::rt;

/// What is asked for. The authority is not interpreted: it may be anything that fits into a header.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The method.
    pub method: String,
    /// `http` or `https`; whoever opens the connection looks at it.
    pub scheme: String,
    /// Host and perhaps port, as written.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Trailers, where there were any.
    pub trailers: HeaderMap,
}

// === impl Ask ===

impl Ask {
    /// From a line such as `GET http://www.example.com/path`.
    ///
    /// # Errors
    /// When there is no method or no scheme.
    pub fn parse(line: &str) -> Result<Self> {
        let (method, url) = line.split_once(' ').with_context(|| format!("{line:?} is not METHOD URL"))?;
        let (scheme, rest) = url.split_once("://").with_context(|| format!("{url:?} has no scheme"))?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        Ok(Self {
            method: method.to_owned(),
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
        })
    }

    /// With one header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The host without the port, for a server name.
    #[must_use]
    pub fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &self.authority,
        }
    }

    fn build(&self, uri: Uri, with_host: bool) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::from_bytes(self.method.as_bytes())?;
        *request.uri_mut() = uri;
        if with_host {
            request.headers_mut().insert(HOST, HeaderValue::from_bytes(self.authority.as_bytes())?);
        }
        for (name, value) in &self.headers {
            request
                .headers_mut()
                .append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_bytes(value.as_bytes())?);
        }
        Ok(request)
    }
}

// === impl Answer ===

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header as text; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> String {
        self.headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .unwrap_or_default()
    }
}

// === impl Stream ===

impl Stream {
    /// Asks over HTTP/1.1 on a connection of its own.
    ///
    /// # Errors
    /// [`Closed`] where the other side hangs up instead of answering.
    pub fn http1(self, ask: &Ask) -> Result<Answer> {
        let request = ask.build(ask.path.parse()?, true)?;
        let io = self.into_io();
        let received = io.received();
        rt::block_on(within(async move {
            let asked = async move {
                let (mut sender, connection) = conn::http1::handshake(TokioIo::new(io)).await?;
                let driver = tokio::spawn(connection);
                let answer = answer(sender.send_request(request).await?).await;
                driver.abort();
                answer
            };
            asked.await.map_err(|error| hung_up(error, received.load(Ordering::Relaxed)))
        }))
    }

    /// Asks over HTTP/2.
    ///
    /// # Errors
    /// [`Closed`] where the other side hangs up instead of answering.
    pub fn http2(self, ask: &Ask) -> Result<Answer> {
        let request = ask.build(format!("{}://{}{}", ask.scheme, ask.authority, ask.path).parse()?, false)?;
        let io = self.into_io();
        let received = io.received();
        rt::block_on(within(async move {
            let asked = async move {
                let (mut sender, connection) =
                    conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await?;
                let driver = tokio::spawn(connection);
                let answer = answer(sender.send_request(request).await?).await;
                driver.abort();
                answer
            };
            asked.await.map_err(|error| hung_up(error, received.load(Ordering::Relaxed)))
        }))
    }
}

async fn answer(response: http::Response<Incoming>) -> Result<Answer> {
    let (head, body) = response.into_parts();
    let collected = body.collect().await?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: collected.to_bytes(), trailers })
}

/// Turns hyper's ways of saying "they hung up" into one.
fn hung_up(error: anyhow::Error, received: u64) -> anyhow::Error {
    let gone = error.downcast_ref::<hyper::Error>().is_some_and(|error| {
        let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
        error.is_incomplete_message() || error.is_closed() || error.is_canceled() || io.is_some()
    });
    if gone { Closed { received }.into() } else { error }
}

/// One page of an admin interface.
///
/// # Errors
/// When nothing but a 200 comes back.
pub fn plain_get(from: SocketAddr, path: &str) -> Result<String> {
    let ask = Ask::parse(&format!("GET http://{from}{path}"))?;
    let answer = Stream::connect(from)?.http1(&ask)?;
    if answer.status >= 400 && path != "/ready" {
        bail!("{path}: {} {}", answer.status, answer.text());
    }
    Ok(answer.text())
}

/// For a query.
pub(crate) fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}
