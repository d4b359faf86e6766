//! One policy, two protocols: what HTTP and TLS both show is judged alike, and what TLS does not show is unknown.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use egress_lab::access_log::Mark;
use egress_lab::client::Closed;
use egress_lab::client::http::Ask;
use egress_lab::envoy::Options;
use egress_lab::shape::{Kind, Listener, Shape};
use egress_tests::net::{self, TCP};
use egress_tests::rig::{self, HTTP, Rig};
use egress_tests::{suite, tests};
use serde_json::{Value, json};

/// Workloads, another trust domain, an alias of ours, and names that are no identity.
const WHO: [&str; 7] = [
    "a/x",
    "a/y",
    "b/x",
    "spiffe://td.example/ns/a/sa/x",
    "spiffe://foreign.example/ns/a/sa/x",
    "spiffe://cluster.local/a/x",
    "https://www.example.com/ns/a/sa/x",
];

const HOSTS: [&str; 8] = [
    "www.example.com",
    "WWW.Example.COM",
    "example.com",
    "api.example.org",
    "deep.api.example.org",
    "example.org",
    "shop.example.net",
    "xn--bcher-kva.example",
];

fn main() -> ExitCode {
    suite::run(
        || {
            let listeners =
                vec![Listener::new(Kind::Mtls80, rig::filter()?), net::listener(TCP, Kind::Mtls443)?];
            Rig::of(Shape::new(listeners), &[], &Options::default())
        },
        tests![the_same_table_gives_the_same_verdicts, what_tls_does_not_show_is_unknown],
    )
}

fn policies() -> Vec<Value> {
    let hosts = |hosts: &[&str]| json!([{"operation": {"hosts": hosts}}]);
    let from = |source: Value| json!([{"source": source}]);
    let allow = |rules: Value| json!({"policies": [{"name": "p", "rules": rules}]});
    vec![
        json!({}),
        json!({"defaultAction": "ALLOW"}),
        allow(json!([{"to": hosts(&["www.example.com", "*.example.org"])}])),
        allow(json!([{"from": from(json!({"namespaces": ["a"]})), "to": hosts(&["*"])}])),
        allow(
            json!([{"from": from(json!({"serviceAccounts": ["a/x", "b/x"]})), "to": hosts(&["example.*", "*.example.net:*"])}]),
        ),
        allow(
            json!([{"from": from(json!({"notNamespaces": ["b"]})), "to": [{"operation": {"notHosts": ["*.example.org"]}}]}]),
        ),
        allow(
            json!([{"from": from(json!({"principals": ["cluster.local/ns/a/*"]})), "to": hosts(&["www.example.com"])}]),
        ),
        allow(json!([{"when": [{"key": "connection.sni", "values": ["*.example.com", "example.org"]}]}])),
        json!({"trustDomains": ["cluster.local", "td.example"], "hostSets": {"shops": ["shop.example.net"]}, "policies": [
            {"name": "own", "namespace": "a", "rules": [{"from": from(json!({"serviceAccounts": ["x"]}))}]},
            {"name": "shops", "action": "DENY", "rules": [{"to": hosts(&["@shops"])}]},
            {"name": "rest", "namespace": "b", "rules": [{"to": hosts(&["xn--bcher-kva.example"])}]},
        ]}),
        json!({"defaultAction": "ALLOW", "policies": [
            {"name": "ceiling", "action": "DENY", "rules": [{"to": [{"operation": {"notHosts": ["*.example.com", "*.example.org"]}}]}]},
            {"name": "in-dry-run", "action": "DENY", "mode": "DRY_RUN", "rules": [{"from": from(json!({"trustDomains": ["cluster.local"]}))}]},
            {"name": "gone", "namespace": "b", "expires": "2020-01-01T00:00:00Z", "rules": [{}]},
        ]}),
    ]
}

/// Whether the client was admitted, and its port, by which the access log knows it.
type Asked = (bool, u16);

/// A GET over mTLS 80.
fn ask_http(rig: &Rig, who: &str, host: &str) -> Result<Asked> {
    let stream = rig.mesh().direct(HTTP, Some(rig.mesh().identity(who)?), Some(host), &["http/1.1"])?;
    let port = stream.local_addr().port();
    let answer = stream.http1(&Ask::parse(&format!("GET http://{host}/"))?)?;
    ensure!([200, 403].contains(&answer.status), "{who} {host}: {}", answer.status);
    Ok((answer.status == 200, port))
}

/// The same of the application's own TLS over mTLS 443.
fn ask_tls(rig: &Rig, who: &str, host: &str) -> Result<Asked> {
    let outer = rig.outer(who, TCP, Some(host))?;
    let port = outer.local_addr().port();
    let admitted = match outer.tls(&rig.public(host)?) {
        Ok(stream) => {
            let answer = stream.http1(&Ask::parse(&format!("GET https://{host}/"))?)?;
            ensure!(answer.status == 200, "{who} {host}: {}", answer.status);
            true
        }
        Err(error) if error.is::<Closed>() => false,
        Err(error) => return Err(error),
    };
    Ok((admitted, port))
}

/// What the client saw and what the access log says. Two listeners may have clients of the same port.
fn told(rig: &Rig, mark: Mark, listener: &str, (admitted, port): Asked) -> Result<(bool, String)> {
    let port = port.to_string();
    let entry =
        rig.mesh().gateway().access_log().wait(mark, |entry| {
            entry.listener() == listener && entry.text("downstream_remote_port") == port
        })?;
    Ok((admitted, entry.verdict()))
}

