//! The small world that policies and requests are drawn from, so that they meet. What both languages read differently on
//! purpose is not in it; that is in `differences/`.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::bench::ISSUER;
use crate::model::{Attribute, PORTS, Request};
use egress_test_support::random::Random;

/// Trust domains of a mesh; a peer is always of one of them.
pub(super) const MESHES: [&[&str]; 3] =
    [&["cluster.local"], &["cluster.local", "old.example"], &["prod.example", "old.example"]];

/// No namespace, and no pattern for one, that could end like `/sa`: Istio's regular expression crosses slashes.
const NAMESPACES: [&str; 4] = ["default", "demo-frontend", "demo-backend", "kube-system"];
const NAMESPACE_PATTERNS: [&str; 7] = ["demo-*", "*-system", "*end", "d*", "*", "*-*", "de*-*end"];
const ACCOUNTS: [&str; 3] = ["sleep", "web", "web-2"];
const HOSTS: [&str; 10] = [
    "example.com",
    "www.example.com",
    "a.b.example.com",
    "api.example.org",
    "shop.example.co.uk",
    "www.test",
    "xn--bcher-kva.example",
    "my_host.example.com",
    "203.0.113.7",
    "[2001:db8::1]",
];
const HOST_PATTERNS: [&str; 9] =
    ["*.example.com", "*.com", "*.co.uk", "*.example", "example.*", "www.*", "api.example.*", "*", "a.b.*"];
const METHODS: [&str; 8] = ["GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"];
const METHOD_PATTERNS: [&str; 5] = ["P*", "*T", "*", "PRO*", "G*"];
const PATHS: [&str; 22] = [
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/a/b/c",
    "/A",
    "/ab",
    "/info.txt",
    "/a/info.txt",
    "/store//cart",
    "/store/cart",
    "/store/x/cart",
    "/store/x/y/cart",
    "/foo/x/bar/y",
    "/foo/x/bar/",
    "/foo/bar/y",
    "/allow/admin/",
    "/allow/admin",
    "/allow/admin/t",
    "/a%2Fb",
    "/a;v=1/b",
    "/x*y",
];
const PATH_PATTERNS: [&str; 17] = [
    "/a*",
    "/a/*",
    "/foo/*",
    "/store*",
    "*.txt",
    "*/cart",
    "*b",
    "*",
    "/foo/{*}/bar/{**}",
    "/store/{**}/cart",
    "/{*}",
    "/{**}",
    "/{**}/b",
    "/allow/admin/{**}",
    "/a/{*}",
    "/{*}/{*}",
    "/{*}/info.txt",
];
const SERVER_NAMES: [&str; 4] = ["www.example.com", "api.example.com", "mail.example.org", "example.net"];
const SERVER_NAME_PATTERNS: [&str; 6] = ["*.example.com", "www.*", "*", "*.org", "*example.com", "api*"];
const SOURCES: [Ipv4Addr; 3] =
    [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 8, 0, 1)];
const SOURCE_BLOCKS: [&str; 8] = [
    "127.0.0.1",
    "127.0.0.2/32",
    "127.0.0.0/24",
    "127.8.0.0/16",
    "10.0.0.0/8",
    "127.0.0.0/30",
    "::1",
    "0.0.0.0/0",
];
const DESTINATION_BLOCKS: [&str; 5] = ["127.0.0.1", "127.0.0.0/8", "10.0.0.0/8", "::1/128", "127.1.0.0/16"];
const HEADERS: [&str; 2] = ["x-team", "x-env"];
const HEADER_VALUES: [&str; 5] = ["red", "blue", "redder", "Red", "red,blue"];
const HEADER_PATTERNS: [&str; 7] = ["red", "blue", "red*", "*d", "*", "*,blue", "red,blue"];
const CLAIMS: [&[&str]; 11] = [
    &["groups"],
    &["role"],
    &["org", "unit"],
    &["org", "teams"],
    &["level"],
    &["mixed"],
    &["mixed"],
    &["org"],
    &["groups", "unit"],
    // No index, to Istio.
    &["groups", "0"],
    &["org", "0"],
];
const CLAIM_PATTERNS: [&str; 10] = ["admin", "dev", "*", "dev*", "*n", "3", "0", "x", "y", "ops"];

