//! What the tests of TCP and TLS share: connections up to a verdict, and sites that do as a test says.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use egress_lab::access_log::{Entry, Mark};
use egress_lab::client::http::{Answer, Ask};
use egress_lab::client::{Closed, Stream, Tls};
use egress_lab::filter::{Filter, Wasm};
use egress_lab::gateway::Update;
use egress_lab::paths;
use egress_lab::provision::EnvoyBinary;
use egress_lab::shape::{ConnectMode, Kind, Listener};
use serde_json::{Value, json};

use crate::rig::{self, Rig};

/// The listener that connections go to unless they say otherwise: mTLS 443, dialling after the handshake.
pub const TCP: &str = "mtls443";

/// Nothing on a loopback takes longer; a ClientHello has ten seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// How a connection ended that was refused.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The gateway's access log line.
    pub entry: Entry,
    /// By how much the external world's counters of requests, hellos and bytes grew.
    pub reached: u64,
    /// By how much its TCP connections grew.
    pub dialled: u64,
    /// How long it took from the first byte on.
    pub after: Duration,
}

// === impl Refused ===

impl Refused {
    /// The reason in the access log.
    #[must_use]
    pub fn reason(&self) -> String {
        reason(&self.entry)
    }
}

/// The reason of a denial in an access log line; empty where nothing was denied.
#[must_use]
pub fn reason(entry: &Entry) -> String {
    let state = entry.verdict();
    state.strip_prefix("deny[").and_then(|rest| rest.strip_suffix(']')).unwrap_or_default().to_owned()
}

/// A listener with the real filter, in the mode that fits any protocol where this Envoy has modes at all.
///
/// # Errors
/// When there is no filter or no Envoy.
pub fn listener(name: &str, kind: Kind) -> Result<Listener> {
    let listener = Listener::named(name, kind, rig::filter()?);
    if kind == Kind::Mtls443 && EnvoyBinary::find()?.has_connect_modes() {
        return Ok(listener.connecting(ConnectMode::OnDownstreamTlsHandshake));
    }
    Ok(listener)
}

/// A policy that lets everybody go to these hosts only.
#[must_use]
pub fn allow(hosts: &[&str]) -> Value {
    json!({"policies": [{"name": "some", "rules": [{"to": [{"operation": {"hosts": hosts}}]}]}]})
}

/// A policy that lets nobody go to these hosts, and everybody elsewhere.
#[must_use]
pub fn deny(hosts: &[&str]) -> Value {
    json!({"defaultAction": "ALLOW", "policies": [
        {"name": "no", "action": "DENY", "rules": [{"to": [{"operation": {"hosts": hosts}}]}]},
    ]})
}

/// A document with fields more.
#[must_use]
pub fn with(mut document: Value, fields: &Value) -> Value {
    if let (Some(all), Some(more)) = (document.as_object_mut(), fields.as_object()) {
        all.extend(more.clone());
    }
    document
}

// === impl Rig ===

impl Rig {
    /// A workload's mTLS connection to a listener, as its sidecar makes it.
    ///
    /// # Errors
    /// When the handshake fails.
    pub fn outer(&self, who: &str, listener: &str, server_name: Option<&str>) -> Result<Stream> {
        self.mesh().direct(listener, Some(self.mesh().identity(who)?), server_name, &["istio"])
    }

    /// What an application insists on that speaks TLS with a host of the external world.
    ///
    /// # Errors
    /// When the name is none.
    pub fn public(&self, host: &str) -> Result<Tls> {
        Tls::public(self.mesh().public(), host)
    }

    /// A workload's connection with the application's own TLS inside.
    ///
    /// # Errors
    /// [`Closed`] where it is refused.
    pub fn application(&self, who: &str, host: &str) -> Result<Stream> {
        self.outer(who, TCP, Some(host))?.tls(&self.public(host)?)
    }

    /// What the application gets over HTTPS.
    ///
    /// # Errors
    /// [`Closed`] where it is refused.
    pub fn https(&self, who: &str, host: &str) -> Result<Answer> {
        self.application(who, host)?.http1(&Ask::parse(&format!("GET https://{host}/"))?)
    }

    /// Has a connection send something, and waits until the gateway closes it, which it must do without a byte.
    ///
    /// # Errors
    /// When it does not, or says something, or writes no access log line.
    pub fn refused(
        &self,
        mut stream: Stream,
        send: impl FnOnce(&mut Stream) -> Result<()>,
    ) -> Result<Refused> {
        let (mark, port) = (self.mark(), stream.local_addr().port());
        let before = self.mesh().world().seen();
        let start = Instant::now();
        if let Err(error) = send(&mut stream)
            && !error.is::<Closed>()
        {
            return Err(error.context("sending"));
        }
        heard_nothing(&mut stream)?;
        let after = start.elapsed();
        let entry = self.entry(mark, port)?;
        let seen = self.mesh().world().seen();
        Ok(Refused {
            entry,
            reached: seen.reached() - before.reached(),
            dialled: seen.connects() - before.connects(),
            after,
        })
    }

    /// The reason for which the application's TLS with a host is refused.
    ///
    /// # Errors
    /// As [`Rig::refused`].
    pub fn refused_hello(&self, who: &str, host: &str) -> Result<Refused> {
        let hello = self.public(host)?.client_hello()?;
        self.refused(self.outer(who, TCP, Some(host))?, |stream| stream.send(&hello))
    }

