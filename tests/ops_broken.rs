//! What happens when something is broken: what the client sees, what the log says, what recovers. docs/failure-modes.md tells it.
//!
//! In all of it, no request that policy refuses may reach a site.

#![expect(clippy::indexing_slicing, reason = "a JSON value that is not there is null")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use egress_lab::certs::{Identity, Leaf};
use egress_lab::client::http::Ask;
use egress_lab::envoy::Options;
use egress_lab::filter::{FailurePolicy, Filter, Wasm};
use egress_lab::gateway::Update;
use egress_lab::mesh::Mesh;
use egress_lab::paths;
use egress_lab::provision::EnvoyBinary;
use egress_lab::shape::{Cluster, HttpRoute, Kind, Listener, Shape, Site};
use egress_tests::audit;
use egress_tests::clock::from_now;
use egress_tests::keepalive::KeepAlive;
use egress_tests::rig::{HTTP, Rig, filter};
use egress_tests::{raw, suite, tests};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let tests = tests![
        a_trap_under_fail_reload_refuses_until_the_vm_is_back,
        a_trap_under_fail_close_refuses_until_the_next_update,
        a_trap_of_the_tcp_filter_closes,
        a_bad_configuration_at_the_start_refuses_everything,
        a_missing_wasm_refuses_everything,
        certificates_that_are_not_as_they_should_be,
        a_site_that_is_down_is_no_refusal,
        a_policy_expires_under_load,
        headers_at_the_limits_of_envoy,
    ];
    // Most of it is waiting, for a VM to come back or a policy to expire.
    suite::run_on(4, start, tests)
}

/// A gateway with the usual filter; tests that break it have one of their own.
fn start() -> Result<Rig> {
    let mut shape = Shape::new(vec![Listener::new(Kind::Mtls80, filter()?)]);
    shape.clusters.push(Cluster {
        name: "down".to_owned(),
        to: Site::Port(closed_port()?),
        sni: None,
        address: None,
    });
    shape.http_routes.push(HttpRoute {
        hosts: vec!["down.example.com".to_owned()],
        cluster: "down".to_owned(),
        rewrite: None,
    });
    Rig::of(shape, &["a/x", "b/y"], &Options::default())
}

/// A port of the loopback on which nobody listens.
fn closed_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// `a` may go to example.com, and nobody else anywhere.
fn only_a() -> Value {
    json!({"policies": [{"name": "own", "namespace": "a", "rules": [{"to": [{"operation": {"hosts": ["*.example.com"]}}]}]}]})
}

/// The filter, built so that it dies on demand.
fn trapping() -> Result<PathBuf> {
    static BUILT: LazyLock<Result<PathBuf, String>> =
        LazyLock::new(|| build_trapping().map_err(|error| format!("{error:#}")));
    BUILT.clone().map_err(anyhow::Error::msg)
}

fn build_trapping() -> Result<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trap");
    let built = Command::new(env!("CARGO"))
        .current_dir(paths::repo_dir()?)
        .args(["build", "--quiet", "--target", "wasm32-wasip1", "--package", "egress-authz"])
        .args(["--features", "trap-on-demand", "--target-dir"])
        .arg(&target)
        .output()?;
    ensure!(built.status.success(), "building: {}", String::from_utf8_lossy(&built.stderr));
    Ok(target.join("wasm32-wasip1/debug/egress_authz.wasm"))
}

fn trapping_rig(failure_policy: FailurePolicy, kind: Kind) -> Result<Rig> {
    let mut wasm = Wasm::new(trapping()?, &only_a());
    wasm.failure_policy = failure_policy;
    let mut listeners = vec![Listener::new(kind, Filter::Wasm(wasm))];
    if kind != Kind::Mtls80 {
        listeners.push(Listener::new(Kind::Mtls80, Filter::None));
    }
    Rig::of(Shape::new(listeners), &["a/x", "b/y"], &Options::default())
}

fn get(rig: &Rig, who: &str) -> Result<u16> {
    Ok(rig.mesh().http(who, &Ask::parse("GET http://www.example.com/")?)?.status)
}

/// Kills the VM, by a request of somebody's own.
fn kill(rig: &Rig, who: &str) -> Result<u16> {
    Ok(rig.mesh().http(who, &Ask::parse("GET http://www.example.com/")?.header("x-lab-trap", "1"))?.status)
}

