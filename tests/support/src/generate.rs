//! Configurations and requests out of bytes, so that proptest can shrink them and a fuzzer steer them.
//!
//! The vocabularies are small on purpose: what is compared has to be equal now and then. Bytes that are
//! missing are zero, and zero is always the simplest choice.

use crate::support::{Answer, Begin, Request, there};
use serde_json::{Map, Value, json};

/// The bytes that choices are taken from.
pub struct Source<'b> {
    bytes: &'b [u8],
}

impl<'b> Source<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else {
            return 0;
        };
        self.bytes = rest;
        *first
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    /// True in so many of a hundred cases.
    pub fn chance(&mut self, percent: u16) -> bool {
        u16::from(self.byte()) * 100 >= (100 - percent) * 256
    }

    fn pick<'v>(&mut self, words: &'v [&'v str]) -> &'v str {
        words[self.below(words.len())]
    }

    /// One or a few of the words.
    fn some(&mut self, words: &[&str]) -> Value {
        let more = [1, 1, 2, 3][self.below(4)];
        (0..more).map(|_| self.pick(words)).collect()
    }

    fn answer(&mut self, words: &[&str], percent_there: u16) -> Answer<Vec<u8>> {
        if self.chance(100 - percent_there) {
            if self.chance(50) { Answer::Unreadable } else { Answer::Absent }
        } else {
            there(self.pick(words))
        }
    }
}

