//! Who is asking: certificates as they should not be, waypoints, peers without identity, and tokens.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use egress_lab::certs::{Authority, Identity, Leaf};
use egress_lab::client::Stream;
use egress_lab::client::http::Ask;
use egress_lab::envoy::Options;
use egress_lab::mesh::Mesh;
use egress_lab::shape::{Kind, Listener, Shape};
use egress_lab::token::Issuer;
use egress_tests::rig::{HTTP, Rig, Told, allow_all, filter};
use egress_tests::{suite, tests};
use serde_json::{Value, json};

const ISSUER: &str = "https://issuer.example";
const AMBIENT: &str = "ambient80";

/// A gateway that verifies tokens, beside a waypoint, where peers without certificates arrive.
struct Stage {
    rig: Rig,
    issuer: Issuer,
}

fn main() -> ExitCode {
    let tests = tests![
        a_certificate_must_name_a_workload,
        no_setting_admits_a_bad_name,
        the_first_uri_counts,
        a_trust_domain_must_be_listed,
        listed_trust_domains_are_aliases,
        an_expired_or_foreign_certificate_never_gets_here,
        a_waypoint_carries_the_identity,
        no_header_is_an_identity,
        peers_without_identity_are_evaluated_where_told,
        request_principals,
        claims_of_every_shape,
        negative_claims,
        audiences_and_presenter,
        a_token_that_nobody_verified_does_not_count,
        tokens_count_without_a_certificate,
    ];
    suite::run(start, tests)
}

fn start() -> Result<Stage> {
    let issuer = Issuer::new(ISSUER)?;
    let mut listeners =
        vec![Listener::new(Kind::Mtls80, filter()?), Listener::new(Kind::Ambient80, filter()?)];
    for listener in &mut listeners {
        listener.tokens = Some(issuer.verifier());
    }
    let rig = Rig::of(Shape::new(listeners), &["a/x", "b/y"], &Options::default())?;
    Ok(Stage { rig, issuer })
}

// === impl Stage ===

impl Stage {
    fn mesh(&self) -> &Mesh {
        self.rig.mesh()
    }

    /// What comes of a GET with this certificate.
    fn with_certificate(&self, identity: Identity, ask: &Ask) -> Result<Told> {
        let stream = self.mesh().direct(HTTP, Some(identity), None, &["http/1.1"])?;
        self.rig.over(stream, |stream| stream.http1(ask))
    }

    /// What comes of a GET with a certificate of these URI SANs.
    fn with_uris(&self, uris: &[&str], ask: &Ask) -> Result<Told> {
        let uris = uris.iter().map(ToString::to_string).collect();
        self.with_certificate(self.mesh().authority().issue(&Leaf { uris, ..Leaf::default() })?, ask)
    }

    /// What comes of a request at the waypoint, where nobody presents a certificate.
    fn at_waypoint(&self, principal: Option<&str>, ask: &Ask) -> Result<Told> {
        let ask = principal.iter().fold(ask.clone(), |ask, who| ask.header("x-lab-peer-principal", who));
        let stream = Stream::connect(self.mesh().gateway().address(AMBIENT)?)?;
        self.rig.over(stream, |stream| stream.http1(&ask))
    }

    /// What comes of a request of a/x with a token of these claims, or none.
    fn with_token(&self, claims: Option<&Value>) -> Result<Told> {
        let mut ask = get()?;
        if let Some(claims) = claims {
            ask = ask.header("authorization", &format!("Bearer {}", self.issuer.mint(claims)?));
        }
        self.rig.ask("a/x", &ask)
    }

    /// Which of these tokens a policy admits.
    fn by_token(&mut self, policy: Value, cases: &[(Value, bool)]) -> Result<()> {
        self.rig.policy(policy)?;
        for (claims, admitted) in cases {
            let told = self.with_token(Some(claims).filter(|claims| !claims.is_null()))?;
            let wanted = if *admitted { 200 } else { 403 };
            ensure!(told.answer.status == wanted, "{claims}: {} {}", told.answer.status, told.reason());
            ensure!(told.reached == u64::from(*admitted), "{claims}: {} reached", told.reached);
        }
        Ok(())
    }
}

fn get() -> Result<Ask> {
    Ask::parse("GET http://www.example.com/")
}

fn is_refused(told: &Told, reason: &str, who: &str) -> Result<()> {
    ensure!(told.answer.status == 403, "{who}: {}", told.answer.status);
    ensure!(told.reason() == reason, "{who}: {}, expected {reason}", told.reason());
    ensure!(told.reached == 0, "{who}: {} requests reached the site", told.reached);
    Ok(())
}

