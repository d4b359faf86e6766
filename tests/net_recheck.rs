//! Live connections when the configuration or the clock moves on, and the filter at a place that is not its own.

#![expect(clippy::indexing_slicing, reason = "a test may fail loudly, in its helpers too")]

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use egress_lab::client::Stream;
use egress_lab::envoy::Options;
use egress_lab::filter::{Filter, Wasm};
use egress_lab::gateway::Update;
use egress_lab::paths;
use egress_lab::shape::{Cluster, Kind, Shape, Site as To, TcpRoute};
use egress_tests::net::{self, Refused, Site, SiteStream, TCP, allow, deny, with};
use egress_tests::rig::{Rig, allow_all};
use egress_tests::{audit, suite, tests};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const WHO: &str = "a/x";
const HOST: &str = "site.example.com";
const OTHER: &str = "other443";
const PLACE: &str = "place443";

/// A gateway with two plugins, and a site that does as a test says.
struct Stage {
    rig: Rig,
    site: Site,
}

fn main() -> ExitCode {
    suite::run(
        start,
        tests![
            refused_by_a_new_configuration_it_closes_at_the_clients_next_bytes,
            and_at_the_sites_next_bytes,
            still_allowed_it_is_not_disturbed,
            another_plugins_configuration_does_not_concern_it,
            an_expiry_closes_it,
            unless_connections_are_not_checked_again,
            undecided_it_is_judged_by_the_newest,
            back_to_an_earlier_configuration,
            removed_and_added_again,
            a_rehearsal_closes_nothing,
            the_filter_of_the_wrong_type_lets_nothing_pass,
        ],
    )
}

fn start() -> Result<Stage> {
    let site = Site::listen()?;
    let mut shape = Shape::new(vec![
        net::listener(TCP, Kind::Mtls443)?,
        net::listener(OTHER, Kind::Mtls443)?,
        net::listener(PLACE, Kind::Mtls443)?,
    ]);
    let cluster = "test-site".to_owned();
    shape.clusters =
        vec![Cluster { name: cluster.clone(), to: To::Port(site.port()), sni: None, address: None }];
    shape.tcp_routes = vec![TcpRoute { sni: vec![HOST.to_owned()], cluster }];
    let rig = Rig::of(shape, &[], &Options { concurrency: 1, ..Options::default() })?;
    Ok(Stage { rig, site })
}

/// A live connection and its other end.
struct Live {
    client: Stream,
    end: SiteStream,
}

// === impl Stage ===

impl Stage {
    /// A connection that is admitted, and has carried bytes in both directions.
    fn live(&self) -> Result<Live> {
        self.site.forget();
        let mut client = self.rig.outer(WHO, TCP, Some(HOST))?;
        client.send(b"ping")?;
        let mut live = Live { end: self.site.accept()?, client };
        ensure!(live.end.hear(4)? == b"ping");
        live.end.say(b"pong")?;
        ensure!(live.client.receive_until(b"pong")? == b"pong");
        Ok(live)
    }

    /// What the client's next bytes come to, where that is an end.
    fn closed(&self, live: Live) -> Result<Refused> {
        let Live { client, mut end } = live;
        let refused = self.rig.refused(client, |stream| stream.send(b"more"))?;
        ensure!(end.hear_all()?.is_empty(), "the site heard bytes that were refused");
        Ok(refused)
    }

    /// Whether everybody else's policy is the same again: what other tests wait for.
    fn admit_everybody(&mut self) -> Result<()> {
        self.rig.policy_of(OTHER, &allow_all())?;
        self.rig.policy_of(TCP, &allow_all())
    }
}

// === impl Live ===

impl Live {
    fn goes_on(&mut self) -> Result<()> {
        self.client.send(b"ping")?;
        ensure!(self.end.hear(4)? == b"ping");
        self.end.say(b"pong")?;
        ensure!(self.client.receive_until(b"pong")? == b"pong");
        Ok(())
    }
}

const NO_HOST: &str = "recheck[ns[*]-policy[no]-rule[0]]";

fn refused_by_a_new_configuration_it_closes_at_the_clients_next_bytes(stage: &mut Stage) -> Result<()> {
    stage.admit_everybody()?;
    let mut live = stage.live()?;
    let log = audit::mark(stage.rig.envoy());
    stage.rig.policy_of(TCP, &deny(&[HOST]))?;
    ensure!(live.client.receive(Duration::from_millis(100))?.is_none(), "it is left alone until bytes come");
    let refused = stage.closed(live)?;
    ensure!(refused.reason() == NO_HOST, "{}", refused.entry.verdict());
    let line = audit::wait(stage.rig.envoy(), log, |line| line["reason"] == NO_HOST)?;
    ensure!(line["principal"] == "spiffe://cluster.local/ns/a/sa/x" && line["host"] == HOST, "{line}");
    Ok(())
}