fn reached(rig: &Rig) -> u64 {
    rig.mesh().world().seen().reached()
}

fn a_trap_under_fail_close_refuses_until_the_next_update(_: &mut Rig) -> Result<()> {
    let mut rig = trapping_rig(FailurePolicy::FailClosed, Kind::Mtls80)?;
    ensure!(get(&rig, "a/x")? == 200 && get(&rig, "b/y")? == 403);
    let before = reached(&rig);
    // The request that kills the VM is answered by Envoy.
    ensure!(kill(&rig, "b/y")? == 503);
    let log = rig.envoy().log();
    ensure!(log.contains("Function: proxy_on_request_headers failed"), "{log}");
    // Nobody gets through any more, whether policy would admit them or not, and time heals nothing.
    for _ in 0..3 {
        ensure!(get(&rig, "a/x")? == 503 && get(&rig, "b/y")? == 503);
        sleep(Duration::from_millis(700));
    }
    ensure!(reached(&rig) == before, "something reached a site");
    // A new configuration brings a new VM.
    let mut policy = only_a();
    policy["reportAllowed"] = json!(true);
    rig.policy(policy)?;
    let healed = (get(&rig, "a/x")?, get(&rig, "b/y")?);
    ensure!(healed == (200, 403), "{healed:?}");
    Ok(())
}

fn a_trap_under_fail_reload_refuses_until_the_vm_is_back(_: &mut Rig) -> Result<()> {
    let rig = trapping_rig(FailurePolicy::FailReload, Kind::Mtls80)?;
    for round in 0..2 {
        ensure!(get(&rig, "a/x")? == 200 && get(&rig, "b/y")? == 403, "round {round}");
        let before = reached(&rig);
        ensure!(kill(&rig, "b/y")? == 503);
        // The next requests start it again, at most once in a second: until then they are refused.
        let killed = Instant::now();
        while get(&rig, "a/x")? != 200 {
            ensure!(get(&rig, "b/y")? != 200, "refused by policy, admitted by a dead VM");
            ensure!(killed.elapsed() < Duration::from_secs(10), "it does not come back");
            sleep(Duration::from_millis(50));
        }
        println!("FAIL_RELOAD: back after {:.1} s", killed.elapsed().as_secs_f32());
        ensure!(reached(&rig) == before + 1);
        ensure!(get(&rig, "b/y")? == 403);
        sleep(Duration::from_millis(1_200));
    }
    let reloads = rig.envoy().stats("vm_reload")?;
    println!("{reloads:?}");
    let successes: u64 = reloads
        .iter()
        .filter(|(name, _)| name.ends_with("vm_reload_success"))
        .filter_map(|(_, value)| value.parse::<u64>().ok())
        .sum();
    ensure!(successes >= 2, "{reloads:?}");
    Ok(())
}

fn a_trap_of_the_tcp_filter_closes(_: &mut Rig) -> Result<()> {
    let rig = trapping_rig(FailurePolicy::FailClosed, Kind::Mtls443)?;
    let connect = || {
        rig.mesh().direct("mtls443", Some(rig.mesh().identity("a/x")?), Some("www.example.com"), &["istio"])
    };
    let mut stream = connect()?;
    // The gateway may close before the client has sent all.
    let _ = stream.send(b"TRAP");
    ensure!(stream.receive_all()?.is_empty());
    let before = reached(&rig);
    // What policy would admit is closed as well, as soon as it is there.
    if let Ok(mut stream) = connect() {
        let _ = stream.send(b"anything");
        ensure!(stream.receive_all()?.is_empty());
    }
    ensure!(reached(&rig) == before);
    ensure!(rig.envoy().log().contains("Function: proxy_on_downstream_data failed"), "{}", rig.envoy().log());
    Ok(())
}

