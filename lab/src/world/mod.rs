//! The external world: servers that answer for any host and count who reached them.

mod http;
mod tls;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::certs::Authority;
use crate::rt;

/// What the server that speaks first says.
pub const BANNER: &[u8] = b"220 lab.example ready\r\n";

/// The world's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// HTTP/1.1 and HTTP/2 in clear.
    pub http: u16,
    /// HTTPS for any server name.
    pub tls: u16,
    /// TCP, the server speaking first.
    pub banner: u16,
    /// The HTTP port behind a proxy that takes CONNECT, for clusters whose address only looks like one of the internet.
    pub http_detour: u16,
    /// The TLS port behind such a proxy.
    pub tls_detour: u16,
}

/// What the world has seen so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// HTTP requests by host (as asked for, in lower case), over either port.
    pub requests: BTreeMap<String, u64>,
    /// TLS connections that brought a ClientHello, by server name.
    pub hellos: BTreeMap<String, u64>,
    /// TCP connections to the HTTP port.
    pub http_connects: u64,
    /// TCP connections to the TLS port, a byte sent or not.
    pub tls_connects: u64,
    /// TCP connections to the server that speaks first.
    pub banner_connects: u64,
    /// Bytes that clients sent to the server that speaks first.
    pub banner_bytes: u64,
}

// === impl Seen ===

impl Seen {
    /// Everything by which a site can tell that somebody reached it: requests, hellos, bytes.
    #[must_use]
    pub fn reached(&self) -> u64 {
        self.requests.values().sum::<u64>() + self.hellos.values().sum::<u64>() + self.banner_bytes
    }

    /// All TCP connections.
    #[must_use]
    pub fn connects(&self) -> u64 {
        self.http_connects + self.tls_connects + self.banner_connects
    }

    /// HTTP requests for one host.
    #[must_use]
    pub fn requests_for(&self, host: &str) -> u64 {
        self.requests.get(&host.to_ascii_lowercase()).copied().unwrap_or(0)
    }
}

/// The counters, shared by all servers.
#[derive(Clone, Default)]
pub(crate) struct Counters(Arc<Mutex<Seen>>);

// === impl Counters ===

impl Counters {
    pub(crate) fn update(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn get(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The running world; dropping it ends it.
pub struct World {
    ports: Ports,
    counters: Counters,
    servers: Vec<JoinHandle<()>>,
}

// === impl World ===

impl World {
    /// Starts the servers on free ports; certificates for any name are issued by `public` as they are asked for.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(public: &Authority) -> Result<Self> {
        let any = Ports { http: 0, tls: 0, banner: 0, http_detour: 0, tls_detour: 0 };
        Self::start_at(public, Ipv4Addr::LOCALHOST, any)
    }

    /// The same at a given address and given ports, 0 for a free one: for a world with a network namespace of its own. The
    /// sockets belong to the namespace of the thread that calls this.
    ///
    /// # Errors
    /// When a port is taken.
    pub fn start_at(public: &Authority, address: Ipv4Addr, ports: Ports) -> Result<Self> {
        let public = public.clone();
        rt::block_on(async move {
            let counters = Counters::default();
            let bind = |port| bind(SocketAddr::from((address, port)));
            let (http, tls, banner) =
                (bind(ports.http).await?, bind(ports.tls).await?, bind(ports.banner).await?);
            let (http_detour, tls_detour) = (bind(ports.http_detour).await?, bind(ports.tls_detour).await?);
            let ports = Ports {
                http: http.local_addr()?.port(),
                tls: tls.local_addr()?.port(),
                banner: banner.local_addr()?.port(),
                http_detour: http_detour.local_addr()?.port(),
                tls_detour: tls_detour.local_addr()?.port(),
            };
            let certificates = tls::Certificates::new(public);
            let plain = {
                let counters = counters.clone();
                move |stream| serve_http(stream, counters.clone())
            };
            let secure = {
                let counters = counters.clone();
                move |stream| serve_tls(stream, certificates.clone(), counters.clone())
            };
            let greeting = {
                let counters = counters.clone();
                move |stream| greet(stream, counters.clone())
            };
            let servers = vec![
                tokio::spawn(accept(http, plain.clone())),
                tokio::spawn(accept(tls, secure.clone())),
                tokio::spawn(accept(banner, greeting)),
                tokio::spawn(accept(http_detour, move |stream| detour(stream, plain.clone()))),
                tokio::spawn(accept(tls_detour, move |stream| detour(stream, secure.clone()))),
            ];
            Ok(Self { ports, counters, servers })
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// A way to look at what it has seen from another thread.
    pub fn watch(&self) -> impl Fn() -> Seen + Send + 'static {
        let counters = self.counters.clone();
        move || counters.get()
    }

    /// What it has seen so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.counters.get()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

async fn bind(to: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(to).await.with_context(|| format!("binding {to} for the external world"))
}

/// Serves each connection in a task of its own; all end with the listener.
async fn accept<F, S>(listener: TcpListener, serve: S)
where
    S: Fn(TcpStream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            // A slow last segment would show as latency in benchmarks; there is nothing to do where it cannot be set.
            let _ = stream.set_nodelay(true);
            connections.spawn(serve(stream));
        } else {
            // Out of descriptors, most likely: give others time to end.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_http(stream: TcpStream, counters: Counters) {
    counters.update(|seen| seen.http_connects += 1);
    http::serve(stream, None, counters).await;
}

async fn serve_tls(stream: TcpStream, certificates: tls::Certificates, counters: Counters) {
    counters.update(|seen| seen.tls_connects += 1);
    tls::serve(stream, certificates, counters).await;
}

/// Takes a CONNECT for wherever, and serves what follows itself.
async fn detour<F: Future<Output = ()>>(mut stream: TcpStream, serve: impl Fn(TcpStream) -> F) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) if head.len() < 4096 => head.push(byte),
            _ => return,
        }
    }
    if stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.is_ok() {
        serve(stream).await;
    }
}

/// Greets before the client says a word, then echoes.
async fn greet(mut stream: TcpStream, counters: Counters) {
    counters.update(|seen| seen.banner_connects += 1);
    if stream.write_all(BANNER).await.is_err() {
        return;
    }
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read) = stream.read(&mut buffer).await {
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return;
        };
        counters.update(|seen| seen.banner_bytes += bytes.len() as u64);
        if stream.write_all(bytes).await.is_err() {
            return;
        }
    }
}
