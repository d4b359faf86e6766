//! What the world answers over HTTP: a JSON of what it saw, whatever the host.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Counters;

type Body = BoxBody<Bytes, Infallible>;

/// Serves one connection, HTTP/1.1 or HTTP/2 as the client speaks; `server_name` where it is TLS.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    server_name: Option<String>,
    counters: Counters,
) {
    let service = service_fn(move |request| {
        let (server_name, counters) = (server_name.clone(), counters.clone());
        async move { Ok::<_, Infallible>(answer(request, server_name, counters).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http2().enable_connect_protocol().max_concurrent_streams(1000);
    // A client that goes away in the middle is nothing to report.
    let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    server_name: Option<String>,
    counters: Counters,
) -> Response<Body> {
    let host = host(&request);
    counters.update(|seen| *seen.requests.entry(host.to_ascii_lowercase()).or_default() += 1);
    let scheme = if server_name.is_some() { "https" } else { "http" };
    let mut response = if request.method() == Method::CONNECT || request.headers().contains_key(UPGRADE) {
        tunnel(request)
    } else if let Some(size) = request.uri().path().strip_prefix("/bytes/").and_then(|text| text.parse().ok())
    {
        large(size)
    } else {
        echo(request, &host, scheme, server_name.as_deref()).await
    };
    // For answers without a body, such as to HEAD.
    for (name, value) in [("x-lab-scheme", scheme), ("x-lab-host", host.as_str())] {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn host(request: &Request<Incoming>) -> String {
    let header =
        request.headers().get(HOST).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    request.uri().authority().map(ToString::to_string).or(header).unwrap_or_default()
}

/// Echoes every byte, after `101` or, for CONNECT, `200`.
fn tunnel(mut request: Request<Incoming>) -> Response<Body> {
    let mut response = Response::new(empty());
    if let Some(protocol) = request.headers().get(UPGRADE).cloned() {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(UPGRADE, protocol);
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            let (mut from, mut to) = tokio::io::split(TokioIo::new(upgraded));
            // It ends when the client ends it.
            let _ = tokio::io::copy(&mut from, &mut to).await;
        }
    });
    response
}

/// A body of the given size whose hash is in a header.
fn large(size: usize) -> Response<Body> {
    let body = Bytes::from(pattern(size));
    let hash = hex(&Sha256::digest(&body));
    let mut response = Response::new(Full::new(body).boxed());
    if let Ok(hash) = HeaderValue::try_from(hash) {
        response.headers_mut().insert("x-lab-sha256", hash);
    }
    response
}

/// Bytes that do not repeat at any power of two, so that a lost or doubled buffer shows.
#[must_use]
pub(crate) fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|index| u8::try_from(index % 251).unwrap_or_default()).collect()
}

/// Lower-case hexadecimal.
#[must_use]
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn echo(
    request: Request<Incoming>,
    host: &str,
    scheme: &str,
    server_name: Option<&str>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let is_grpc =
        head.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let headers: serde_json::Map<String, Value> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    let saw = json!({
        "scheme": scheme,
        "host": host,
        "method": head.method.as_str(),
        "path": head.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str),
        "version": format!("{:?}", head.version),
        "sni": server_name,
        "headers": headers,
        "body": {"bytes": body.len(), "sha256": hex(&Sha256::digest(&body))},
    });
    if is_grpc {
        return grpc(body);
    }
    let mut response = Response::new(Full::new(Bytes::from(format!("{saw}\n"))).boxed());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A gRPC answer: the request's message back, and the status in trailers.
fn grpc(message: Bytes) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(message).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(body.boxed());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

fn empty() -> Body {
    Full::new(Bytes::new()).boxed()
}
