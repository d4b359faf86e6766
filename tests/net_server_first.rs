//! Servers that speak first, and the dial: ours beside Istio's own filter in the same Envoy, in every mode of the tcp_proxy.

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use egress_lab::client::{Closed, Stream, Tls};
use egress_lab::envoy::Options;
use egress_lab::filter::Filter;
use egress_lab::provision::EnvoyBinary;
use egress_lab::shape::{ConnectMode, Kind, Listener, Shape, TcpRoute};
use egress_lab::world::BANNER;
use egress_tests::applies::{LATE_DIAL, from_line};
use egress_tests::net;
use egress_tests::rig::{self, Rig};
use egress_tests::{suite, tests};
use serde_json::{Value, json};

const MAIL: &str = "smtp.example.com";
const REFUSED: &str = "b/y";
const ADMITTED: &str = "a/x";
/// How long a client holds back its Finished where nobody greets it.
const HOLD: Duration = Duration::from_millis(250);
/// How long the site's silence is listened to; a greeting that comes takes a few milliseconds.
const SILENCE: Duration = Duration::from_millis(400);

fn main() -> ExitCode {
    suite::run(
        start,
        tests![
            the_greeting_comes_before_the_identity,
            races_that_nobody_arranges,
            the_allowed_hear_it_where_the_dial_waits,
            no_dial_before_the_verdict,
            a_rehearsal_lets_the_greeting_pass,
        ],
    )
}

/// Ours and native in each mode that this Envoy has.
fn start() -> Result<Rig> {
    from_line(LATE_DIAL, "each test in the modes of late dialling")?;
    let mut listeners = Vec::new();
    for mode in modes()? {
        let native = json!({"rules": {"action": "ALLOW", "policies": {"a": {
            "permissions": [{"any": true}],
            "principals": [{"authenticated": {"principal_name": {"prefix": "spiffe://cluster.local/ns/a/"}}}],
        }}}});
        for (who, filter) in [("ours", rig::filter()?), ("native", Filter::NativeRbac(vec![native]))] {
            listeners.push(Listener::named(&name(who, mode), Kind::Mtls443, filter).connecting(mode));
        }
    }
    let mut shape = Shape::new(listeners);
    shape.tcp_routes = vec![TcpRoute { sni: vec![MAIL.to_owned()], cluster: "world-banner".to_owned() }];
    let mut rig = Rig::of(shape, &[], &Options::default())?;
    rig.policy(policy())?;
    Ok(rig)
}

fn modes() -> Result<Vec<ConnectMode>> {
    let all = [ConnectMode::Immediate, ConnectMode::OnDownstreamTlsHandshake, ConnectMode::OnDownstreamData];
    Ok(if EnvoyBinary::find()?.has_connect_modes() { all.to_vec() } else { vec![ConnectMode::Immediate] })
}

fn name(who: &str, mode: ConnectMode) -> String {
    format!("{who}-{mode:?}")
}

fn policy() -> Value {
    json!({"policies": [{"name": "own", "rules": [{"from": [{"source": {"namespaces": ["a"]}}]}]}]})
}

/// What a client hears, and how often its site was dialled.
struct Heard {
    greeting: bool,
    dialled: u64,
    /// The filter state in the access log; none for a connection that stayed open without a word.
    verdict: Option<String>,
}

fn is(heard: &Heard, verdict: &str) -> bool {
    heard.verdict.as_deref() == Some(verdict)
}

/// A client that holds back its Finished until the site has greeted the gateway, so that the race is lost on purpose.
fn listen(rig: &Rig, who: &str, listener: &str) -> Result<Heard> {
    let seen = rig.mesh().world().watch();
    let before = seen().banner_connects;
    let greeted = OnceLock::new();
    let until = move || {
        // The greeting is in the gateway's socket buffer when the connection is counted, or some instants later.
        seen().banner_connects > before
            && greeted.get_or_init(Instant::now).elapsed() > Duration::from_millis(60)
    };
    let tls = Tls::mesh(rig.mesh().authority(), Some(rig.mesh().identity(who)?), Some(MAIL))?;
    hear(rig, listener, |stream| stream.tls_held(&tls.with_alpn(&["istio"]), until, HOLD))
}

fn hear(rig: &Rig, listener: &str, tls: impl FnOnce(Stream) -> Result<Stream>) -> Result<Heard> {
    let (mark, before) = (rig.mark(), rig.mesh().world().seen());
    let stream = Stream::connect(rig.mesh().gateway().address(listener)?)?;
    let port = stream.local_addr().port();
    let greeting = match tls(stream) {
        // Closed while the handshake went on: what came then was the gateway's half of it, not the site's.
        Err(error) if error.is::<Closed>() => Some(false),
        Err(error) => return Err(error),
        Ok(mut stream) => match stream.receive(SILENCE) {
            Ok(None) => None,
            Ok(Some(bytes)) => {
                ensure!(bytes == BANNER, "heard {:?}", String::from_utf8_lossy(&bytes));
                Some(true)
            }
            Err(error) if error.is::<Closed>() => Some(false),
            Err(error) => return Err(error),
        },
    };
    // An idle connection ends when Envoy pleases, and says nothing before.
    let verdict = match greeting {
        None => None,
        Some(_) => Some(rig.entry(mark, port).context(listener.to_owned())?.verdict()),
    };
    let dialled = rig.mesh().world().seen().banner_connects - before.banner_connects;
    Ok(Heard { greeting: greeting == Some(true), dialled, verdict })
}

