//! The bypass corpus: spellings of a refused host, sent as raw bytes to a DENY and to an ALLOW list, ours and native.

mod corpus;
mod name;
mod path;
mod table;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use egress_lab::certs::Identity;
use egress_lab::client::Stream;
use egress_lab::envoy::Options;
use egress_lab::filter::{Filter, Wasm};
use egress_lab::mesh::Mesh;
use egress_lab::paths;
use egress_lab::provision::{DEFAULT_VERSION, EnvoyBinary};
use egress_lab::shape::{Kind, Listener, Shape};
use egress_tests::h2::{Frame, H2};
use egress_tests::raw::{self, RawAnswer};
use egress_tests::suite::{self, Test};
use egress_tests::tests;
use serde_json::{Value, json};

use self::corpus::Corpus;
use self::name::{REFUSED, names_refused};
use self::path::{PATH_HOST, REFUSED_PATH, names_refused_path};
use self::table::{Outcome, Row, markdown, through, visible};

/// The listeners, in the order of [`listeners`].
const HEADS: [&str; 4] = ["DENY, ours", "DENY, native", "ALLOW, ours", "ALLOW, native"];
/// Where ours are in both.
const OURS: [usize; 2] = [0, 2];
const ALLOWED: &str = "allowed.example.com";
const PLAIN: [&str; 3] = [REFUSED, "93.184.215.14", ALLOWED];
/// The filter's reason, told to the client, so that nobody has to wait for the log.
const REASON_HEADER: &str = "x-egress-reason";
const REASON: &str = "ns[*]-policy[refused]-rule[0]";

fn main() -> ExitCode {
    let tests: Vec<Test<Played>> = tests![
        readers_read_what_they_should,
        the_corpus_names_the_refused_host,
        no_spelling_goes_through_ours,
        no_path_goes_through_ours,
        no_shape_goes_through_ours,
        look_alikes_get_what_is_their_due,
        the_lists_work_for_plain_requests,
        the_page_shows_what_was_measured,
    ];
    suite::run(Played::start, tests)
}

/// The corpus and what became of it.
struct Played {
    corpus: Corpus,
    version: String,
    plain: Vec<Row>,
    spellings: Vec<Row>,
    paths: Vec<Row>,
    shapes: Vec<Row>,
    look_alikes: Vec<Row>,
}

/// What became of each request at one listener, in the order of the corpus.
struct Column {
    plain: Vec<Outcome>,
    spellings: Vec<Outcome>,
    paths: Vec<Outcome>,
    shapes: Vec<Outcome>,
    look_alikes: Vec<Outcome>,
}

// === impl Played ===

impl Played {
    /// Each listener is a gateway with a world of its own, so that all four are asked at once and none sees another's requests.
    fn start() -> Result<Self> {
        let corpus = Corpus::load()?;
        let binary = EnvoyBinary::find()?;
        let columns = thread::scope(|scope| {
            let running: Vec<_> = listeners()?
                .into_iter()
                .map(|listener| scope.spawn(|| Sender::start(&binary, listener)?.play(&corpus)))
                .collect();
            let joined = running.into_iter().map(|column| {
                column.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a listener's thread panicked")))
            });
            joined.collect::<Result<Vec<Column>>>()
        })?;
        let host = |what: &str, authority: &str| (what.to_owned(), authority.to_owned());
        let plain = rows(PLAIN.iter().map(|name| host("", name)), &columns, |column| &column.plain);
        let spellings = corpus.spellings().map(|(group, text)| host(group, text));
        let spellings = rows(spellings, &columns, |column| &column.spellings);
        let paths = corpus.paths().map(|(group, text)| host(group, text));
        let paths = rows(paths, &columns, |column| &column.paths);
        let look_alikes = corpus.look_alikes.iter().map(|one| host(&one.name, &one.authority));
        let look_alikes = rows(look_alikes, &columns, |column| &column.look_alikes);
        let shapes = corpus.shapes.iter().map(|shape| (shape.name.clone(), shape.sent()));
        let shapes = rows(shapes, &columns, |column| &column.shapes);
        Ok(Self { version: binary.version, corpus, plain, spellings, paths, shapes, look_alikes })
    }
}

fn rows(
    requests: impl Iterator<Item = (String, String)>,
    columns: &[Column],
    part: impl Fn(&Column) -> &Vec<Outcome>,
) -> Vec<Row> {
    requests
        .enumerate()
        .map(|(at, (what, sent))| {
            let outcomes = columns.iter().filter_map(|column| part(column).get(at).cloned()).collect();
            Row { what, sent, outcomes }
        })
        .collect()
}

