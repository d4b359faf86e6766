//! Several filters of one name in one Envoy: each listener is decided by its own configuration.

use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use egress_lab::client::Stream;
use egress_lab::client::http::Ask;
use egress_lab::envoy::Options;
use egress_lab::filter::{Filter, Wasm};
use egress_lab::gateway::Update;
use egress_lab::paths;
use egress_lab::shape::{Cluster, Kind, Listener, Shape, Site as To, TcpRoute};
use egress_tests::net::{self, Site, SiteStream, TCP, allow, with};
use egress_tests::rig::{HTTP, Rig, allow_all};
use egress_tests::{audit, suite, tests};
use serde_json::{Value, json};

const WHO: &str = "a/x";
const HOST: &str = "site.example.com";
const OPEN: &str = "open443";
/// The name of all filters.
const NAME: &str = "egress";

fn main() -> ExitCode {
    suite::run(
        start,
        tests![
            a_neighbours_configuration_admits_nothing,
            two_names_too_few_are_told_once,
            an_update_of_the_http_filter_closes_no_connection,
            the_wrong_type_in_a_dry_run_passes,
        ],
    )
}

struct Stage {
    rig: Rig,
    site: Site,
}

fn named(policy: &Value) -> Result<Wasm> {
    Ok(Wasm::new(paths::filter_wasm()?, policy).named(NAME))
}

fn start() -> Result<Stage> {
    let site = Site::listen()?;
    let filter = || named(&json!({})).map(Filter::Wasm);
    let mut shape = Shape::new(vec![Listener::named(HTTP, Kind::Mtls80, filter()?)]);
    for name in [TCP, OPEN] {
        let mut listener = net::listener(name, Kind::Mtls443)?;
        listener.filter = filter()?;
        shape.listeners.push(listener);
    }
    let cluster = "test-site".to_owned();
    shape.clusters =
        vec![Cluster { name: cluster.clone(), to: To::Port(site.port()), sni: None, address: None }];
    shape.tcp_routes = vec![TcpRoute { sni: vec![HOST.to_owned()], cluster }];
    let rig = Rig::of(shape, &[WHO], &Options { concurrency: 1, ..Options::default() })?;
    Ok(Stage { rig, site })
}

impl Stage {
    fn put(&mut self, listener: &str, policy: &Value) -> Result<()> {
        self.put_typed(listener, policy, true)
    }

    fn put_typed(&mut self, listener: &str, policy: &Value, set_type: bool) -> Result<()> {
        let mut wasm = named(policy)?;
        wasm.set_type = set_type;
        match self.rig.mesh_mut().gateway_mut().set_filter(listener, Filter::Wasm(wasm))? {
            Update::Applied => Ok(()),
            Update::Rejected(log) => bail!("the gateway refused {policy}:\n{log}"),
        }
    }

    /// A connection that has carried bytes in both directions.
    fn live(&self, listener: &str) -> Result<(Stream, SiteStream)> {
        self.site.forget();
        let mut client = self.rig.outer(WHO, listener, Some(HOST))?;
        client.send(b"ping")?;
        let mut end = self.site.accept()?;
        ensure!(end.hear(4)? == b"ping");
        end.say(b"pong")?;
        ensure!(client.receive_until(b"pong")? == b"pong");
        Ok((client, end))
    }
}

/// A connection waits at the strict listener while somebody connects to the open one.
fn a_neighbours_configuration_admits_nothing(stage: &mut Stage) -> Result<()> {
    stage.put(TCP, &allow(&["elsewhere.example"]))?;
    stage.put(OPEN, &allow_all())?;
    let hello = stage.rig.public(HOST)?.client_hello()?;
    let (first, rest) = hello.split_at(hello.len() / 2);
    for (what, before, after) in [("silent", &[][..], &hello[..]), ("half a hello", first, rest)] {
        let mut waiting = stage.rig.outer(WHO, TCP, Some(HOST))?;
        waiting.send(before)?;
        stage.rig.outer("barrier/barrier", TCP, None).map(drop)?;
        stage.live(OPEN)?;
        let refused = stage.rig.refused(waiting, |stream| stream.send(after))?;
        ensure!(refused.reason() == "no_allow_matched", "{what}: {}", refused.entry.verdict());
        ensure!(refused.reached == 0, "{what}: {} reached the site", refused.reached);
    }
    // And a live connection of the open listener goes on, whatever the strict one refuses meanwhile.
    let (mut client, mut end) = stage.live(OPEN)?;
    stage.rig.refused(stage.rig.outer(WHO, TCP, Some(HOST))?, |stream| stream.send(&hello))?;
    client.send(b"more")?;
    ensure!(end.hear(4)? == b"more");
    Ok(())
}

fn two_names_too_few_are_told_once(stage: &mut Stage) -> Result<()> {
    let log = stage.rig.envoy().log();
    let told = log.lines().filter(|line| line.contains("give each plugin a name of its own")).count();
    ensure!(told == 1, "told {told} times:\n{log}");
    Ok(())
}

/// Filters of two types know nothing of each other, whatever they are named.
fn an_update_of_the_http_filter_closes_no_connection(stage: &mut Stage) -> Result<()> {
    stage.put(TCP, &allow_all())?;
    stage.put(OPEN, &allow_all())?;
    stage.put(HTTP, &allow_all())?;
    let (mut client, mut end) = stage.live(TCP)?;
    stage.put(HTTP, &with(allow_all(), &json!({"reportAllowed": true})))?;
    ensure!(stage.rig.status(WHO, "http://www.example.com/")? == 200);
    client.send(b"more")?;
    ensure!(end.hear(4)? == b"more");
    Ok(())
}

/// People begin with `mode: DRY_RUN`, and find what is wrong in the log.
fn the_wrong_type_in_a_dry_run_passes(stage: &mut Stage) -> Result<()> {
    let log = audit::mark(stage.rig.envoy());
    stage.put_typed(OPEN, &json!({"type": "HTTP", "mode": "DRY_RUN"}), false)?;
    let mark = stage.rig.mark();
    let (client, end) = stage.live(OPEN)?;
    let port = client.local_addr().port();
    drop((client, end));
    let verdict = stage.rig.entry(mark, port)?.verdict();
    ensure!(verdict == "would_deny[wrong_type]", "{verdict}");
    stage.put_typed(HTTP, &json!({"type": "NETWORK", "mode": "DRY_RUN"}), false)?;
    let told = stage.rig.ask(WHO, &Ask::parse("GET http://www.example.com/wrong")?)?;
    ensure!(told.answer.status == 200, "{}", told.answer.status);
    ensure!(told.entry.verdict() == "would_deny[wrong_type]", "{}", told.entry.verdict());
    let said = audit::log_since(stage.rig.envoy(), log);
    ensure!(
        said.lines().filter(|line| line.contains("would refuse all traffic here (wrong_type)")).count() == 2,
        "{said}"
    );
    Ok(())
}
