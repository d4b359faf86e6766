//! Load: requests over one mTLS connection of HTTP/2, as a workload's sidecar sends them, and connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use egress_lab::certs::{Authority, Identity};
use egress_lab::client::Tls;
use http::{Method, Request, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::shapes::Probe;

/// One connection of a workload to a listener.
#[derive(Debug, Clone)]
pub struct Client {
    sender: SendRequest<Empty<Bytes>>,
    host: String,
    path: String,
    /// How many requests were spelled, where each is to be spelled otherwise.
    spelled: Option<Arc<AtomicUsize>>,
}

impl Client {
    /// Connects as the probe's workload; the server name is the host, as Istio's sidecars send it.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn connect(
        address: SocketAddr,
        mesh: &Authority,
        identity: Identity,
        probe: &Probe,
    ) -> Result<Self> {
        let tls = Tls::mesh(mesh, Some(identity), Some(&probe.host))?.with_alpn(&["h2"]);
        let (config, name) = tls.config()?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // The sender learns what becomes of it.
            let _ = connection.await;
        });
        Ok(Self { sender, host: probe.host.clone(), path: probe.path.clone(), spelled: None })
    }

    /// The same, but hardly two requests alike: each writes the host in other capitals, which means the same and is
    /// nothing that a filter could remember.
    #[must_use]
    pub fn unlike(self) -> Self {
        Self { spelled: Some(Arc::default()), ..self }
    }

    fn uri(&self) -> String {
        match &self.spelled {
            None => format!("http://{}{}", self.host, self.path),
            Some(spelled) => {
                let number = spelled.fetch_add(1, Ordering::Relaxed);
                format!("http://{}{}", spell(&self.host, number), self.path)
            }
        }
    }

    /// One request; its status.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn ask(&mut self) -> Result<u16> {
        let request = Request::builder()
            .method(Method::GET)
            .version(Version::HTTP_2)
            .uri(self.uri())
            .header("user-agent", "egress-bench")
            .header("accept", "*/*")
            .body(Empty::new())?;
        let response = self.sender.send_request(request).await.context("no answer")?;
        let status = response.status().as_u16();
        let _ = response.into_body().collect().await?;
        Ok(status)
    }

    /// So many requests, never more than `at_once` under way; every one must be allowed.
    ///
    /// # Errors
    /// When one is not.
    pub async fn burst(&self, requests: usize, at_once: usize) -> Result<()> {
        let tasks = (0..at_once).map(|task| {
            let mut client = self.clone();
            let share = requests / at_once + usize::from(task < requests % at_once);
            tokio::spawn(async move {
                for _ in 0..share {
                    match client.ask().await? {
                        200 => {}
                        status => bail!("{} was answered with {status}", client.host),
                    }
                }
                Ok(())
            })
        });
        let tasks: Vec<_> = tasks.collect();
        for task in tasks {
            task.await??;
        }
        Ok(())
    }

    /// Requests at a fixed rate, whether earlier ones are answered or not; how long each took.
    ///
    /// # Errors
    /// When one is not allowed.
    pub async fn paced(&self, rate: u32, period: Duration) -> Result<Vec<Duration>> {
        let gap = Duration::from_secs(1) / rate;
        let start = Instant::now() + Duration::from_millis(5);
        let mut due = start;
        let mut tasks = Vec::new();
        while due < start + period {
            tokio::time::sleep_until(due.into()).await;
            let (mut client, since) = (self.clone(), Instant::now());
            tasks.push(tokio::spawn(async move {
                let status = client.ask().await?;
                let took = since.elapsed();
                if status == 200 { Ok(took) } else { bail!("{} was answered with {status}", client.host) }
            }));
            due += gap;
        }
        let mut took = Vec::with_capacity(tasks.len());
        for task in tasks {
            took.push(task.await??);
        }
        Ok(took)
    }
}

/// A host whose letters are capitals where the number has a one.
fn spell(host: &str, number: usize) -> String {
    let mut bit = 0;
    host.chars()
        .map(|c| {
            let capital = c.is_ascii_alphabetic() && (number >> (bit % usize::BITS)) & 1 == 1;
            bit += u32::from(c.is_ascii_alphabetic());
            if capital { c.to_ascii_uppercase() } else { c }
        })
        .collect()
}

/// Opens connections of a workload to a TCP listener.
#[derive(Clone)]
pub struct Dialler {
    address: SocketAddr,
    outer: TlsConnector,
    name: tokio_rustls::rustls::pki_types::ServerName<'static>,
    hello: Arc<Vec<u8>>,
}

impl Dialler {
    /// Connections as the probe's workload, inside of which the application asks for the probe's host by TLS.
    ///
    /// # Errors
    /// When a certificate is refused.
    pub fn new(address: SocketAddr, mesh: &Authority, identity: Identity, probe: &Probe) -> Result<Self> {
        let tls = Tls::mesh(mesh, Some(identity), Some(&probe.host))?.with_alpn(&["istio"]);
        let (mut config, name) = tls.config()?;
        // A full handshake each time, as between a sidecar and a gateway that share no tickets.
        config.resumption = tokio_rustls::rustls::client::Resumption::disabled();
        let hello = Tls::public(mesh, &probe.host)?.client_hello()?;
        Ok(Self { address, outer: TlsConnector::from(Arc::new(config)), name, hello: Arc::new(hello) })
    }

    /// So many connections, each until the site's first byte, never more than `at_once` under way.
    ///
    /// # Errors
    /// When one is not admitted.
    pub async fn burst(&self, connections: usize, at_once: usize) -> Result<()> {
        let tasks: Vec<_> = (0..at_once)
            .map(|task| {
                let dialler = self.clone();
                let share = connections / at_once + usize::from(task < connections % at_once);
                tokio::spawn(async move {
                    for _ in 0..share {
                        dialler.dial().await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(())
    }

    async fn dial(&self) -> Result<()> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let mut stream = self.outer.connect(self.name.clone(), stream).await?;
        stream.write_all(&self.hello).await?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await.context("the connection was not admitted")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn spellings_mean_the_same() {
        let spellings: BTreeSet<String> =
            (0..4_096).map(|number| spell("site-000123.example.com", number)).collect();
        assert_eq!(spellings.len(), 4_096);
        assert!(spellings.iter().all(|spelling| spelling.eq_ignore_ascii_case("site-000123.example.com")));
    }
}