/// Any value or pattern for an attribute, as a policy may have it.
pub(super) fn pattern(attribute: &Attribute, domains: &[String], rng: &mut Random) -> String {
    let of = |values: &[&str], patterns: &[&str], rng: &mut Random| {
        let from = if rng.percent(60) { values } else { patterns };
        (*rng.pick(from)).to_owned()
    };
    match attribute {
        Attribute::Namespace => of(&NAMESPACES, &NAMESPACE_PATTERNS, rng),
        Attribute::Principal => principal(domains, rng),
        Attribute::ServiceAccount => format!("{}/{}", rng.pick(&NAMESPACES), rng.pick(&ACCOUNTS)),
        Attribute::TrustDomain => trust_domain(domains, rng),
        Attribute::SourceIp | Attribute::RemoteIp => (*rng.pick(&SOURCE_BLOCKS)).to_owned(),
        Attribute::DestinationIp => (*rng.pick(&DESTINATION_BLOCKS)).to_owned(),
        Attribute::RequestPrincipal => request_principal(rng),
        Attribute::Host => recased(&of(&HOSTS, &HOST_PATTERNS, rng), rng),
        Attribute::Port => rng.pick(&[PORTS[0], PORTS[1], PORTS[0], 9999]).to_string(),
        Attribute::Method => of(&METHODS, &METHOD_PATTERNS, rng),
        Attribute::Path => of(&PATHS[..PATHS.len() - 1], &PATH_PATTERNS, rng),
        Attribute::ServerName => of(&SERVER_NAMES, &SERVER_NAME_PATTERNS, rng),
        Attribute::Header(_) => (*rng.pick(&HEADER_PATTERNS)).to_owned(),
        Attribute::Audiences => of(&["api", "web", "batch"], &["*", "a*", "*b"], rng),
        Attribute::Presenter => of(&["portal", "cli"], &["*", "p*", "*li"], rng),
        Attribute::Claim(_) => (*rng.pick(&CLAIM_PATTERNS)).to_owned(),
    }
}

pub(super) fn header(rng: &mut Random) -> Attribute {
    Attribute::Header((*rng.pick(&HEADERS)).to_owned())
}

pub(super) fn claim(rng: &mut Random) -> Attribute {
    Attribute::Claim(rng.pick(&CLAIMS).iter().map(|key| (*key).to_owned()).collect())
}

/// In a mesh of several domains only patterns whose domain istiod rewrites or leaves alone as we do.
fn principal(domains: &[String], rng: &mut Random) -> String {
    let (namespace, account) = (*rng.pick(&NAMESPACES), *rng.pick(&ACCOUNTS));
    let domain: &str = if rng.percent(30) { "cluster.local" } else { rng.pick::<String>(domains) };
    let alone = domains.len() == 1;
    match rng.below(if alone { 15 } else { 11 }) {
        0..=3 => format!("{domain}/ns/{namespace}/sa/{account}"),
        4 => format!("{domain}/ns/{namespace}/sa/*"),
        5 => format!("{domain}/ns/{namespace}/sa/web*"),
        6 => format!("*/ns/{namespace}/sa/{account}"),
        7 => format!("*/sa/{account}"),
        8 => "*-2".to_owned(),
        9 => format!("other.example/ns/{namespace}/sa/{account}"),
        10 => (*rng.pick(&["*", "cluster.l*", "old*"])).to_owned(),
        11 => format!("{domain}/ns/{namespace}/*"),
        12 => format!("{domain}/ns/demo-*"),
        13 => format!("{domain}/*"),
        _ => format!("*.local/ns/{namespace}/sa/{account}"),
    }
}

/// In a mesh of several domains istiod takes each exact one for all of them; the patterns are compared as they are.
fn trust_domain(domains: &[String], rng: &mut Random) -> String {
    let patterns =
        ["*", "cluster.*", "old*", "*.example", "*.local", "prod.*", "other.example", "*d.example"];
    if domains.len() == 1 && rng.percent(40) { domains[0].clone() } else { (*rng.pick(&patterns)).to_owned() }
}

fn request_principal(rng: &mut Random) -> String {
    let patterns = [
        format!("{ISSUER}/alice"),
        format!("{ISSUER}/bob"),
        format!("{ISSUER}/*"),
        format!("{ISSUER}/b*"),
        format!("{ISSUER}/team/bob"),
        format!("{ISSUER}*"),
        "*".to_owned(),
        "*/alice".to_owned(),
        "*/bob".to_owned(),
        "*e".to_owned(),
        "*.example/bob".to_owned(),
        "https*".to_owned(),
        "nobody".to_owned(),
        "https://other.example/*".to_owned(),
    ];
    rng.pick(&patterns).clone()
}

