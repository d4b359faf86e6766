//! Which of a log's requests an ALLOW policy of the peer's own namespace is to admit: what `suggest` proposes policies for, and
//! what `test` then expects to be allowed.

use crate::request_log::{LoggedRequest, Refusal};
use egress_policy::names::{SpiffeId, is_dns_label};
use egress_policy::patterns::{AccountPattern, HostPattern};
use egress_policy::{Config, ConfigError, Engine};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The guards that a configuration has where it says nothing of them.
pub(crate) struct Guards {
    http: Engine,
    network: Engine,
}

/// Who is to reach what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admissible {
    pub(crate) peer: SpiffeId,
    /// Without a port.
    pub(crate) host: String,
}

/// Why no policy is to admit a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inadmissible {
    /// A DENY policy or a guard, by its reason.
    Reason(String),
    /// Another filter refused it, by its word.
    Filter(String),
    /// Envoy did not serve it, by its word.
    NotServed(String),
    NoHost,
    /// Kubernetes knows no such namespace or service account.
    NoAccount,
}

/// What is left out, counted.
#[derive(Debug, Default)]
pub(crate) struct Omissions {
    /// Of each reason, how many and the first.
    reasons: BTreeMap<String, (u64, String)>,
    filters: Words,
    not_served: Words,
}

/// Requests that others ended, and their words for it.
#[derive(Debug, Default)]
struct Words {
    count: u64,
    first: String,
    words: BTreeSet<String>,
}

/// So many reasons, and words, are told apart.
const MOST_REASONS: usize = 200;
const MOST_WORDS: usize = 10;

// === impl Guards ===

impl Guards {
    /// The guards of a mesh with these trust domains.
    ///
    /// # Errors
    /// A trust domain that is none.
    pub(crate) fn new<'d>(domains: impl IntoIterator<Item = &'d str>) -> Result<Self, Vec<ConfigError>> {
        let domains: Vec<_> = domains.into_iter().collect();
        let engine = |kind: &str| {
            let config = serde_json::json!({
                "type": kind, "trustDomains": domains, "policies": [{"name": "all", "rules": [{}]}],
            });
            Config::parse(config.to_string().as_bytes()).map(Engine::new)
        };
        Ok(Self { http: engine("HTTP")?, network: engine("NETWORK")? })
    }

    /// Who is to reach what by a logged request.
    pub(crate) fn admissible(&self, logged: &LoggedRequest) -> Result<Admissible, Inadmissible> {
        match logged.refusal.clone() {
            Some(Refusal::Meant(reason)) => return Err(Inadmissible::Reason(reason)),
            Some(Refusal::Filter(word)) => return Err(Inadmissible::Filter(word)),
            Some(Refusal::NotServed(word)) => return Err(Inadmissible::NotServed(word)),
            Some(Refusal::NoPolicy) | None => {}
        }
        let engine = if logged.request.network { &self.network } else { &self.http };
        let facts = logged.request.facts(engine.settings());
        let verdict = engine.decide(&facts).verdict;
        // Everything that is still refused is refused by a guard.
        if let Some(verdict) = verdict.filter(|verdict| verdict.effect.word() == "deny") {
            return Err(Inadmissible::Reason(verdict.reason.to_string()));
        }
        let host = facts.host().ok_or(Inadmissible::NoHost)?.to_string();
        let peer = facts.peer().ok().and_then(|peer| peer.workload()).ok_or(Inadmissible::NoAccount)?;
        let is_account = is_dns_label(peer.namespace())
            && AccountPattern::parse(peer.service_account(), Some(peer.namespace())).is_ok();
        if !is_account {
            return Err(Inadmissible::NoAccount);
        }
        // A host that no policy can name.
        HostPattern::parse(&host).map_err(|_| Inadmissible::NoHost)?;
        Ok(Admissible { peer: peer.clone(), host })
    }
}

// === impl Inadmissible ===

impl fmt::Display for Inadmissible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reason(reason) => f.write_str(reason),
            Self::Filter(word) => write!(f, "refused by another filter ({word})"),
            Self::NotServed(word) => write!(f, "not served by Envoy ({word})"),
            Self::NoHost => f.write_str("it names no host"),
            Self::NoAccount => f.write_str("the peer is no service account that Kubernetes could have"),
        }
    }
}

// === impl Omissions ===

impl Omissions {
    pub(crate) fn add(&mut self, why: &Inadmissible, logged: &LoggedRequest) {
        let words = match why {
            Inadmissible::Filter(word) => (&mut self.filters, word),
            Inadmissible::NotServed(word) => (&mut self.not_served, word),
            _ => return self.add_reason(why.to_string(), logged),
        };
        let (words, word) = words;
        words.count += 1;
        if words.count == 1 {
            words.first = logged.title();
        }
        if words.words.len() < MOST_WORDS {
            words.words.insert(word.clone());
        }
    }

    fn add_reason(&mut self, reason: String, logged: &LoggedRequest) {
        let is_new = self.reasons.len() >= MOST_REASONS && !self.reasons.contains_key(&reason);
        let reason = if is_new { "for other reasons".to_owned() } else { reason };
        self.reasons.entry(reason).or_insert_with(|| (0, logged.title())).0 += 1;
    }

    pub(crate) fn count(&self) -> u64 {
        self.filters.count
            + self.not_served.count
            + self.reasons.values().map(|(count, _)| count).sum::<u64>()
    }

    /// A line for each reason, with a word in front; `own_domains` is where trust domains of one's own are named.
    pub(crate) fn notes(&self, word: &str, own_domains: &str) -> Vec<String> {
        let others =
            [("refused by another filter", &self.filters), ("not served by Envoy", &self.not_served)];
        let others = others.into_iter().filter(|(_, words)| words.count > 0).map(|(what, words)| {
            let list = words.words.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            (format!("{what} ({list})"), words.count, words.first.as_str())
        });
        let reasons =
            self.reasons.iter().map(|(reason, (count, first))| (reason.clone(), *count, first.as_str()));
        reasons
            .chain(others)
            .map(|(reason, count, first)| {
                let repair = match reason.as_str() {
                    "untrusted_domain" => format!("; if it is your mesh's own, name it in {own_domains}"),
                    _ => String::new(),
                };
                format!("{word}, {reason}: {count} (the first is {first}){repair}")
            })
            .collect()
    }
}