const NAMESPACES: &[&str] = &["a", "b", "ab"];
const INSTANTS: &[&str] = &[
    "1970-01-01T00:10:00Z",
    "1970-01-01T00:00:00Z",
    "1970-01-01T00:09:59Z",
    "1970-01-01T00:10:01Z",
    "1970-01-01T23:00:00Z",
];
/// What the clock says: before, at and after the instants.
const NOW: i64 = 600;
const HOST_PATTERNS: &[&str] = &[
    "a.example",
    "*",
    "b.example",
    "*.example",
    "*.a.example",
    "a.*",
    "www.*",
    "A.Example.",
    "a.example:*",
    "b.example:443",
    "*.example:8443",
    "*:443",
    "www.a.example:80",
    "10.0.0.1",
    "10.0.0.1:80",
    "[::ffff:10.0.0.1]",
    "169.254.169.254",
    "8.8.8.8",
    "[::1]:*",
    "[2001:DB8::1]",
    "@one",
    "@two",
];
const AUTHORITIES: &[&str] = &[
    "a.example",
    "b.example",
    "www.a.example",
    "A.EXAMPLE.",
    "a.example:80",
    "a.example:8443",
    "b.example:443",
    "www.b.example",
    "example",
    "10.0.0.1",
    "10.0.0.1:443",
    "169.254.169.254:80",
    "8.8.8.8",
    "[::1]",
    "[::ffff:10.0.0.1]",
    "[2001:db8::1]:80",
    "[64:ff9b::8.8.8.8]",
    "10.0.0.1.",
    "2130706433",
    "127.1",
    "a..example",
    "",
    "a.example:0",
    "a@b.example",
    "[::1",
    "ä.example",
];
const SERVER_NAMES: &[&str] = &[
    "a.example",
    "A.example.",
    "b.example",
    "www.a.example",
    "10.0.0.1",
    "a b",
    "outbound_.80_.v1_.gw.ns.svc.cluster.local",
    "outbound_.80_._.gw.ns.svc",
];
pub const PATHS: &[&str] = &[
    "/",
    "/a",
    "/a/b",
    "/a/b?x=/c",
    "/a/b#f",
    "/a/x/b",
    "/a//b",
    "/a|b",
    "/a/|/b",
    "/a/b/",
    "/c",
    "*",
    "",
    "/a/*/b",
    "/%61",
    "/a;x/b",
    "//a",
    "/c/..%2fa/b",
    "/c/%252e%252e/a",
    "\\a",
    "/a%2fb",
    "/a%20b",
    "/a/%c3%a4/b?%zz",
    "/a/%",
    "/a%00",
    "/a/b/..;/b",
    "/a;%2fb/..\\b",
];
pub const PATH_PATTERNS: &[&str] = &[
    "/a",
    "*",
    "/a*",
    "*b",
    "/a/b",
    "/a/{*}",
    "/{*}/b",
    "/a/{**}",
    "/{**}/b",
    "/a/{*}/b",
    "/{**}",
    "/{*}/{*}/{**}",
];
const ADDRESSES: &[&str] = &[
    "10.0.0.9:5000",
    "10.1.0.9:5000",
    "192.168.0.1:1",
    "[2001:db8::9]:1",
    "[::ffff:10.0.0.9]:7",
    "10.0.0.9",
    "@pipe",
    "",
];
const RANGES: &[&str] = &[
    "10.0.0.9",
    "10.0.0.0/8",
    "10.0.0.0/16",
    "192.168.0.1/24",
    "0.0.0.0/0",
    "2001:db8::/32",
    "::/0",
    "::ffff:10.0.0.0/104",
];
const CLUSTERS: &[&str] = &[
    "outbound|443||a.example",
    "outbound|80|v1|b.example",
    "outbound|443||*.example",
    "outbound|443||*.a.example",
    "outbound|80||10.0.0.1",
    "outbound|80||2001:db8::1",
    "outbound|80||a b",
    "outbound|x||a.example",
    "PassthroughCluster",
    "",
];
const UPSTREAMS: &[&str] = &[
    "8.8.8.8:443",
    "10.0.0.1:443",
    "[::1]:443",
    "[2606:4700::1]:443",
    "[2002:808:808::1]:1",
    "pipe",
    "",
    "192.0.0.9:1",
];
const TEXTS: &[&str] = &["one", "two", "", "onetwo"];
const TEXT_PATTERNS: &[&str] = &["one", "*", "one*", "*two", "two"];
const ISSUERS: &[&str] = &["https://one", "two", ""];
const SUBJECTS: &[&str] = &["alice", "bob", ""];
const REQUEST_PRINCIPALS: &[&str] = &[
    "https://one/alice",
    "*",
    "https://one/*",
    "https://one/b*",
    "*/bob",
    "*one/bob",
    "*ice",
    "two*",
    "two",
    "two/",
];
const PRINCIPALS: &[&str] = &[
    "cluster.local/ns/a/sa/x",
    "*",
    "td.one/ns/b/sa/y",
    "cluster.local/ns/a/*",
    "td.one/*",
    "*/sa/x",
    "td*",
    "*/ns/b/sa/y",
    "far.example/ns/a/sa/x",
    "cluster.local*",
    "*ns/a/sa/x",
];
const FIELDS: &[(&str, &str, &[&str])] = &[
    ("principals", "source.principal", PRINCIPALS),
    ("namespaces", "source.namespace", &["a", "*", "b", "a*", "*b", "*a*", "c"]),
    ("serviceAccounts", "source.serviceAccount", &["a/x", "b/y", "x", "y"]),
    ("trustDomains", "source.trustDomain", &["cluster.local", "*", "td.one", "td*", "*.local"]),
    ("ipBlocks", "source.ip", RANGES),
    ("remoteIpBlocks", "remote.ip", RANGES),
    ("requestPrincipals", "request.auth.principal", REQUEST_PRINCIPALS),
    ("hosts", "", HOST_PATTERNS),
    ("ports", "destination.port", &["80", "443"]),
    ("methods", "", &["GET", "*", "P*", "*T", "POST", "CONNECT"]),
    ("paths", "", PATH_PATTERNS),
    ("", "connection.sni", &["a.example", "*", "*.example", "b.example.", "A.*", "outbound_.*"]),
    ("", "destination.ip", RANGES),
    ("", "request.headers[x-a]", TEXT_PATTERNS),
    ("", "request.headers[X-B]", TEXT_PATTERNS),
    ("", "request.auth.audiences", TEXT_PATTERNS),
    ("", "request.auth.presenter", TEXT_PATTERNS),
    ("", "request.auth.claims[groups]", TEXT_PATTERNS),
    ("", "request.auth.claims[realm][role]", TEXT_PATTERNS),
];

/// A valid configuration for one protocol.
pub fn config(source: &mut Source<'_>, protocol: &str) -> Value {
    let mut config = Map::new();
    config.insert("type".to_owned(), json!(protocol));
    let settings: &[(&str, &[&str], u16)] = &[
        ("mode", &["ENFORCE", "DRY_RUN"], 10),
        ("defaultAction", &["ALLOW", "DENY"], 60),
        ("unauthenticated", &["EVALUATE", "DENY"], 40),
        ("sniMismatch", &["ALLOW", "DRY_RUN", "DENY"], 50),
        ("encryptedClientHello", &["DENY", "ALLOW"], 30),
        ("pathReadings", &["LITERAL", "ALL"], 40),
        ("privateAddresses", &["ALLOW", "DENY"], 30),
        ("privateUpstreams", &["DENY", "ALLOW"], 40),
        ("routeMismatch", &["DENY", "DRY_RUN", "ALLOW"], 60),
    ];
    for (key, words, percent) in settings {
        if source.chance(*percent) {
            config.insert((*key).to_owned(), json!(source.pick(words)));
        }
    }
    if source.chance(50) {
        let domains: &[&[&str]] = &[
            &["cluster.local", "td.one"],
            &["td.two", "cluster.local"],
            &["td.one", "td.two", "cluster.local"],
            &["td.one"],
        ];
        config.insert("trustDomains".to_owned(), json!(domains[source.below(4)]));
    }
    config.insert("hostSets".to_owned(), json!({"one": host_set(source), "two": host_set(source)}));
    // Mostly few, so that each decides; now and then many, for the index.
    let count = if source.chance(10) { 6 + source.below(20) } else { source.below(6) };
    let policies: Vec<_> = (0..count).map(|at| policy(source, at)).collect();
    config.insert("policies".to_owned(), json!(policies));
    Value::Object(config)
}

