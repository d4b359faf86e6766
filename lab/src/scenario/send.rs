//! Sends a scenario's request the way it says, and tells what came back.

use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::{Gets, Request};
use crate::certs::{Identity, Principal};
use crate::client::http::{Answer, Ask};
use crate::client::{Closed, Stream, Tls};
use crate::filter::Protocol;
use crate::mesh::Mesh;
use crate::shape::Kind;
use crate::token::Issuer;
use crate::world::BANNER;

/// What came back.
pub(super) struct Got {
    pub(super) what: Result<Gets, String>,
    pub(super) answer: Option<Answer>,
}

pub(super) fn send(mesh: &Mesh, issuer: Option<&Issuer>, request: &Request) -> Got {
    match attempt(mesh, issuer, request) {
        Ok(Came::Answer(answer)) => Got { what: Ok(Gets::Status(answer.status)), answer: Some(*answer) },
        Ok(Came::Greeting) => Got { what: Ok(Gets::Greeting), answer: None },
        Ok(Came::Nothing) => Got { what: Ok(Gets::Silence), answer: None },
        Err(error) => match error.downcast_ref::<Closed>() {
            Some(Closed { received: 0 }) => Got { what: Ok(Gets::Closed), answer: None },
            _ => Got { what: Err(format!("{error:#}")), answer: None },
        },
    }
}

enum Came {
    Answer(Box<Answer>),
    Greeting,
    Nothing,
}

fn attempt(mesh: &Mesh, issuer: Option<&Issuer>, request: &Request) -> Result<Came> {
    let listen = request.ask.strip_prefix("LISTEN tcp://");
    let ask = Ask::parse(&request.ask)?;
    let mut ask = request.headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
    if request.over.kind.kind() == Kind::Ambient80 && request.who != "none" {
        ask = ask.header("x-lab-peer-principal", &Principal::new(&request.who).to_string());
    }
    if let Some(claims) = &request.claims {
        let issuer = issuer.context("a request with claims needs the gateway's `token_issuer`")?;
        ask = ask.header("authorization", &format!("Bearer {}", issuer.mint(claims)?));
    }
    if let Some(host) = listen {
        let mut stream = outer(mesh, request, host)?;
        if request.gets == Gets::Silence {
            return match stream.receive(SILENCE)? {
                None => Ok(Came::Nothing),
                Some(bytes) => bail!("heard {:?}", String::from_utf8_lossy(&bytes)),
            };
        }
        let greeting = stream.receive_until(b"\n")?;
        if greeting != BANNER {
            bail!("heard {:?}", String::from_utf8_lossy(&greeting));
        }
        return Ok(Came::Greeting);
    }
    let connected = connects(mesh);
    let stream = outer(mesh, request, ask.host())?;
    if request.when_connected {
        wait_for(connected)?;
    }
    let stream = match (request.over.protocol(), ask.scheme.as_str()) {
        (Protocol::Http, _) | (Protocol::Network, "http") => stream,
        (Protocol::Network, _) => {
            let name = request.inner_sni.as_deref().unwrap_or_else(|| ask.host());
            stream.tls(&Tls::public(mesh.public(), name)?)?
        }
    };
    if request.http2 { stream.http2(&ask) } else { stream.http1(&ask) }
        .map(|answer| Came::Answer(Box::new(answer)))
}

/// The connection up to the gateway, its own TLS included.
fn outer(mesh: &Mesh, request: &Request, host: &str) -> Result<Stream> {
    let listener = request.over.name.as_str();
    let kind = request.over.kind.kind();
    if request.through_sidecar() {
        let sidecars = mesh.sidecars()?;
        let address = match kind.protocol() {
            Protocol::Http => sidecars.http(&request.who)?,
            Protocol::Network => sidecars.tcp(&request.who, listener)?,
        };
        return Stream::connect(address);
    }
    match kind {
        Kind::Mtls80 | Kind::Mtls443 => {
            let sni = request.sni.as_deref().unwrap_or(host);
            let alpn: &[&str] = match kind {
                Kind::Mtls80 if request.http2 => &["h2"],
                Kind::Mtls80 => &["http/1.1"],
                _ => &["istio"],
            };
            if request.hold_finished {
                let tls =
                    Tls::mesh(mesh.authority(), identity(mesh, &request.who)?, Some(sni))?.with_alpn(alpn);
                let stream = Stream::connect(mesh.gateway().address(listener)?)?;
                return stream.tls_held(&tls, greeted(mesh), HOLD_AT_MOST).map_err(before_the_site);
            }
            mesh.direct(listener, identity(mesh, &request.who)?, Some(sni), alpn).map_err(before_the_site)
        }
        Kind::Pass444 | Kind::Ambient80 | Kind::Ambient443 => {
            Stream::connect(mesh.gateway().address(listener)?)
        }
    }
}

/// What came while the handshake with the gateway was going on was not the site's.
fn before_the_site(error: anyhow::Error) -> anyhow::Error {
    if error.is::<Closed>() { Closed { received: 0 }.into() } else { error }
}

/// How long a gateway may take to connect to a site on loopback.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who has not spoken after so long on a loopback is silent.
const SILENCE: Duration = Duration::from_millis(700);

/// How long a Finished is held back where nobody dials before it comes.
const HOLD_AT_MOST: Duration = Duration::from_millis(300);

/// Whether the world has been connected since now, a moment for what it answers to a CONNECT to reach the gateway included.
fn connects(mesh: &Mesh) -> impl Fn() -> bool + Send + 'static {
    let seen = mesh.world().watch();
    let before = seen().connects();
    let since = OnceLock::new();
    move || {
        seen().connects() > before && since.get_or_init(Instant::now).elapsed() > Duration::from_millis(50)
    }
}

fn wait_for(condition: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        if Instant::now() > deadline {
            bail!("the gateway is not connected to the site after {PATIENCE:?}");
        }
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Whether the site has greeted since now, a moment for its bytes to reach the gateway included.
fn greeted(mesh: &Mesh) -> impl Fn() -> bool + Send + 'static {
    let seen = mesh.world().watch();
    let before = seen().banner_connects;
    let since = OnceLock::new();
    move || {
        seen().banner_connects > before
            && since.get_or_init(Instant::now).elapsed() > Duration::from_millis(100)
    }
}

fn identity(mesh: &Mesh, who: &str) -> Result<Option<Identity>> {
    match who {
        "none" => Ok(None),
        "nameless" => mesh.authority().workload(&Principal::Nobody).map(Some),
        who => mesh.identity(who).map(Some).with_context(|| format!("a certificate for {who}")),
    }
}