/// A gateway whose filter cannot start: its listener listens and Envoy refuses everything, until the configuration is repaired.
fn refuses_until_repaired(wasm: Wasm, said: &str) -> Result<()> {
    let shape = Shape::new(vec![Listener::new(Kind::Mtls80, Filter::Wasm(wasm))]);
    let mut mesh = Mesh::launch(&EnvoyBinary::find()?, &shape, &Options::default())?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while !mesh.gateway().envoy().log().contains(said) {
        ensure!(Instant::now() < deadline, "the log does not say {said:?}: {}", mesh.gateway().envoy().log());
        sleep(Duration::from_millis(20));
    }
    mesh.gateway_mut().await_listeners()?;
    let status = |mesh: &Mesh, who: &str| {
        let stream = mesh.direct(HTTP, Some(mesh.identity(who)?), None, &["http/1.1"])?;
        Ok::<_, anyhow::Error>(stream.http1(&Ask::parse("GET http://www.example.com/")?)?.status)
    };
    for who in ["a/x", "b/y"] {
        let seen = status(&mesh, who)?;
        ensure!(seen == 500, "{who}: {seen}");
    }
    ensure!(mesh.world().seen().reached() == 0, "something reached a site");
    let repaired = Filter::Wasm(Wasm::new(paths::filter_wasm()?, &only_a()));
    ensure!(mesh.gateway_mut().set_filter(HTTP, repaired)? == Update::Applied);
    for (who, wanted) in [("a/x", 200), ("b/y", 403)] {
        let seen = status(&mesh, who)?;
        ensure!(seen == wanted, "repaired, {who}: {seen}");
    }
    Ok(())
}

fn a_bad_configuration_at_the_start_refuses_everything(_: &mut Rig) -> Result<()> {
    let wasm = Wasm::new(paths::filter_wasm()?, &json!({"polices": []}));
    refuses_until_repaired(wasm, "egress-authz: polices: unknown key; write `policies`")?;
    // TCP: closed, whoever it is.
    let wasm = Wasm::new(paths::filter_wasm()?, &json!({"polices": []}));
    let shape = Shape::new(vec![Listener::new(Kind::Mtls443, Filter::Wasm(wasm))]);
    let mesh = Mesh::start_with(&EnvoyBinary::find()?, &shape, &[], &Options::default())?;
    let stream = mesh.direct("mtls443", Some(mesh.identity("a/x")?), Some("www.example.com"), &["istio"]);
    if let Ok(mut stream) = stream {
        let _ = stream.send(b"anything");
        ensure!(stream.receive_all()?.is_empty(), "TCP: something came back");
    }
    ensure!(mesh.world().seen().reached() == 0, "TCP: something reached a site");
    Ok(())
}

fn a_missing_wasm_refuses_everything(_: &mut Rig) -> Result<()> {
    let missing = paths::repo_dir()?.join("target/there-is-no-such.wasm");
    refuses_until_repaired(Wasm::new(missing, &only_a()), "there-is-no-such.wasm")
}

fn with_certificate(rig: &Rig, leaf: &Leaf) -> Result<(Result<raw::RawAnswer>, u64)> {
    let identity: Identity = rig.mesh().authority().issue(leaf)?;
    let before = reached(rig);
    let stream = rig.mesh().direct(HTTP, Some(identity), None, &["http/1.1"]);
    let answer = stream.and_then(|stream| raw::exchange(stream, &raw::get(&[b"host: www.example.com"])));
    Ok((answer, reached(rig) - before))
}

fn certificates_that_are_not_as_they_should_be(rig: &mut Rig) -> Result<()> {
    rig.policy(json!({"policies": [{"name": "own", "namespace": "a", "rules": [{}]}],
        "denyResponse": {"headers": {"x-reason": "{reason}"}}}))?;
    let uri = |text: &str| text.to_owned();
    let (a, b) = (uri("spiffe://cluster.local/ns/a/sa/x"), uri("spiffe://cluster.local/ns/b/sa/y"));
    for (what, uris, dns, status, reason) in [
        ("as it should be", vec![a.clone()], vec![], 200, ""),
        ("no name at all", vec![], vec![], 403, "invalid_identity"),
        ("a DNS name only", vec![], vec![uri("a.example.com")], 403, "invalid_identity"),
        ("two, an admitted one first", vec![a.clone(), b.clone()], vec![], 200, ""),
        ("two, an admitted one second", vec![b, a], vec![], 403, "default_action"),
        (
            "a foreign trust domain",
            vec![uri("spiffe://other.example/ns/a/sa/x")],
            vec![],
            403,
            "untrusted_domain",
        ),
        ("no SPIFFE ID", vec![uri("https://cluster.local/ns/a/sa/x")], vec![], 403, "invalid_identity"),
    ] {
        let leaf = Leaf { uris, dns, expired: false };
        let (answer, reached) = with_certificate(rig, &leaf)?;
        let answer = answer.with_context(|| what.to_owned())?;
        ensure!(answer.status == status && answer.header("x-reason") == reason, "{what}: {answer:?}");
        ensure!(reached == u64::from(status == 200), "{what}: {reached} reached the site");
    }
    // One that has expired never comes as far as the filter.
    let leaf = Leaf { uris: vec![uri("spiffe://cluster.local/ns/a/sa/x")], dns: vec![], expired: true };
    let errors = "ssl.fail_verify_error";
    let before = rig.envoy().stats(errors)?;
    let (answer, reached) = with_certificate(rig, &leaf)?;
    ensure!(answer.as_ref().map_or(true, |answer| answer.status == 0), "expired: {answer:?}");
    ensure!(reached == 0 && rig.envoy().stats(errors)? != before, "expired: {before:?}");
    Ok(())
}