/// ALLOW for one rule.
fn only(rule: Value) -> Value {
    json!({"policies": [{"name": "only", "rules": [rule]}]})
}

/// DENY for one rule, everything else admitted.
fn all_but(rule: Value) -> Value {
    json!({"defaultAction": "ALLOW", "policies": [{"name": "no", "action": "DENY", "rules": [rule]}]})
}

const BY_RULE: &str = "ns[*]-policy[no]-rule[0]";

const NO_WORKLOADS: [&str; 19] = [
    "spiffe://cluster.local/ns/a/sa/x/y",
    "spiffe://cluster.local/ns/a/sa/x/",
    "spiffe://cluster.local/ns/a/sa/",
    "spiffe://cluster.local/ns/a/sa",
    "spiffe://cluster.local/ns/a",
    "spiffe://cluster.local",
    "spiffe://cluster.local/sa/x/ns/a",
    "spiffe://cluster.local//ns/a/sa/x",
    "spiffe://cluster.local/ns//sa/x",
    "spiffe://cluster.local/ns/../sa/x",
    "spiffe://cluster.local/ns/a%2Fb/sa/x",
    "spiffe://cluster.local:80/ns/a/sa/x",
    "spiffe://a@cluster.local/ns/a/sa/x",
    "spiffe://CLUSTER.LOCAL/ns/a/sa/x",
    "spiffe:///ns/a/sa/x",
    "SPIFFE://cluster.local/ns/a/sa/x",
    "https://cluster.local/ns/a/sa/x",
    "spiffe://cluster.local/ns/a/sa/x?a=b",
    "spiffe://other.example/spiffe://cluster.local/ns/a/sa/x",
];

fn a_certificate_must_name_a_workload(stage: &mut Stage) -> Result<()> {
    stage.rig.policy(allow_all())?;
    for uri in NO_WORKLOADS {
        let told = stage.with_uris(&[uri], &get()?)?;
        is_refused(&told, "invalid_identity", uri)?;
        ensure!(told.entry.text("downstream_peer_uri_san") == uri, "{uri} was presented");
    }
    let no_uris = [
        Leaf::default(),
        Leaf { dns: vec!["cluster.local".to_owned(), "x.a".to_owned()], ..Leaf::default() },
    ];
    for leaf in no_uris {
        let identity = stage.mesh().authority().issue(&leaf)?;
        is_refused(&stage.with_certificate(identity, &get()?)?, "invalid_identity", "no URI")?;
    }
    Ok(())
}

fn no_setting_admits_a_bad_name(stage: &mut Stage) -> Result<()> {
    stage.rig.policy(json!({"unauthenticated": "EVALUATE", "defaultAction": "ALLOW"}))?;
    is_refused(&stage.with_uris(&[], &get()?)?, "invalid_identity", "no URI")?;
    is_refused(&stage.with_uris(&["https://a/b"], &get()?)?, "invalid_identity", "no SPIFFE ID")?;
    let foreign = stage.with_uris(&["spiffe://other.example/ns/a/sa/x"], &get()?)?;
    is_refused(&foreign, "untrusted_domain", "a foreigner")
}

fn the_first_uri_counts(stage: &mut Stage) -> Result<()> {
    const A: &str = "spiffe://cluster.local/ns/a/sa/x";
    const B: &str = "spiffe://cluster.local/ns/b/sa/y";
    stage.rig.policy(only(json!({"from": [{"source": {"namespaces": ["a"]}}]})))?;
    ensure!(stage.with_uris(&[A, B], &get()?)?.answer.status == 200);
    is_refused(&stage.with_uris(&[B, A], &get()?)?, "no_allow_matched", "b, then a")?;
    is_refused(&stage.with_uris(&["https://a/b", A], &get()?)?, "invalid_identity", "neither, then a")
}

fn a_trust_domain_must_be_listed(stage: &mut Stage) -> Result<()> {
    stage.rig.policy(allow_all())?;
    for domain in
        ["other.example", "cluster.local.evil.example", "evil-cluster.local", "cluster", "luster.local"]
    {
        let told = stage.with_uris(&[&format!("spiffe://{domain}/ns/a/sa/x")], &get()?)?;
        is_refused(&told, "untrusted_domain", domain)?;
    }
    Ok(())
}