/// The same of one request over mTLS 80.
fn over_http(rig: &Rig, who: &str, host: &str) -> Result<(bool, String)> {
    let mark = rig.mark();
    told(rig, mark, HTTP, ask_http(rig, who, host)?)
}

/// The same over mTLS 443.
fn over_tls(rig: &Rig, who: &str, host: &str) -> Result<(bool, String)> {
    let mark = rig.mark();
    told(rig, mark, TCP, ask_tls(rig, who, host)?)
}

fn the_same_table_gives_the_same_verdicts(rig: &mut Rig) -> Result<()> {
    let (mut admitted, mut refused) = (0, 0);
    for policy in policies() {
        rig.policy(net::with(policy.clone(), &json!({"reportAllowed": true})))?;
        let mark = rig.mark();
        let mut asked = Vec::new();
        for who in WHO {
            for host in HOSTS {
                let about = format!("{who} {host} under {policy}");
                let http = ask_http(rig, who, host).with_context(|| about.clone())?;
                let tls = ask_tls(rig, who, host).with_context(|| about.clone())?;
                asked.push((about, http, tls));
            }
        }
        // One look at the log for all of them: it is flushed now and then only.
        for (about, http, tls) in asked {
            let (http, tls) = (told(rig, mark, HTTP, http)?, told(rig, mark, TCP, tls)?);
            ensure!(http == tls, "HTTP {http:?}, TLS {tls:?}: {about}");
            ensure!(http.1.starts_with(if http.0 { "allow[" } else { "deny[" }), "{http:?}: {about}");
            *(if http.0 { &mut admitted } else { &mut refused }) += 1;
        }
    }
    println!("{admitted} admitted, {refused} refused, each over both");
    ensure!(
        admitted > 100 && refused > 100,
        "{admitted} admitted, {refused} refused: no table to learn from"
    );
    Ok(())
}

/// Methods, paths, headers and tokens: over TLS a DENY that asks for one matches, and an ALLOW does not.
fn what_tls_does_not_show_is_unknown(rig: &mut Rig) -> Result<()> {
    let host = "www.example.com";
    let fields = [
        json!({"to": [{"operation": {"hosts": [host], "methods": ["POST"]}}]}),
        json!({"to": [{"operation": {"hosts": [host], "notMethods": ["GET"]}}]}),
        json!({"to": [{"operation": {"hosts": [host], "paths": ["/elsewhere"]}}]}),
        json!({"to": [{"operation": {"hosts": [host], "notPaths": ["/"]}}]}),
        json!({"when": [{"key": "request.headers[x-team]", "values": ["red"]}]}),
        json!({"when": [{"key": "request.auth.claims[iss]", "values": ["https://issuer.example"]}]}),
        json!({"from": [{"source": {"requestPrincipals": ["issuer/subject"]}}]}),
        json!({"to": [{"operation": {"hosts": ["www.example.com:8443"]}}]}),
    ];
    for rule in fields {
        // Over HTTP none of these is so for a GET of `/`.
        let deny = json!({"defaultAction": "ALLOW", "reportAllowed": true, "policies": [{"name": "p", "action": "DENY", "rules": [rule]}]});
        rig.policy(deny)?;
        ensure!(over_http(rig, "a/x", host)? == (true, "allow[default_action]".to_owned()), "DENY {rule}");
        ensure!(
            over_tls(rig, "a/x", host)? == (false, "deny[ns[*]-policy[p]-rule[0]]".to_owned()),
            "DENY {rule}"
        );
        let allow = json!({"policies": [{"name": "p", "rules": [rule]}]});
        rig.policy(allow)?;
        ensure!(!over_http(rig, "a/x", host)?.0, "ALLOW {rule}");
        ensure!(over_tls(rig, "a/x", host)? == (false, "deny[no_allow_matched]".to_owned()), "ALLOW {rule}");
    }
    // What is so over HTTP is still unknown over TLS, in both senses of a field.
    for rule in [
        json!({"to": [{"operation": {"hosts": [host], "methods": ["GET"]}}]}),
        json!({"to": [{"operation": {"hosts": [host], "notMethods": ["POST"]}}]}),
        json!({"to": [{"operation": {"hosts": [host], "paths": ["/"]}}]}),
    ] {
        rig.policy(json!({"policies": [{"name": "p", "rules": [rule]}]}))?;
        ensure!(over_http(rig, "a/x", host)?.0, "ALLOW {rule}");
        ensure!(!over_tls(rig, "a/x", host)?.0, "ALLOW {rule}");
        rig.policy(json!({"policies": [{"name": "p", "protocols": ["HTTP"], "rules": [rule]}], "defaultAction": "ALLOW"}))?;
        ensure!(over_tls(rig, "a/x", host)?.0, "a policy of HTTP does not exist over TLS: {rule}");
        // A false condition beside the unknown one decides: another host is not refused.
        let mut elsewhere = rule.clone();
        if let Some(hosts) = elsewhere.pointer_mut("/to/0/operation/hosts") {
            *hosts = json!(["elsewhere.example"]);
        }
        rig.policy(json!({"defaultAction": "ALLOW", "policies": [{"name": "p", "action": "DENY", "rules": [elsewhere]}]}))?;
        ensure!(over_tls(rig, "a/x", host)?.0, "DENY elsewhere {rule}");
    }
    Ok(())
}
