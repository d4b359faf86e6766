//! What log collectors put around a line. It is taken away only where the outside is known to be a collector's: its other fields
//! are those that collectors write, so that no field of somebody's access log passes for a line.

use egress_policy::config::{Json, Object};

/// A line within a line.
#[derive(Debug)]
pub(super) struct Prefixed<'l> {
    pub(super) text: &'l str,
    /// Which stream it is of, and whether it goes on in the next line of that stream (`P` of the container runtime interface).
    pub(super) piece: Option<(Stream, bool)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

/// What a collector's object holds.
#[derive(Debug)]
pub(super) enum Inner<'o> {
    Text {
        text: &'o str,
        /// Docker's own file: a line that does not end goes on in the next object of this stream.
        piece: Option<(Stream, bool)>,
    },
    Object(&'o Object),
    /// There is something inside, and this key beside it is no collector's.
    UnknownKey(&'o str),
}

/// Where objects hold an object that is the line, read.
const OBJECTS: &[&str] =
    &["jsonPayload", "log_processed", "_source", "json", "result", "event", "structured"];
/// Where objects hold the line as text.
const TEXTS: &[&str] = &[
    "textPayload",
    "log",
    "message",
    "msg",
    "line",
    "_raw",
    "MESSAGE",
    "LogEntry",
    "LogMessage",
    "body",
    "event",
    "@message",
];
/// What collectors say about a line.
#[rustfmt::skip]
const ABOUT: &[&str] = &[
    "@log", "@logStream", "@ptr", "@timestamp", "@version", "Computer", "ContainerID", "ContainerName", "LogEntrySource",
    "LogSource", "PodName", "PodNamespace", "TimeGenerated", "TenantId", "Type", "_id", "_index", "_p", "_score", "_time", "_type",
    "agent", "app", "attributes", "attrs", "aws", "cloud", "cluster", "cluster_name", "container", "containerName", "container_id",
    "container_image", "container_name", "data_stream", "date", "docker", "ecs", "env", "environment", "eventId", "fields", "file",
    "filename", "flags", "host", "hostname", "id", "index", "ingestionTime", "ingest", "input", "insertId", "instance", "job",
    "kubernetes", "labels", "lastrow", "level", "log", "event", "logGroupName", "logName", "logStreamName", "logtag", "namespace",
    "namespace_name", "node", "node_name", "observedTimestamp", "observed_timestamp", "offset", "orchestrator", "pod", "podName",
    "pod_name", "preview", "process", "receiveTimestamp", "resource", "service", "severity", "sort", "source", "source_type",
    "sourcetype", "sourceLocation", "spanId", "splunk", "stream", "structured_metadata", "tag", "tags", "thread", "time",
    "timestamp", "timestampNanos", "trace", "ts",
];

/// Docker cuts lines of more bytes than this.
const DOCKER_CUT: usize = 16 << 10;

/// The line behind what a runtime or `kubectl logs`, `docker compose logs`, `stern` puts in front of it.
pub(super) fn prefixed(line: &str) -> Option<Prefixed<'_>> {
    let whole = |text| Prefixed { text, piece: None };
    // `[pod/NAME/CONTAINER] `: kubectl logs --prefix
    if let Some(rest) = line.strip_prefix("[pod/") {
        let (name, text) = rest.split_once("] ")?;
        return is_name(name, "/").then(|| whole(text));
    }
    let (first, rest) = line.split_once(' ')?;
    if is_nanosecond(first) {
        for (name, stream) in [("stdout ", Stream::Out), ("stderr ", Stream::Err)] {
            if let Some((tag, text)) = rest.strip_prefix(name).and_then(|rest| rest.split_once(' ')) {
                // Tags have more parts, with colons between them; the first says whether the line is whole.
                let is_part = match tag.split(':').next() {
                    Some("F") => false,
                    Some("P") => true,
                    _ => return None,
                };
                return Some(Prefixed { text, piece: Some((stream, is_part)) });
            }
        }
        // kubectl logs --timestamps
        return Some(whole(rest));
    }
    if !is_name(first, "") {
        return None;
    }
    // docker compose logs
    if let Some(text) = rest.trim_start().strip_prefix("| ") {
        return Some(whole(text));
    }
    // stern
    rest.strip_prefix("› ").unwrap_or(rest).strip_prefix("istio-proxy ").map(whole)
}

/// What a collector's object holds; none where it holds nothing.
pub(super) fn inner(object: &Object) -> Option<Inner<'_>> {
    let text = TEXTS.iter().find_map(|key| match object.get(key) {
        Some(Json::Text(text)) => Some((*key, &**text)),
        _ => None,
    });
    let objects = OBJECTS.iter().find_map(|key| match object.get(key) {
        // Beside a text, these say something about it.
        Some(Json::Object(_))
            if text.is_some() && matches!(*key, "event" | "json" | "result" | "structured") =>
        {
            None
        }
        Some(Json::Object(inner)) => Some((*key, inner)),
        _ => None,
    });
    let held = objects.map(|(key, _)| key).or(text.map(|(key, _)| key))?;
    let is_known = |key: &str, value: &Json| {
        let is_text = matches!(value, Json::Text(_));
        let is_journal = key.starts_with(['_']) || key.starts_with("SYSLOG_") || key == "PRIORITY";
        let is_same_line = objects.is_some() && TEXTS.contains(&key);
        key == held
            || is_same_line
            || is_journal
            || (ABOUT.contains(&key) && !(is_text && TEXTS.contains(&key)))
    };
    if let Some((key, _)) = object.0.iter().find(|(key, value)| !is_known(key, value)) {
        return Some(Inner::UnknownKey(key));
    }
    match (objects, text) {
        (Some((_, inner)), _) => Some(Inner::Object(inner)),
        (None, Some((_, text))) => {
            let is_part = !text.ends_with('\n') && text.len() >= DOCKER_CUT;
            let piece = docker_stream(object).map(|stream| (stream, is_part));
            Some(Inner::Text { text: text.trim_end_matches(['\n', '\r']), piece })
        }
        (None, None) => None,
    }
}

/// The stream of an object of Docker's `json-file`, which has these keys and no others.
fn docker_stream(object: &Object) -> Option<Stream> {
    let is_docker = object.0.iter().all(|(key, _)| matches!(&**key, "log" | "stream" | "time" | "attrs"));
    match object.get("stream") {
        Some(Json::Text(stream)) if is_docker => match &**stream {
            "stdout" => Some(Stream::Out),
            "stderr" => Some(Stream::Err),
            _ => None,
        },
        _ => None,
    }
}

fn is_name(text: &str, more: &str) -> bool {
    let is_in_name = |c: char| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_') || more.contains(c)
    };
    !text.is_empty() && text.chars().all(is_in_name)
}

/// A time as runtimes write it, to the nanosecond: an access log's own is to the millisecond.
fn is_nanosecond(text: &str) -> bool {
    let is_time = text.chars().all(|c| c.is_ascii_digit() || "-:.TZ+".contains(c));
    let fraction = text.split_once('.').map(|(_, rest)| rest).unwrap_or_default();
    is_time && text.contains('T') && fraction.chars().take_while(char::is_ascii_digit).count() == 9
}