fn listed_trust_domains_are_aliases(stage: &mut Stage) -> Result<()> {
    let policy = |principal: &str| {
        json!({"trustDomains": ["new.example", "old.example"], "policies": [{"name": "only", "rules": [
            {"from": [{"source": {"principals": [principal]}}]},
        ]}]})
    };
    for named in ["old.example", "new.example", "cluster.local"] {
        stage.rig.policy(policy(&format!("{named}/ns/a/sa/x")))?;
        for presented in ["old.example", "new.example"] {
            let told = stage.with_uris(&[&format!("spiffe://{presented}/ns/a/sa/x")], &get()?)?;
            ensure!(told.answer.status == 200, "{presented} under {named}: {}", told.reason());
        }
        let told = stage.with_uris(&["spiffe://cluster.local/ns/a/sa/x"], &get()?)?;
        is_refused(&told, "untrusted_domain", "cluster.local, which is not listed")?;
    }
    Ok(())
}

fn an_expired_or_foreign_certificate_never_gets_here(stage: &mut Stage) -> Result<()> {
    stage.rig.policy(allow_all())?;
    let uris = vec!["spiffe://cluster.local/ns/a/sa/x".to_owned()];
    let expired =
        stage.mesh().authority().issue(&Leaf { uris: uris.clone(), expired: true, ..Leaf::default() })?;
    let impostor = Authority::new("egress-lab mesh CA")?.issue(&Leaf { uris, ..Leaf::default() })?;
    let before = stage.mesh().world().seen().reached();
    for identity in [Some(expired), Some(impostor), None] {
        // In TLS 1.3 the client learns only with the first answer that its certificate was refused.
        let direct = stage.mesh().direct(HTTP, identity, None, &["http/1.1"]);
        ensure!(direct.and_then(|stream| stream.http1(&get()?)).is_err());
    }
    ensure!(stage.mesh().world().seen().reached() == before);
    Ok(())
}

fn a_waypoint_carries_the_identity(stage: &mut Stage) -> Result<()> {
    stage.rig.policy(only(json!({"from": [{"source": {"serviceAccounts": ["a/x"]}}]})))?;
    let ask = get()?;
    ensure!(stage.at_waypoint(Some("spiffe://cluster.local/ns/a/sa/x"), &ask)?.answer.status == 200);
    for (who, reason) in [
        (Some("spiffe://cluster.local/ns/b/sa/y"), "no_allow_matched"),
        (Some("spiffe://other.example/ns/a/sa/x"), "untrusted_domain"),
        (Some("cluster.local/ns/a/sa/x"), "invalid_identity"),
        (Some("spiffe://cluster.local/ns/a/sa/x/z"), "invalid_identity"),
        (Some("x"), "invalid_identity"),
        (None, "unauthenticated"),
    ] {
        is_refused(&stage.at_waypoint(who, &ask)?, reason, who.unwrap_or("nobody"))?;
    }
    Ok(())
}

fn no_header_is_an_identity(stage: &mut Stage) -> Result<()> {
    const A: &str = "spiffe://cluster.local/ns/a/sa/x";
    stage.rig.policy(only(json!({"from": [{"source": {"namespaces": ["a"]}}]})))?;
    for (name, value) in [
        (
            "x-forwarded-client-cert",
            format!("By=spiffe://cluster.local/ns/istio-system/sa/gw;Hash=00;URI={A}"),
        ),
        ("x-lab-peer-principal", A.to_owned()),
        ("io.istio.peer_principal", A.to_owned()),
        ("x-envoy-peer-metadata", A.to_owned()),
        ("x-envoy-peer-metadata-id", A.to_owned()),
        ("source.principal", A.to_owned()),
    ] {
        let ask = get()?.header(name, &value);
        is_refused(&stage.rig.ask("b/y", &ask)?, "no_allow_matched", name)?;
        let ask = if name == "x-lab-peer-principal" { get()? } else { ask };
        is_refused(&stage.at_waypoint(None, &ask)?, "unauthenticated", name)?;
    }
    Ok(())
}

