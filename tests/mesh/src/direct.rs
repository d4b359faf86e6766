//! A client that holds a workload's certificate itself and speaks to the gateway without a sidecar.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use egress_lab::certs::{Authority, Principal};
use egress_lab::client::http::{Answer, Ask};
use egress_lab::client::{Closed, Stream, Tls};
use egress_lab::filter::Protocol;
use egress_lab::scenario::{Gets, Request};
use egress_lab::shape::Kind;
use egress_lab::world::{BANNER, World};

/// How long a Finished is held back where nobody dials before it comes.
const HOLD_AT_MOST: Duration = Duration::from_millis(500);

/// Who has not spoken after so long is silent.
const SILENCE: Duration = Duration::from_millis(1000);

/// A header that tells a gateway of the tests who is asking, where no certificate does.
pub const PEER: &str = "x-lab-peer-principal";

/// What a client needs.
pub struct Direct<'m> {
    /// The mesh's authority: whoever asks has a certificate of it.
    pub mesh: &'m Authority,
    /// The sites' authority.
    pub public: &'m Authority,
    /// The external world.
    pub world: &'m World,
    /// The gateway's address for a listener.
    pub gateway: &'m (dyn Fn(Kind) -> SocketAddr + Sync),
}

/// What came: as a scenario says it, and the answer where there was one.
pub type Came = (Result<Gets, String>, Option<Answer>);

// === impl Direct ===

impl Direct<'_> {
    /// Sends a scenario's request; to be called on a thread in the pod's namespace.
    pub fn send(&self, request: &Request) -> Came {
        match self.attempt(request) {
            Ok(came) => came,
            Err(error) => match error.downcast_ref::<Closed>() {
                Some(Closed { received: 0 }) => (Ok(Gets::Closed), None),
                _ => (Err(format!("{error:#}")), None),
            },
        }
    }

    fn attempt(&self, request: &Request) -> Result<Came> {
        let mut ask = Ask::parse(&request.ask.replacen("LISTEN tcp://", "GET http://", 1))?;
        for (name, value) in &request.headers {
            ask = ask.header(name, value);
        }
        if request.over.kind.kind() == Kind::Ambient80 && request.who != "none" {
            ask = ask.header(PEER, &Principal::new(&request.who).to_string());
        }
        let stream = self.outer(request, ask.host())?;
        if request.ask.starts_with("LISTEN") {
            return listen(stream, request.gets);
        }
        let inner = request.over.protocol() == Protocol::Network && ask.scheme == "https";
        let stream = if inner {
            let name = request.inner_sni.as_deref().unwrap_or_else(|| ask.host());
            stream.tls(&Tls::public(self.public, name)?)?
        } else {
            stream
        };
        let answer = if request.http2 { stream.http2(&ask) } else { stream.http1(&ask) }?;
        Ok((Ok(Gets::Status(answer.status)), Some(answer)))
    }

    /// The connection up to the gateway, with the workload's own certificate.
    fn outer(&self, request: &Request, host: &str) -> Result<Stream> {
        let kind = request.over.kind.kind();
        if !matches!(kind, Kind::Mtls80 | Kind::Mtls443) {
            return Stream::connect((self.gateway)(kind));
        }
        let sni = request.sni.as_deref().unwrap_or(host);
        let identity = match request.who.as_str() {
            "none" => None,
            "nameless" => Some(self.mesh.workload(&Principal::Nobody)?),
            who => Some(self.mesh.workload(&Principal::new(who))?),
        };
        let alpn: &[&str] = match kind {
            Kind::Mtls80 if request.http2 => &["h2"],
            Kind::Mtls80 => &["http/1.1"],
            _ => &["istio"],
        };
        let tls = Tls::mesh(self.mesh, identity, Some(sni))?.with_alpn(alpn);
        let stream = Stream::connect((self.gateway)(kind))?;
        let opened = if request.hold_finished {
            stream.tls_held(&tls, self.greeted(), HOLD_AT_MOST)
        } else {
            stream.tls(&tls)
        };
        // What came while the handshake with the gateway was going on was not the site's.
        opened.map_err(|error| if error.is::<Closed>() { Closed { received: 0 }.into() } else { error })
    }

    /// Whether the site has greeted since now, a moment for its bytes to reach the gateway included.
    fn greeted(&self) -> impl Fn() -> bool + Send + 'static {
        let seen = self.world.watch();
        let before = seen().banner_connects;
        let since = OnceLock::new();
        move || {
            seen().banner_connects > before
                && since.get_or_init(Instant::now).elapsed() > Duration::from_millis(100)
        }
    }
}

fn listen(mut stream: Stream, gets: Gets) -> Result<Came> {
    if gets == Gets::Silence {
        return match stream.receive(SILENCE)? {
            None => Ok((Ok(Gets::Silence), None)),
            Some(bytes) => bail!("heard {:?}", String::from_utf8_lossy(&bytes)),
        };
    }
    let greeting = stream.receive_until(b"\n")?;
    if greeting != BANNER {
        bail!("heard {:?}", String::from_utf8_lossy(&greeting));
    }
    Ok((Ok(Gets::Greeting), None))
}