    /// The access log line of a client's port after a mark, once the connection has ended.
    ///
    /// # Errors
    /// When none comes.
    pub fn entry(&self, mark: Mark, port: u16) -> Result<Entry> {
        let port = port.to_string();
        let log = self.mesh().gateway().access_log();
        log.wait(mark, |entry| entry.text("downstream_remote_port") == port)
    }

    /// Waits until the gateway, which has one worker, has seen whatever was sent to it before.
    ///
    /// # Errors
    /// When a handshake that comes after it fails.
    pub fn caught_up(&self) -> Result<()> {
        self.outer("barrier/barrier", TCP, None).map(drop)
    }

    /// Puts a policy in force on one listener only. The next [`Rig::policy`] must be another than the last.
    ///
    /// # Errors
    /// When the filter refuses it.
    pub fn policy_of(&mut self, listener: &str, policy: &Value) -> Result<()> {
        let filter = Filter::Wasm(Wasm::new(paths::filter_wasm()?, policy));
        match self.mesh_mut().gateway_mut().set_filter(listener, filter)? {
            Update::Applied => Ok(()),
            Update::Rejected(log) => bail!("the gateway refused {policy}:\n{log}"),
        }
    }

    /// The present end of the access log.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.mesh().gateway().access_log().mark()
    }
}

/// Waits until the other side closes a connection.
///
/// # Errors
/// When it says something before or does not close.
pub fn heard_nothing(stream: &mut Stream) -> Result<()> {
    match stream.receive(PATIENCE) {
        Ok(None) => bail!("the connection is open after {PATIENCE:?}"),
        Ok(Some(bytes)) => bail!("heard {} bytes: {:?}", bytes.len(), String::from_utf8_lossy(&bytes)),
        Err(error) if error.is::<Closed>() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Waits until something is so.
///
/// # Errors
/// When it does not come to be.
pub fn soon(what: &str, is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    within(Duration::from_secs(5), what, is_so)
}

/// Waits until something is so, for so long.
///
/// # Errors
/// When it does not come to be.
pub fn within(patience: Duration, what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + patience;
    while !is_so()? {
        if Instant::now() > deadline {
            bail!("not within {patience:?}: {what}");
        }
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// A TCP server of the test's own.
pub struct Site {
    listener: TcpListener,
    port: u16,
}

// === impl Site ===

impl Site {
    /// Listens on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub fn listen() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// The port, for [`egress_lab::shape::Site::Port`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Forgets connections that nobody has accepted; their number.
    pub fn forget(&self) -> usize {
        std::iter::from_fn(|| self.listener.accept().ok()).count()
    }

    /// The gateway's next connection.
    ///
    /// # Errors
    /// When none comes.
    pub fn accept(&self) -> Result<SiteStream> {
        let mut stream = None;
        soon("the gateway connects to the site", || match self.listener.accept() {
            Ok((accepted, _)) => {
                stream = Some(accepted);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        })?;
        let stream = stream.context("no connection")?;
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(SiteStream(stream))
    }
}

/// The site's end of a connection.
pub struct SiteStream(TcpStream);

// === impl SiteStream ===

impl SiteStream {
    /// Says something.
    ///
    /// # Errors
    /// When nobody is there.
    pub fn say(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.0.write_all(bytes)?)
    }

    /// Ends this direction.
    ///
    /// # Errors
    /// When nobody is there.
    pub fn finish(&self) -> Result<()> {
        Ok(self.0.shutdown(std::net::Shutdown::Write)?)
    }

    /// Everything until the client's end.
    ///
    /// # Errors
    /// When it does not come.
    pub fn hear_all(&mut self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        match self.0.read_to_end(&mut all) {
            Ok(_) => Ok(all),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(all),
            Err(error) => Err(error).with_context(|| format!("after {} bytes", all.len())),
        }
    }

    /// Exactly so many bytes.
    ///
    /// # Errors
    /// When fewer come.
    pub fn hear(&mut self, bytes: usize) -> Result<Vec<u8>> {
        let mut heard = vec![0; bytes];
        self.0.read_exact(&mut heard)?;
        Ok(heard)
    }
}

/// A ClientHello from its parts, for what no library sends. Not for a handshake.
#[must_use]
pub fn client_hello(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let length = |bytes: usize| u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes();
    let mut list = Vec::new();
    for (kind, body) in extensions {
        list.extend(kind.to_be_bytes());
        list.extend(length(body.len()));
        list.extend(body);
    }
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    body.extend(length(list.len()));
    body.extend(list);
    let size = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[1], size.get(1..).unwrap_or_default(), &body].concat()
}

/// The server_name extension.
#[must_use]
pub fn server_name(name: &[u8]) -> (u16, Vec<u8>) {
    let length = |bytes: usize| u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes();
    (0, [&length(name.len() + 3)[..], &[0], &length(name.len()), name].concat())
}

/// A handshake message in records of at most so many bytes.
#[must_use]
pub fn records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |piece: &[u8]| {
        let length = u16::try_from(piece.len()).unwrap_or(u16::MAX).to_be_bytes();
        [&[22, 3, 1], &length[..], piece].concat()
    };
    message.chunks(size).flat_map(record).collect()
}