fn peers_without_identity_are_evaluated_where_told(stage: &mut Stage) -> Result<()> {
    let evaluate = |policies: Value, default: &str| json!({"unauthenticated": "EVALUATE", "defaultAction": default, "policies": policies});
    let nobody = |stage: &Stage| stage.at_waypoint(None, &get()?);

    stage.rig.policy(json!({"defaultAction": "ALLOW"}))?;
    is_refused(&nobody(stage)?, "unauthenticated", "by default")?;
    stage.rig.policy(evaluate(json!([{"name": "all", "rules": [{}]}]), "DENY"))?;
    ensure!(nobody(stage)?.answer.status == 200);

    // No namespaced policy applies, of whatever kind.
    stage.rig.policy(evaluate(json!([{"name": "all", "namespace": "a", "rules": [{}]}]), "DENY"))?;
    is_refused(&nobody(stage)?, "default_action", "a namespace's ALLOW")?;
    let deny = json!([{"name": "all", "namespace": "a", "action": "DENY", "rules": [{}]}]);
    stage.rig.policy(evaluate(deny, "ALLOW"))?;
    ensure!(nobody(stage)?.answer.status == 200);

    // Identity conditions are false, their twins true, and neither is unknown.
    for (field, value) in [
        ("principals", "*"),
        ("namespaces", "*"),
        ("serviceAccounts", "a/x"),
        ("trustDomains", "cluster.local"),
    ] {
        let rule = |field: String| json!({"from": [{"source": {field: [value]}}]});
        let not = format!(
            "not{}{}",
            field.get(..1).unwrap_or_default().to_uppercase(),
            field.get(1..).unwrap_or_default()
        );
        stage.rig.policy(evaluate(
            json!([{"name": "no", "action": "DENY", "rules": [rule(field.to_owned())]}]),
            "ALLOW",
        ))?;
        ensure!(nobody(stage)?.answer.status == 200, "{field} does not match");
        stage.rig.policy(evaluate(
            json!([{"name": "no", "action": "DENY", "rules": [rule(not.clone())]}]),
            "ALLOW",
        ))?;
        is_refused(&nobody(stage)?, BY_RULE, &not)?;
        stage.rig.policy(evaluate(json!([{"name": "yes", "rules": [rule(not.clone())]}]), "DENY"))?;
        ensure!(nobody(stage)?.answer.status == 200, "{not} matches");
    }

    // Addresses count.
    let from =
        |blocks: &str| json!([{"name": "yes", "rules": [{"from": [{"source": {"ipBlocks": [blocks]}}]}]}]);
    stage.rig.policy(evaluate(from("127.0.0.0/8"), "DENY"))?;
    ensure!(nobody(stage)?.answer.status == 200);
    stage.rig.policy(evaluate(from("10.0.0.0/8"), "DENY"))?;
    is_refused(&nobody(stage)?, "no_allow_matched", "another address")
}

fn request_principals(stage: &mut Stage) -> Result<()> {
    let source = |field: &str, value: &str| json!({"from": [{"source": {field: [value]}}]});
    let me = json!({"sub": "me"});
    let you = json!({"sub": "you"});
    let exact = source("requestPrincipals", "https://issuer.example/me");
    stage.by_token(
        only(exact),
        &[(me.clone(), true), (you.clone(), false), (json!({}), false), (json!(null), false)],
    )?;
    stage.by_token(only(source("requestPrincipals", "*")), &[(me.clone(), true), (json!(null), false)])?;
    stage.by_token(
        only(source("requestPrincipals", "https://issuer.example/*")),
        &[(you.clone(), true), (json!({"sub": "a/b"}), true), (json!(null), false)],
    )?;
    stage.by_token(only(source("requestPrincipals", "*/me")), &[(me.clone(), true), (you.clone(), false)])?;
    stage.by_token(all_but(source("notRequestPrincipals", "*")), &[(me, true), (json!(null), false)])
}

fn claim(name: &str, values: Value) -> Value {
    json!({"when": [{"key": format!("request.auth.claims{name}"), "values": values}]})
}