/// The same lists for both: natively in the form that Istio's documentation advises, `host` and `host:*`.
fn listeners() -> Result<Vec<Listener>> {
    let refused = [REFUSED, "93.184.215.14"];
    let told = json!({"headers": {REASON_HEADER: "{reason}"}});
    let deny = json!({"denyResponse": told, "defaultAction": "ALLOW", "policies": [
        {"name": "refused", "action": "DENY", "rules": [{"to": [{"operation": {"hosts": refused}}, {"operation": {"hosts": [PATH_HOST], "paths": [REFUSED_PATH]}}]}]}]});
    let allow = json!({"denyResponse": told, "policies": [{"name": "allowed", "rules": [{"to": [{"operation": {"hosts": [ALLOWED]}}, {"operation": {"hosts": [PATH_HOST], "paths": ["/public/*"]}}]}]}]});
    let wasm =
        |config: &Value| Ok::<_, anyhow::Error>(Filter::Wasm(Wasm::new(paths::filter_wasm()?, config)));
    let native =
        |action: &str, hosts: &[&str], path: Value| Filter::NativeRbac(vec![rbac(action, hosts, path)]);
    Ok(vec![
        Listener::named("ours-deny", Kind::Mtls80, wasm(&deny)?),
        Listener::named(
            "native-deny",
            Kind::Mtls80,
            native("DENY", &refused, json!({"exact": REFUSED_PATH})),
        ),
        Listener::named("ours-allow", Kind::Mtls80, wasm(&allow)?),
        Listener::named(
            "native-allow",
            Kind::Mtls80,
            native("ALLOW", &[ALLOWED], json!({"prefix": "/public/"})),
        ),
    ])
}

/// As istiod writes an AuthorizationPolicy with `hosts: [host, "host:*"]`, and one operation more with a path.
fn rbac(action: &str, hosts: &[&str], path: Value) -> Value {
    let header = |matcher: Value| json!({"header": {"name": ":authority", "string_match": matcher}});
    let rules: Vec<Value> = hosts
        .iter()
        .flat_map(|host| {
            [
                header(json!({"exact": host, "ignore_case": true})),
                header(json!({"prefix": format!("{host}:"), "ignore_case": true})),
            ]
        })
        .collect();
    json!({"rules": {"action": action, "policies": {"list": {
        "permissions": [{"or_rules": {"rules": rules}}, {"and_rules": {"rules": [
            header(json!({"exact": PATH_HOST, "ignore_case": true})), {"url_path": {"path": path}}]}}],
        "principals": [{"any": true}],
    }}}})
}

/// One gateway with one listener, and the certificate that all requests come with.
struct Sender {
    mesh: Mesh,
    identity: Identity,
    listener: String,
}

// === impl Sender ===

impl Sender {
    fn start(binary: &EnvoyBinary, listener: Listener) -> Result<Self> {
        let name = listener.name.clone();
        let mesh = Mesh::start_with(binary, &Shape::new(vec![listener]), &[], &Options::default())?;
        Ok(Self { identity: mesh.identity("a/x")?, mesh, listener: name })
    }

    /// Sends all of the corpus.
    fn play(&self, corpus: &Corpus) -> Result<Column> {
        let host = |authority: &str| {
            let request = raw::get(&[format!("host: {authority}").as_bytes()]);
            self.outcome(|| self.http1(&request))
        };
        let path = |target: &str| {
            let request = format!("GET {target} HTTP/1.1\r\nhost: {PATH_HOST}\r\nconnection: close\r\n\r\n");
            let outcome = self.outcome(|| self.http1(request.as_bytes()))?;
            Ok(Outcome { through: !outcome.site_saw.is_empty(), ..outcome })
        };
        Ok(Column {
            paths: corpus.paths().map(|(_, target)| path(target)).collect::<Result<_>>()?,
            plain: PLAIN.into_iter().map(host).collect::<Result<_>>()?,
            spellings: corpus.spellings().map(|(_, text)| host(text)).collect::<Result<_>>()?,
            look_alikes: corpus.look_alikes.iter().map(|one| host(&one.authority)).collect::<Result<_>>()?,
            shapes: corpus.shapes.iter().map(|shape| self.shape(shape)).collect::<Result<_>>()?,
        })
    }

    fn shape(&self, shape: &corpus::Shape) -> Result<Outcome> {
        match (&shape.request, &shape.h2) {
            (Some(request), None) => self.outcome(|| self.http1(request.as_bytes())),
            (None, Some(headers)) => self.outcome(|| self.http2(headers)),
            _ => anyhow::bail!("{}: either `request` or `h2`", shape.name),
        }
    }

    fn outcome(&self, send: impl Fn() -> Result<String>) -> Result<Outcome> {
        let before = self.mesh.world().seen().requests;
        let ended = send()?;
        let mut site_saw = Vec::new();
        for (host, count) in self.mesh.world().seen().requests {
            let new = count - before.get(&host).copied().unwrap_or(0);
            site_saw.extend(std::iter::repeat_n(host, usize::try_from(new)?));
        }
        let through = site_saw.iter().any(|host| names_refused(host).is_some());
        Ok(Outcome { site_saw, ended, through })
    }