fn and_at_the_sites_next_bytes(stage: &mut Stage) -> Result<()> {
    stage.admit_everybody()?;
    let Live { client, mut end } = stage.live()?;
    stage.rig.policy_of(TCP, &deny(&[HOST]))?;
    let refused = stage.rig.refused(client, |_| end.say(b"news"))?;
    ensure!(refused.reason() == NO_HOST, "{}", refused.entry.verdict());
    Ok(())
}

fn still_allowed_it_is_not_disturbed(stage: &mut Stage) -> Result<()> {
    const SIZE: usize = 10_000_000;
    const UPDATES: usize = 20;
    stage.admit_everybody()?;
    let Live { mut client, mut end } = stage.live()?;
    let sent: Vec<u8> = (0_u32..).flat_map(u32::to_le_bytes).take(SIZE).collect();
    let hearing = thread::spawn(move || end.hear_all().map(|heard| Sha256::digest(&heard)));
    let mut pieces = sent.chunks(SIZE / UPDATES);
    for update in 0..UPDATES {
        // Each is another configuration, so that none is skipped.
        stage.rig.policy_of(TCP, &with(allow(&[HOST, &format!("h{update}.example")]), &json!({})))?;
        client.send(pieces.next().context("as many pieces as updates")?)?;
    }
    client.finish()?;
    let heard = hearing.join().ok().context("the site panicked")??;
    ensure!(heard == Sha256::digest(&sent), "the site got other bytes");
    Ok(())
}

fn another_plugins_configuration_does_not_concern_it(stage: &mut Stage) -> Result<()> {
    stage.admit_everybody()?;
    let mut live = stage.live()?;
    stage.rig.policy_of(OTHER, &deny(&[HOST]))?;
    live.goes_on()?;
    stage.rig.policy_of(OTHER, &json!({}))?;
    live.goes_on()?;
    // The other plugin does refuse.
    let hello = stage.rig.public(HOST)?.client_hello()?;
    let refused =
        stage.rig.refused(stage.rig.outer(WHO, OTHER, Some(HOST))?, |stream| stream.send(&hello))?;
    ensure!(refused.reason() == "default_action", "{}", refused.entry.verdict());
    live.goes_on()
}

fn an_expiry_closes_it(stage: &mut Stage) -> Result<()> {
    stage.admit_everybody()?;
    let expires = OffsetDateTime::now_utc() + Duration::from_secs(2);
    let policy = json!({"policies": [{"name": "soon", "expires": expires.format(&Rfc3339)?, "rules": [{}]}]});
    stage.rig.policy_of(TCP, &policy)?;
    let mark = stage.rig.mark();
    let mut live = stage.live()?;
    live.goes_on()?;
    // Bytes keep coming until the instant has passed.
    let mut sent = 0;
    net::soon("the connection ends", || {
        sent += 1;
        Ok(live.goes_on().is_err())
    })?;
    ensure!(OffsetDateTime::now_utc() >= expires, "it ended before its time");
    let verdict = stage.rig.entry(mark, live.client.local_addr().port())?.verdict();
    ensure!(verdict == "deny[recheck[expired[ns[*]-policy[soon]-rule[0]]]]", "{verdict}");
    ensure!(sent > 1, "{sent}");
    Ok(())
}

fn unless_connections_are_not_checked_again(stage: &mut Stage) -> Result<()> {
    stage.admit_everybody()?;
    let mut live = stage.live()?;
    // What the newest configuration says about it counts.
    stage.rig.policy_of(TCP, &with(deny(&[HOST]), &json!({"recheckConnections": false})))?;
    live.goes_on()?;
    let hello = stage.rig.public(HOST)?.client_hello()?;
    let refused = stage.rig.refused(stage.rig.outer(WHO, TCP, Some(HOST))?, |stream| stream.send(&hello))?;
    ensure!(refused.reason() == "ns[*]-policy[no]-rule[0]", "{}", refused.entry.verdict());
    stage.rig.policy_of(TCP, &deny(&[HOST]))?;
    ensure!(stage.closed(live)?.reason() == NO_HOST);
    Ok(())
}

/// A connection that has said nothing, or half a hello, when the configuration changes.
fn undecided_it_is_judged_by_the_newest(stage: &mut Stage) -> Result<()> {
    stage.admit_everybody()?;
    let hello = stage.rig.public(HOST)?.client_hello()?;
    let (first, rest) = hello.split_at(hello.len() / 2);
    let silent = stage.rig.outer(WHO, TCP, Some(HOST))?;
    let mut half = stage.rig.outer(WHO, TCP, Some(HOST))?;
    half.send(first)?;
    stage.rig.caught_up()?;
    stage.rig.policy_of(TCP, &deny(&[HOST]))?;
    for (what, stream, bytes) in [("silent", silent, &hello[..]), ("half a hello", half, rest)] {
        let refused = stage.rig.refused(stream, |stream| stream.send(bytes))?;
        ensure!(refused.reason() == "ns[*]-policy[no]-rule[0]", "{what}: {}", refused.entry.verdict());
        ensure!(refused.reached == 0, "{what}");
    }
    Ok(())
}