fn claims_of_every_shape(stage: &mut Stage) -> Result<()> {
    stage.by_token(
        only(claim("[group]", json!(["admins"]))),
        &[
            (json!({"group": "admins"}), true),
            (json!({"group": "Admins"}), false),
            (json!({"group": ["users", "admins"]}), true),
            (json!({"group": ["users"]}), false),
            (json!({"group": []}), false),
            (json!({"group": {"admins": ""}}), false),
            (json!({"group": {"admins": "admins"}}), false),
            (json!({"groups": "admins"}), false),
            (json!({}), false),
            (json!(null), false),
        ],
    )?;
    stage.by_token(
        only(claim("[realm][roles]", json!(["out*"]))),
        &[
            (json!({"realm": {"roles": ["in", "outbound"]}}), true),
            (json!({"realm": {"roles": "outbound"}}), true),
            (json!({"realm": "outbound"}), false),
            (json!({"realm": {"other": "outbound"}}), false),
            (json!({"roles": "outbound"}), false),
        ],
    )?;
    // Only strings: a number, a boolean and a null are no value.
    stage.by_token(
        only(claim("[level]", json!(["7", "true", "*"]))),
        &[
            (json!({"level": "7"}), true),
            (json!({"level": 7}), false),
            (json!({"level": 7.5}), false),
            (json!({"level": true}), false),
            (json!({"level": null}), false),
            (json!({"level": [7]}), false),
            (json!({"level": [true, null, 7.5]}), false),
            (json!({"level": [7, "7"]}), true),
        ],
    )?;
    stage.by_token(
        only(claim("[name]", json!(["J\u{f6}rg"]))),
        &[(json!({"name": "J\u{f6}rg"}), true), (json!({"name": "Jorg"}), false)],
    )
}

fn negative_claims(stage: &mut Stage) -> Result<()> {
    let not = json!({"when": [{"key": "request.auth.claims[group]", "notValues": ["admins"]}]});
    stage.by_token(
        all_but(not.clone()),
        &[
            (json!({"group": "admins"}), true),
            (json!({"group": ["users", "admins"]}), true),
            (json!({"group": "users"}), false),
            (json!({}), false),
            (json!(null), false),
        ],
    )?;
    stage.by_token(only(not), &[(json!({"group": "admins"}), false), (json!(null), true)])
}

fn audiences_and_presenter(stage: &mut Stage) -> Result<()> {
    let when = |key: &str, value: &str| json!({"when": [{"key": key, "values": [value]}]});
    stage.by_token(
        only(when("request.auth.audiences", "egress")),
        &[
            (json!({"aud": "egress"}), true),
            (json!({"aud": ["other", "egress"]}), true),
            (json!({"aud": "other"}), false),
            (json!(null), false),
        ],
    )?;
    stage.by_token(
        only(when("request.auth.presenter", "app")),
        &[(json!({"azp": "app"}), true), (json!({"azp": "other"}), false)],
    )?;
    stage.by_token(
        only(when("request.auth.principal", "https://issuer.example/me")),
        &[(json!({"sub": "me"}), true), (json!({"sub": "you"}), false)],
    )
}

fn a_token_that_nobody_verified_does_not_count(stage: &mut Stage) -> Result<()> {
    stage.rig.policy(only(claim("[group]", json!(["admins"]))))?;
    let claims = json!({"iss": ISSUER, "sub": "me", "group": "admins"});
    let token = stage.issuer.mint(&claims)?;
    let forged = Issuer::new(ISSUER)?.mint(&claims)?;
    let with = |name: &str, value: &str| Ok::<_, anyhow::Error>(get()?.header(name, value));
    ensure!(stage.rig.ask("a/x", &with("authorization", &format!("Bearer {token}"))?)?.answer.status == 200);
    // Another issuer's signature: the gateway itself refuses, in front of the filter.
    let told = stage.rig.ask("a/x", &with("authorization", &format!("Bearer {forged}"))?)?;
    ensure!(told.answer.status == 401 && told.reached == 0, "{}", told.answer.status);
    let payload = token.split('.').nth(1).context("a token has three parts")?;
    for (name, value) in [
        ("x-token", token.as_str()),
        ("authorization", token.as_str()),
        ("x-jwt-payload", payload),
        ("x-istio-jwt-payload", payload),
        ("group", "admins"),
        ("envoy.filters.http.jwt_authn", r#"{"payload":{"group":"admins"}}"#),
    ] {
        is_refused(&stage.rig.ask("a/x", &with(name, value)?)?, "no_allow_matched", name)?;
    }
    Ok(())
}

fn tokens_count_without_a_certificate(stage: &mut Stage) -> Result<()> {
    let mut policy = only(claim("[group]", json!(["admins"])));
    if let Some(fields) = policy.as_object_mut() {
        fields.insert("unauthenticated".to_owned(), json!("EVALUATE"));
    }
    stage.rig.policy(policy)?;
    let token = stage.issuer.mint(&json!({"group": "admins"}))?;
    let ask = get()?.header("authorization", &format!("Bearer {token}"));
    ensure!(stage.at_waypoint(None, &ask)?.answer.status == 200);
    is_refused(&stage.at_waypoint(None, &get()?)?, "no_allow_matched", "nobody without a token")
}