    fn connect(&self, alpn: &str) -> Result<Stream> {
        self.mesh.direct(&self.listener, Some(self.identity.clone()), None, &[alpn])
    }

    /// Sends bytes and tells how it ended: the filter's reason, another status, or an end without an answer.
    fn http1(&self, request: &[u8]) -> Result<String> {
        let Some(bytes) = exchange(self.connect("http/1.1")?, request) else {
            return Ok("held".to_owned());
        };
        if bytes.is_empty() {
            return Ok("closed".to_owned());
        }
        let answer = RawAnswer::parse(&bytes)?;
        Ok(match answer.header(REASON_HEADER) {
            "" => answer.status.to_string(),
            reason => reason.to_owned(),
        })
    }

    fn http2(&self, headers: &[(String, String)]) -> Result<String> {
        let headers: Vec<(&[u8], &[u8])> =
            headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let (log, stream) = (self.mesh.gateway().access_log(), self.connect("h2")?);
        let (mark, port) = (log.mark(), stream.local_addr().port().to_string());
        let connects = headers.iter().any(|(_, value)| *value == b"CONNECT");
        let first = H2::open(stream, &headers, !connects).and_then(|mut h2| h2.receive());
        match first {
            Ok(Frame::Headers { .. } | Frame::Data { .. }) => {}
            Ok(Frame::Reset) => return Ok("reset".to_owned()),
            Ok(Frame::GoAway) | Err(_) => return Ok("closed".to_owned()),
        }
        let entry = log.wait(mark, |entry| entry.text("downstream_remote_port") == port)?;
        Ok(ended(&entry.details(), &entry.text("response_code")))
    }
}

/// What comes back until the other side closes or has said what it has to say; `None` where that is nothing.
fn exchange(mut stream: Stream, request: &[u8]) -> Option<Vec<u8>> {
    // The gateway may answer and close before all of it is sent.
    let _ = stream.send(request);
    let mut all = Vec::new();
    // Envoy takes its time to close after some answers; what says that it is the last, and is whole, is.
    while !is_last(&all) {
        let patience = if all.is_empty() { Duration::from_secs(2) } else { Duration::from_millis(300) };
        match stream.receive(patience) {
            Ok(Some(bytes)) => all.extend(bytes),
            Ok(None) => return (!all.is_empty()).then_some(all),
            Err(_) => return Some(all),
        }
    }
    Some(all)
}

fn is_last(bytes: &[u8]) -> bool {
    let answer = RawAnswer::parse(bytes).unwrap_or_default();
    answer.header("connection") == "close"
        && answer.header("content-length").parse().is_ok_and(|length: usize| answer.body.len() >= length)
}

fn ended(details: &str, status: &str) -> String {
    let ours = details.strip_prefix("egress_authz_denied[").and_then(|rest| rest.strip_suffix(']'));
    ours.map_or_else(|| status.to_owned(), ToOwned::to_owned)
}

fn readers_read_what_they_should(_: &mut Played) -> Result<()> {
    for (authority, reader) in [
        ("REFUSED.example.com.:80", Some("WHATWG")),
        ("0x5db8d70e", Some("WHATWG")),
        ("refused.example.com:99999", Some("RFC 3986")),
        ("refused.example.com:80a", Some("a lenient reader")),
        ("www.refused.example.com", None),
        ("93.184.215.15", None),
    ] {
        ensure!(names_refused(authority) == reader, "{authority}: {:?}", names_refused(authority));
    }
    Ok(())
}

fn the_corpus_names_the_refused_host(played: &mut Played) -> Result<()> {
    let corpus = &played.corpus;
    let mut counts = BTreeMap::<&str, usize>::new();
    for (group, text) in corpus.spellings() {
        let by = names_refused(text)
            .with_context(|| format!("{group}: {:?} names another host", visible(text)))?;
        *counts.entry(by).or_default() += 1;
    }
    for shape in &corpus.shapes {
        let whole = format!("{:?}{:?}", shape.request, shape.h2).to_ascii_lowercase();
        let number = whole.contains("1572394766");
        ensure!(
            whole.contains("efused.example.com") || number,
            "{} does not name the refused host",
            shape.name
        );
    }
    for one in &corpus.look_alikes {
        let by = names_refused(&one.authority);
        ensure!(by.is_none(), "{}: {:?} reads it as the refused host", one.name, by);
    }
    println!("{counts:?}, {} shapes, {} look-alikes", corpus.shapes.len(), corpus.look_alikes.len());
    ensure!(counts.values().sum::<usize>() >= 150, "{counts:?}");
    Ok(())
}