/// Envoy does not configure a context again that still lives: a return to an earlier configuration is told by new traffic.
fn back_to_an_earlier_configuration(stage: &mut Stage) -> Result<()> {
    let open = allow_all();
    let closed = allow(&["elsewhere.example"]);
    stage.rig.policy_of(TCP, &closed)?;
    // Keeps a context of the closed configuration alive, undecided.
    let waiting = stage.rig.outer(WHO, TCP, Some(HOST))?;
    stage.rig.policy_of(TCP, &open)?;
    let live = stage.live()?;
    stage.rig.policy_of(TCP, &closed)?;
    stage.rig.caught_up()?;
    let refused = stage.closed(live)?;
    ensure!(refused.reason() == "recheck[no_allow_matched]", "{}", refused.entry.verdict());
    let refused = stage.rig.refused(waiting, |stream| stream.send(b"hello"))?;
    ensure!(refused.reason() == "no_allow_matched", "{}", refused.entry.verdict());
    // And the other way round: refused in between, and not asked meanwhile, it lives on.
    stage.rig.policy_of(TCP, &open)?;
    let mut live = stage.live()?;
    stage.rig.policy_of(TCP, &closed)?;
    stage.rig.policy_of(TCP, &open)?;
    stage.rig.caught_up()?;
    live.goes_on()
}

fn removed_and_added_again(stage: &mut Stage) -> Result<()> {
    stage.admit_everybody()?;
    let mut live = stage.live()?;
    let mut doomed = stage.live()?;
    let anybody = json!({"rules": {"action": "ALLOW", "policies": {"any": {"permissions": [{"any": true}], "principals": [{"any": true}]}}}});
    let gateway = stage.rig.mesh_mut().gateway_mut();
    ensure!(gateway.set_filter(TCP, Filter::NativeRbac(vec![anybody]))? == Update::Applied);
    live.goes_on()?;
    doomed.goes_on()?;
    stage.rig.policy_of(TCP, &with(allow_all(), &json!({"reportAllowed": true})))?;
    live.goes_on()?;
    stage.rig.policy_of(TCP, &deny(&[HOST]))?;
    let refused = stage.closed(doomed)?;
    ensure!(refused.reason() == NO_HOST, "{}", refused.entry.verdict());
    stage.rig.policy_of(TCP, &allow_all())?;
    live.goes_on()
}

fn a_rehearsal_closes_nothing(stage: &mut Stage) -> Result<()> {
    stage.admit_everybody()?;
    let mut live = stage.live()?;
    stage.rig.policy_of(TCP, &with(deny(&[HOST]), &json!({"mode": "DRY_RUN"})))?;
    live.goes_on()
}

fn place(stage: &mut Stage, policy: &Value, set_type: bool) -> Result<Update> {
    let mut wasm = Wasm::new(paths::filter_wasm()?, policy);
    wasm.set_type = set_type;
    stage.rig.mesh_mut().gateway_mut().set_filter(PLACE, Filter::Wasm(wasm))
}

fn the_filter_of_the_wrong_type_lets_nothing_pass(stage: &mut Stage) -> Result<()> {
    let everything = json!({"type": "HTTP", "defaultAction": "ALLOW", "unauthenticated": "EVALUATE", "policies": [{"name": "all", "rules": [{}]}]});
    place(stage, &allow_all(), true)?;
    stage.site.forget();
    let mut live = stage.rig.outer(WHO, PLACE, Some(HOST))?;
    live.send(b"ping")?;
    ensure!(stage.site.accept()?.hear(4)? == b"ping");

    let log = audit::mark(stage.rig.envoy());
    ensure!(place(stage, &everything, false)? == Update::Applied);
    let rig = &stage.rig;
    let hello = rig.public("www.example.com")?.client_hello()?;
    for (what, bytes) in [("a hello", &hello[..]), ("no TLS", b"GET / HTTP/1.1\r\n\r\n")] {
        let refused =
            rig.refused(rig.outer(WHO, PLACE, Some("www.example.com"))?, |stream| stream.send(bytes))?;
        ensure!(refused.reason() == "wrong_type", "{what}: {}", refused.entry.verdict());
        ensure!(refused.reached == 0, "{what}: {} reached the site", refused.reached);
    }
    let mail = rig.refused(rig.outer(WHO, PLACE, Some("www.example.com"))?, Stream::finish)?;
    ensure!(mail.reason() == "wrong_type", "{}", mail.entry.verdict());
    let refused = rig.refused(live, |stream| stream.send(b"more"))?;
    ensure!(refused.reason() == "recheck[wrong_type]", "{}", refused.entry.verdict());
    let said = audit::log_since(rig.envoy(), log);
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("(wrong_type)")).collect();
    // Once for each configuration that has connections, and not for each connection.
    ensure!((1..=2).contains(&lines.len()), "{said}");
    ensure!(lines.iter().all(|line| line.contains("write `type: NETWORK` in pluginConfig")), "{lines:?}");
    ensure!(rig.traps().is_empty(), "{:?}", rig.traps());
    Ok(())
}