fn a_site_that_is_down_is_no_refusal(rig: &mut Rig) -> Result<()> {
    rig.policy(only_a())?;
    let ask = Ask::parse("GET http://down.example.com/down")?;
    let admitted = rig.ask("a/x", &ask)?;
    ensure!(admitted.answer.status == 503 && admitted.reason().is_empty(), "{:?}", admitted.entry);
    ensure!(admitted.entry.text("response_flags").contains("UF"), "{:?}", admitted.entry);
    // Whoever may not go there learns nothing of it.
    let refused = rig.ask("b/y", &ask)?;
    ensure!(refused.answer.status == 403 && refused.reason() == "default_action", "{:?}", refused.entry);
    Ok(())
}

fn a_policy_expires_under_load(rig: &mut Rig) -> Result<()> {
    let rule = json!([{"to": [{"operation": {"hosts": ["*.example.com"]}}]}]);
    rig.policy(json!({"policies": [{"name": "soon", "expires": from_now(2)?, "rules": rule}]}))?;
    let (mark, mut client) =
        (audit::mark(rig.envoy()), KeepAlive::connect(rig.mesh().sidecars()?.http("a/x")?)?);
    let (mut admitted, mut refused) = (0_u32, 0_u32);
    let mut last = None;
    let deadline = Instant::now() + Duration::from_secs(4);
    while Instant::now() < deadline && refused < 1_000 {
        let status = client.get("www.example.com", "")?;
        match status {
            200 => admitted += 1,
            403 => refused += 1,
            other => bail!("{other}"),
        }
        // Once, and never back.
        ensure!(last != Some(403) || status == 403, "admitted again after it had expired");
        last = Some(status);
    }
    println!("{admitted} before it expired, {refused} after");
    ensure!(admitted > 100 && refused > 100, "{admitted} admitted, {refused} refused");
    let line = audit::wait(rig.envoy(), mark, |line| line["verdict"] == "deny")?;
    ensure!(line["reason"] == "expired[ns[*]-policy[soon]-rule[0]]", "{line}");
    Ok(())
}

fn headers_at_the_limits_of_envoy(rig: &mut Rig) -> Result<()> {
    rig.policy(json!({"policies": [
        {"name": "own", "namespace": "a", "rules": [{}]},
        {"name": "no-secret", "action": "DENY", "rules": [{"when": [{"key": "request.headers[x-secret]", "values": ["*"]}]}]}
    ]}))?;
    let long = |size: usize| format!("x-long: {}", "v".repeat(size)).into_bytes();
    let many = |count: usize| (0..count).map(|at| format!("x-{at}: v").into_bytes()).collect::<Vec<_>>();
    for (what, lines, admitted, refused) in [
        ("59,000 bytes", vec![long(59_000)], 200, 403),
        ("62,000 bytes, over the limit of 60 KiB", vec![long(62_000)], 431, 431),
        ("80 lines", many(80), 200, 403),
        ("120 lines, over the limit of 100", many(120), 431, 431),
    ] {
        for (secret, status) in [(None, admitted), (Some(b"x-secret: 1".to_vec()), refused)] {
            let mut all = vec![b"host: www.example.com".to_vec()];
            all.extend(lines.clone());
            all.extend(secret.clone());
            let refs: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
            let before = reached(rig);
            let stream = rig.connect("a/x", "http/1.1")?;
            let answer = raw::exchange(stream, &raw::get(&refs))?;
            ensure!(answer.status == status, "{what}, {secret:?}: {}", answer.status);
            ensure!(reached(rig) - before == u64::from(status == 200), "{what}, {secret:?}");
        }
    }
    ensure!(rig.traps().is_empty(), "{:?}", rig.traps());
    Ok(())
}