fn none_through(rows: &[Row]) -> Result<()> {
    for (listener, head) in HEADS.iter().enumerate() {
        println!("{head}: {} of {} through", through(rows, listener), rows.len());
    }
    for row in rows {
        for listener in OURS {
            let outcome = row.outcomes.get(listener).context("a column is missing")?;
            ensure!(!outcome.through, "{} ({}): {outcome:?}", row.what, visible(&row.sent));
        }
    }
    // A corpus that natively refuses all, too, would compare nothing.
    ensure!(through(rows, 1) > 0, "native RBAC lets nothing through");
    Ok(())
}

fn no_spelling_goes_through_ours(played: &mut Played) -> Result<()> {
    none_through(&played.spellings)?;
    // They name nothing but the refused host, so nothing of them may arrive under any name.
    for row in &played.spellings {
        for listener in OURS {
            let outcome = row.outcomes.get(listener).context("a column is missing")?;
            ensure!(outcome.site_saw.is_empty(), "{} ({}): {outcome:?}", row.what, visible(&row.sent));
        }
    }
    Ok(())
}

/// What the gateway's Envoy hands on is a reading of the refused path still, unless it has refused it itself.
fn no_path_goes_through_ours(played: &mut Played) -> Result<()> {
    for (group, target) in played.corpus.paths() {
        ensure!(names_refused_path(target), "{group}: no site reads {target:?} as {REFUSED_PATH}");
    }
    for other in ["/", "/public", "/administrator", "/admin/x", "/x/admin"] {
        ensure!(!names_refused_path(other), "{other}");
    }
    none_through(&played.paths)
}

fn no_shape_goes_through_ours(played: &mut Played) -> Result<()> {
    none_through(&played.shapes)
}

fn look_alikes_get_what_is_their_due(played: &mut Played) -> Result<()> {
    for (row, one) in played.look_alikes.iter().zip(&played.corpus.look_alikes) {
        let [deny, _, allow, _] = row.outcomes.as_slice() else { anyhow::bail!("columns are missing") };
        // Envoy itself refuses some that are no header values of HTTP.
        let envoy = |outcome: &Outcome| outcome.ended == "400";
        let due = match one.deny_list.as_str() {
            "admitted" => deny.site_saw.len() == 1,
            reason => deny.site_saw.is_empty() && (deny.ended == reason || envoy(deny)),
        };
        ensure!(due, "{} ({}) at the DENY list: {deny:?}", one.name, visible(&one.authority));
        ensure!(allow.site_saw.is_empty(), "{} at the ALLOW list: {allow:?}", one.name);
        let reason = if one.deny_list == "admitted" { "no_allow_matched" } else { &one.deny_list };
        ensure!(allow.ended == reason || envoy(allow), "{} at the ALLOW list: {allow:?}", one.name);
    }
    Ok(())
}

/// Without this, lists that refuse everything would pass.
fn the_lists_work_for_plain_requests(played: &mut Played) -> Result<()> {
    let [name, ip, allowed] = played.plain.as_slice() else { anyhow::bail!("rows are missing") };
    for row in [name, ip] {
        ensure!(
            row.outcomes.iter().all(|outcome| outcome.site_saw.is_empty()),
            "{}: {:?}",
            row.sent,
            row.outcomes
        );
        ensure!(row.outcomes.first().is_some_and(|outcome| outcome.ended == REASON), "{:?}", row.outcomes);
    }
    ensure!(allowed.outcomes.iter().all(|outcome| outcome.site_saw == [ALLOWED]), "{:?}", allowed.outcomes);
    Ok(())
}

/// Other Envoys differ in what they refuse themselves; the page is that of the newest.
fn the_page_shows_what_was_measured(played: &mut Played) -> Result<()> {
    if played.version != DEFAULT_VERSION {
        println!(
            "not applicable: the page is that of Envoy {DEFAULT_VERSION}, and this is {}",
            played.version
        );
        return Ok(());
    }
    let mut summary = String::from(
        "| corpus | requests | DENY, ours | DENY, native | ALLOW, ours | ALLOW, native |\n|---|---|---|---|---|---|\n",
    );
    let parts = [("spellings", &played.spellings), ("paths", &played.paths), ("shapes", &played.shapes)];
    for (name, rows) in parts {
        let counts: Vec<String> = (0..HEADS.len()).map(|at| through(rows, at).to_string()).collect();
        summary.push_str(&format!("| {name} | {} | {} |\n", rows.len(), counts.join(" | ")));
    }
    table::compare(&BTreeMap::from([
        ("summary", summary),
        ("spellings", markdown(["how", "`host`"], &HEADS, &played.spellings)),
        ("paths", markdown(["how", "path"], &HEADS, &played.paths)),
        ("shapes", markdown(["shape", "sent"], &HEADS, &played.shapes)),
        ("look-alikes", markdown(["what", "`host`"], &HEADS, &played.look_alikes)),
    ]))
}