/// Some patterns; now and then so many that the index files the set as a whole and not each pattern of it.
fn host_set(source: &mut Source<'_>) -> Value {
    let sets = HOST_PATTERNS.len() - 2;
    let mut patterns = source.some(&HOST_PATTERNS[..sets]);
    if source.chance(30)
        && let Value::Array(patterns) = &mut patterns
    {
        patterns.extend((0..8).map(|at| json!(format!("filler-{at}.test"))));
    }
    patterns
}

/// A valid policy that uses the sets `one` and `two`.
pub fn policy(source: &mut Source<'_>, at: usize) -> Value {
    let mut policy = Map::new();
    policy.insert("name".to_owned(), json!(format!("p{at}")));
    let namespace = source.chance(40).then(|| source.pick(NAMESPACES).to_owned());
    if let Some(namespace) = &namespace {
        policy.insert("namespace".to_owned(), json!(namespace));
    }
    let action = source.pick(&["ALLOW", "ALLOW", "DENY", "ALLOW", "DENY", "AUDIT"]);
    policy.insert("action".to_owned(), json!(action));
    if action != "AUDIT" && source.chance(25) {
        policy.insert("mode".to_owned(), json!("DRY_RUN"));
    }
    if source.chance(15) {
        policy.insert("protocols".to_owned(), json!([source.pick(&["HTTP", "NETWORK"])]));
    }
    if source.chance(30) {
        policy.insert("expires".to_owned(), json!(source.pick(INSTANTS)));
    }
    let least = usize::from(action != "ALLOW");
    let rules: Vec<_> =
        (0..least + source.below(3 - least)).map(|_| rule(source, namespace.is_some())).collect();
    policy.insert("rules".to_owned(), json!(rules));
    Value::Object(policy)
}

fn rule(source: &mut Source<'_>, namespaced: bool) -> Value {
    let mut rule = Map::new();
    if source.chance(50) {
        let sources: Vec<_> = (0..1 + source.below(2))
            .map(|_| json!({"source": fields(source, &FIELDS[..7], namespaced)}))
            .collect();
        rule.insert("from".to_owned(), json!(sources));
    }
    if source.chance(75) {
        let operations: Vec<_> = (0..1 + source.below(2))
            .map(|_| json!({"operation": fields(source, &FIELDS[7..11], namespaced)}))
            .collect();
        rule.insert("to".to_owned(), json!(operations));
    }
    if source.chance(30) {
        let conditions: Vec<_> = (0..1 + source.below(2)).map(|_| condition(source, namespaced)).collect();
        rule.insert("when".to_owned(), json!(conditions));
    }
    Value::Object(rule)
}

/// A source or an operation of one to three fields.
fn fields(source: &mut Source<'_>, table: &[(&str, &str, &[&str])], namespaced: bool) -> Value {
    let mut object = Map::new();
    for _ in 0..[1, 1, 2, 3][source.below(4)] {
        let (field, _, words) = table[source.below(table.len())];
        let name = if source.chance(25) {
            format!("not{}{}", field[..1].to_uppercase(), &field[1..])
        } else {
            field.to_owned()
        };
        object.insert(name, values(source, words, namespaced));
    }
    Value::Object(object)
}

fn condition(source: &mut Source<'_>, namespaced: bool) -> Value {
    let keyed: Vec<_> = FIELDS.iter().filter(|(_, key, _)| !key.is_empty()).collect();
    let (_, key, words) = keyed[source.below(keyed.len())];
    let mut condition = json!({"key": key});
    let which = source.below(4);
    if which != 1 {
        condition["values"] = values(source, words, namespaced);
    }
    if which == 1 || which == 2 {
        condition["notValues"] = values(source, words, namespaced);
    }
    condition
}