fn the_greeting_comes_before_the_identity(rig: &mut Rig) -> Result<()> {
    for mode in modes()? {
        let ours = listen(rig, REFUSED, &name("ours", mode))?;
        let native = listen(rig, REFUSED, &name("native", mode))?;
        println!(
            "{mode:?}: native greets {} and dials {}; ours greets {}, dials {}, {:?}",
            native.greeting, native.dialled, ours.greeting, ours.dialled, ours.verdict
        );
        ensure!(!ours.greeting, "{mode:?}: a refused client heard the site");
        match mode {
            ConnectMode::Immediate => {
                ensure!(native.greeting, "native RBAC has leaked the greeting here before");
                ensure!(is(&ours, "deny[identity_pending]"), "{:?}", ours.verdict);
            }
            ConnectMode::OnDownstreamTlsHandshake => {
                // The identity is there in time, and native still decides on the client's bytes only.
                ensure!(native.greeting, "native RBAC has leaked the greeting here before");
                ensure!(is(&ours, "deny[no_allow_matched]"), "{:?}", ours.verdict);
            }
            ConnectMode::OnDownstreamData => {
                ensure!(!native.greeting && native.dialled == 0 && ours.dialled == 0);
            }
        }
    }
    Ok(())
}

fn races_that_nobody_arranges(rig: &mut Rig) -> Result<()> {
    let mut leaks = 0;
    for round in 0..15 {
        for mode in modes()? {
            if mode == ConnectMode::OnDownstreamData {
                continue;
            }
            let tls = Tls::mesh(rig.mesh().authority(), Some(rig.mesh().identity(REFUSED)?), Some(MAIL))?;
            let tls = tls.with_alpn(&["istio"]);
            let ours = hear(rig, &name("ours", mode), |stream| stream.tls(&tls))?;
            ensure!(!ours.greeting, "round {round}, {mode:?}: a refused client heard the site");
            let known = is(&ours, "deny[identity_pending]") || is(&ours, "deny[no_allow_matched]");
            ensure!(known, "{:?}", ours.verdict);
            if round < 3 {
                leaks += u32::from(hear(rig, &name("native", mode), |stream| stream.tls(&tls))?.greeting);
            }
        }
    }
    println!("native leaked {leaks} greetings in the same races");
    ensure!(leaks > 0, "the races are none: not even native leaks");
    Ok(())
}

fn the_allowed_hear_it_where_the_dial_waits(rig: &mut Rig) -> Result<()> {
    for mode in modes()? {
        let heard = listen(rig, ADMITTED, &name("ours", mode))?;
        match mode {
            ConnectMode::OnDownstreamTlsHandshake => {
                ensure!(heard.greeting && heard.dialled == 1, "an allowed client heard nothing");
            }
            // Without the wait the identity is not there; whom nobody dials nobody hears.
            ConnectMode::Immediate => {
                ensure!(!heard.greeting && is(&heard, "deny[identity_pending]"), "{:?}", heard.verdict);
            }
            ConnectMode::OnDownstreamData => ensure!(!heard.greeting && heard.dialled == 0),
        }
    }
    Ok(())
}

fn no_dial_before_the_verdict(rig: &mut Rig) -> Result<()> {
    for mode in modes()? {
        for (filter, who) in [("ours", REFUSED), ("ours", ADMITTED), ("native", REFUSED)] {
            let listener = name(filter, mode);
            let hello = rig.public("www.example.com")?.client_hello()?;
            let stream = rig.outer(who, &listener, Some("www.example.com"))?;
            let before = rig.mesh().world().seen();
            if who == ADMITTED {
                let mut stream = stream;
                stream.send(&hello)?;
                net::soon("the hello reaches the site", || {
                    Ok(rig.mesh().world().seen().hellos.get("www.example.com")
                        > before.hellos.get("www.example.com"))
                })?;
                continue;
            }
            let refused = rig.refused(stream, |stream| stream.send(&hello))?;
            ensure!(refused.reached == 0, "{listener}: {} reached the site", refused.reached);
            let waits = mode == ConnectMode::OnDownstreamData;
            if filter == "ours" && waits {
                ensure!(refused.dialled == 0, "{listener}: dialled {}", refused.dialled);
                ensure!(refused.reason() == "no_allow_matched", "{}", refused.entry.verdict());
            }
        }
    }
    // The whole connection, the handshake included: in its usual mode native dials and then refuses.
    let dials = |rig: &Rig, listener: &str| -> Result<u64> {
        let before = rig.mesh().world().seen().tls_connects;
        let hello = rig.public("www.example.com")?.client_hello()?;
        rig.refused(rig.outer(REFUSED, listener, Some("www.example.com"))?, |stream| stream.send(&hello))?;
        Ok(rig.mesh().world().seen().tls_connects - before)
    };
    ensure!(dials(rig, &name("native", ConnectMode::Immediate))? == 1);
    if modes()?.contains(&ConnectMode::OnDownstreamData) {
        for _ in 0..10 {
            ensure!(dials(rig, &name("ours", ConnectMode::OnDownstreamData))? == 0);
        }
    }
    Ok(())
}

/// Under `mode: DRY_RUN` everything passes, and is reported.
fn a_rehearsal_lets_the_greeting_pass(rig: &mut Rig) -> Result<()> {
    rig.policy(net::with(policy(), &json!({"mode": "DRY_RUN"})))?;
    let early = listen(rig, REFUSED, &name("ours", ConnectMode::Immediate))?;
    ensure!(early.greeting && is(&early, "would_deny[identity_pending]"), "{:?}", early.verdict);
    if modes()?.len() > 1 {
        let late = listen(rig, REFUSED, &name("ours", ConnectMode::OnDownstreamTlsHandshake))?;
        ensure!(late.greeting && is(&late, "would_deny[no_allow_matched]"), "{:?}", late.verdict);
    }
    Ok(())
}