/// The tokens that a request may carry; the gateway has verified them.
fn tokens() -> [Value; 8] {
    [
        json!({"sub": "alice", "aud": ["api", "web"], "azp": "portal", "groups": ["admin", "dev"], "role": "admin",
               "org": {"unit": "x", "teams": ["dev", "ops"]}, "level": 3}),
        json!({"sub": "bob", "aud": "api", "azp": "cli", "groups": ["dev"], "role": "dev", "org": {"unit": "y"}, "level": "3"}),
        json!({"sub": "team/bob", "aud": ["batch"], "groups": "admin", "org": {"teams": "ops"}, "mixed": ["x", 3, true, null]}),
        json!({"sub": "", "groups": [], "role": "", "mixed": [{"x": "y"}, "dev"], "org": "x"}),
        json!({"aud": "web", "role": "developer", "mixed": [["x"], "admin"], "level": true, "org": ["x", "ops"]}),
        json!({"sub": "eve", "azp": "portal", "role": "ops", "org": {"unit": "dev", "teams": [], "0": "x"}, "mixed": {"x": "y"}}),
        json!({"sub": "mallory", "aud": ["api"], "azp": null, "groups": [3, true, "", "dev"], "role": null,
               "org": {"unit": null, "teams": [null]}, "mixed": [null, ["dev"], "ops", {"x": null}]}),
        json!({"sub": "carol", "azp": ["cli", 1], "groups": ["0", "dev", 3, false], "role": ["dev"],
               "org": [{"unit": "x"}], "mixed": {"dev": "", "admin": ""}}),
    ]
}

/// Draws one attribute of a request anew.
pub(super) fn redraw(request: &mut Request, attribute: &Attribute, domains: &[String], rng: &mut Random) {
    match attribute {
        Attribute::Principal | Attribute::Namespace | Attribute::ServiceAccount | Attribute::TrustDomain => {
            let domain = rng.pick(domains);
            // Half of the combinations are enough workloads.
            let at = rng.below(6);
            let (namespace, account) = (NAMESPACES[at % 4], ACCOUNTS[at % 3]);
            request.peer = format!("spiffe://{domain}/ns/{namespace}/sa/{account}");
        }
        Attribute::SourceIp | Attribute::RemoteIp => request.source = *rng.pick(&SOURCES),
        Attribute::Host => request.host = recased(rng.pick::<&str>(&HOSTS), rng),
        Attribute::Port => request.port = *rng.pick(&PORTS),
        Attribute::Method => (*rng.pick(&METHODS)).clone_into(&mut request.method),
        Attribute::Path => {
            request.path = (*rng.pick(&PATHS)).to_owned();
            if rng.percent(20) {
                request.path += "?q=/a/b.txt";
            }
        }
        Attribute::ServerName => request.sni = Some((*rng.pick(&SERVER_NAMES)).to_owned()),
        Attribute::Header(name) => {
            request.headers.retain(|(key, _)| key != name);
            if rng.percent(60) {
                request.headers.push((name.clone(), (*rng.pick(&HEADER_VALUES)).to_owned()));
            }
        }
        Attribute::RequestPrincipal | Attribute::Audiences | Attribute::Presenter | Attribute::Claim(_) => {
            request.claims = if rng.percent(15) { None } else { Some(rng.pick(&tokens()).clone()) };
        }
        Attribute::DestinationIp => {}
    }
}

/// A request that no policy is about.
pub(super) fn plain_request(domains: &[String]) -> Request {
    Request {
        peer: format!("spiffe://{}/ns/default/sa/sleep", domains[0]),
        source: SOURCES[0],
        sni: Some(SERVER_NAMES[0].to_owned()),
        port: PORTS[0],
        method: "GET".to_owned(),
        host: HOSTS[0].to_owned(),
        path: PATHS[0].to_owned(),
        headers: Vec::new(),
        claims: None,
    }
}

/// Hosts are compared without case on both sides.
fn recased(host: &str, rng: &mut Random) -> String {
    if rng.percent(85) {
        return host.to_owned();
    }
    host.chars().map(|c| if rng.percent(50) { c.to_ascii_uppercase() } else { c }).collect()
}