/// A bare service account is an error in a mesh-wide policy.
fn values(source: &mut Source<'_>, words: &[&str], namespaced: bool) -> Value {
    let usable = if words.contains(&"a/x") && !namespaced { &words[..2] } else { words };
    let values = source.some(usable);
    // A port may be written as a number, too.
    if words.first() == Some(&"80") && source.chance(50) {
        return values
            .as_array()
            .unwrap()
            .iter()
            .map(|port| json!(port.as_str().unwrap().parse::<u16>().unwrap()))
            .collect();
    }
    values
}

/// A request, or a connection.
pub fn request(source: &mut Source<'_>, protocol: &str) -> Request {
    let mut request = Request { now: Answer::There(NOW), ..Request::default() };
    identity(source, &mut request);
    if source.chance(40) {
        request.sni = source.answer(SERVER_NAMES, 90);
    }
    request.source = source.answer(ADDRESSES, 90);
    request.destination = source.answer(ADDRESSES, 90);
    request.port = match source.below(8) {
        0..4 => Answer::There(80),
        4..6 => Answer::There(443),
        6 => Answer::Absent,
        _ => Answer::Unreadable,
    };
    if source.chance(60) {
        request.cluster = source.answer(CLUSTERS, 90);
    }
    if source.chance(3) {
        request.now = Answer::Unreadable;
    }
    if protocol == "NETWORK" {
        request.upstream = source.answer(UPSTREAMS, 80);
        request.begin = begin(source);
        return request;
    }
    request.authority = if source.chance(4) { Answer::Unreadable } else { there(authority(source)) };
    request.method = source.answer(&["GET", "POST", "PUT", "CONNECT", "GET", ""], 90);
    request.path = source.answer(PATHS, 90);
    for name in ["x-a", "x-b"] {
        if source.chance(60) {
            request.headers.insert(name.to_owned(), source.answer(TEXTS, 85));
        }
    }
    if source.chance(60) {
        request.token = if source.chance(10) { Answer::Unreadable } else { Answer::There(token(source)) };
    }
    request
}

/// Most hosts are good ones.
fn authority<'v>(source: &mut Source<'_>) -> &'v str {
    let among = if source.chance(10) { AUTHORITIES.len() } else { 16 };
    AUTHORITIES[source.below(among)]
}

fn identity(source: &mut Source<'_>, request: &mut Request) {
    let san = |source: &mut Source<'_>| {
        let domain =
            source.pick(&["cluster.local", "cluster.local", "cluster.local", "td.one", "td.one", "td.two"]);
        let (namespace, account) = (source.pick(NAMESPACES), source.pick(&["x", "y"]));
        there(&format!("spiffe://{domain}/ns/{namespace}/sa/{account}"))
    };
    match source.below(32) {
        0..26 => request.certificate = san(source),
        26 => {}
        27 => request.filter_state = san(source),
        28 => {
            let odd = ["spiffe://far.example/ns/a/sa/x", "spiffe://cluster.local/ns/a", "", "https://a"];
            request.certificate = there(source.pick(&odd));
        }
        29 => {
            request.nameless_certificate = Answer::There(());
            request.filter_state = san(source);
        }
        _ => match source.below(3) {
            0 => request.certificate = Answer::Unreadable,
            1 => request.nameless_certificate = Answer::Unreadable,
            _ => request.filter_state = Answer::Unreadable,
        },
    }
}

fn begin(source: &mut Source<'_>) -> Begin {
    match source.below(32) {
        0..23 => {
            let among = if source.chance(10) {
                AUTHORITIES
            } else {
                &["a.example", "b.example", "WWW.a.example.", "10.0.0.1"]
            };
            let inner = source.pick(among).as_bytes().to_vec();
            Begin::Tls { inner: Some(inner), encrypted: source.chance(15) }
        }
        23 => Begin::Tls { inner: None, encrypted: source.chance(30) },
        24..29 => Begin::Plain,
        29 => Begin::Malformed,
        30 => Begin::Oversized,
        _ => Begin::Late,
    }
}

fn token(source: &mut Source<'_>) -> Value {
    let mut token = Map::new();
    for (claim, words) in
        [("iss", ISSUERS), ("sub", SUBJECTS), ("azp", TEXTS), ("aud", TEXTS), ("groups", TEXTS)]
    {
        let value = match source.below(8) {
            0..4 => json!(source.pick(words)),
            4 | 5 => json!([source.pick(words), source.pick(words), 7]),
            6 => json!(7),
            _ => continue,
        };
        token.insert(claim.to_owned(), value);
    }
    if source.chance(60) {
        token.insert("realm".to_owned(), json!({"role": source.some(TEXTS)}));
    }
    Value::Object(token)
}
