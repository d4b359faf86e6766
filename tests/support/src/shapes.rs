//! Configurations of any number of policies, in the shapes that people write, and a request that each allows.
//!
//! The request of a shape is allowed by its last policy, so that whoever walks the policies walks all of them.

use serde_json::{Value, json};

/// How the policies of a configuration look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shape {
    /// Many namespaces, each with a policy that allows one host.
    Namespaces,
    /// One namespace with many policies of one exact host each.
    Hosts,
    /// One namespace with many wildcards.
    Wildcards,
    /// Mesh-wide policies, each for one namespace by `namespaces`.
    MeshNamespaces,
    /// Mesh-wide policies, each for one workload by `principals`.
    MeshPrincipals,
    /// Mesh-wide policies, each for one workload by `serviceAccounts`.
    MeshAccounts,
    /// One namespace; each policy names a host, methods and paths.
    MethodsPaths,
    /// The same, asked for a path that sites read in several ways, which all agree.
    EncodedPaths,
    /// Nine policies of ten are mesh-wide DENY ones.
    DenyHeavy,
    /// Policies of all these kinds for one namespace, and the last, for everybody and any host, is the one that matches.
    MatchLast,
    /// One namespace and one host, and each policy another path: what tells them apart is neither identity nor host.
    Paths,
}

/// Who asks for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// `namespace/service-account`
    pub workload: String,
    /// The host, also the outer server name.
    pub host: String,
    /// The path.
    pub path: String,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Namespaces,
        Self::Hosts,
        Self::Wildcards,
        Self::MeshNamespaces,
        Self::MeshPrincipals,
        Self::MeshAccounts,
        Self::MethodsPaths,
        Self::EncodedPaths,
        Self::DenyHeavy,
        Self::MatchLast,
        Self::Paths,
    ];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Hosts => "hosts",
            Self::Wildcards => "wildcards",
            Self::MeshNamespaces => "mesh-namespaces",
            Self::MeshPrincipals => "mesh-principals",
            Self::MeshAccounts => "mesh-accounts",
            Self::MethodsPaths => "methods-paths",
            Self::EncodedPaths => "encoded-paths",
            Self::DenyHeavy => "deny-heavy",
            Self::MatchLast => "match-last",
            Self::Paths => "paths",
        }
    }

    /// The shape of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.name() == name)
    }

    /// The configuration.
    #[must_use]
    pub fn config(self, policies: usize) -> Value {
        json!({"policies": (0..policies).map(|at| self.policy(at, policies)).collect::<Vec<_>>()})
    }

    fn policy(self, at: usize, of: usize) -> Value {
        let name = format!("p-{at:06}");
        let (team, site) = (team(at), site(at));
        match self {
            Self::Namespaces => {
                json!({"name": "egress", "namespace": team, "rules": [to(json!({"hosts": [site]}))]})
            }
            Self::Hosts => {
                json!({"name": name, "namespace": "shop", "rules": [to(json!({"hosts": [site]}))]})
            }
            Self::Wildcards => {
                json!({"name": name, "namespace": "shop", "rules": [to(json!({"hosts": [format!("*.{site}")]}))]})
            }
            Self::MeshNamespaces => mesh(&name, json!({"namespaces": [team]}), &site),
            Self::MeshPrincipals => {
                mesh(&name, json!({"principals": [format!("cluster.local/ns/{team}/sa/app")]}), &site)
            }
            Self::MeshAccounts => mesh(&name, json!({"serviceAccounts": [format!("{team}/app")]}), &site),
            Self::MethodsPaths | Self::EncodedPaths => {
                let operation = json!({"hosts": [site], "methods": ["GET", "HEAD"], "paths": ["/static/*", "/v1/{*}/items"]});
                json!({"name": name, "namespace": "shop", "rules": [to(operation)]})
            }
            Self::DenyHeavy if at % 10 == 9 => {
                json!({"name": name, "namespace": "shop", "rules": [to(json!({"hosts": [site]}))]})
            }
            Self::DenyHeavy => {
                let host = if at.is_multiple_of(2) { site } else { format!("*.{site}") };
                json!({"name": name, "action": "DENY", "rules": [to(json!({"hosts": [host]}))]})
            }
            Self::MatchLast if at + 1 == of => {
                json!({"name": name, "rules": [to(json!({"hosts": ["*"]}))]})
            }
            Self::MatchLast => {
                let kinds =
                    [Self::Hosts, Self::Wildcards, Self::MethodsPaths, Self::MeshAccounts, Self::DenyHeavy];
                kinds.get(at % kinds.len()).copied().unwrap_or(Self::Hosts).policy(at, of)
            }
            Self::Paths => {
                let operation = json!({"hosts": ["api.example"], "paths": [format!("/{name}/*")]});
                json!({"name": name, "namespace": "shop", "rules": [to(operation)]})
            }
        }
    }

    /// A request that the last policy allows.
    #[must_use]
    pub fn probe(self, policies: usize) -> Probe {
        self.probe_of(policies.saturating_sub(1))
    }

    /// A request that the policy at a position allows (which must allow something: in [`Shape::DenyHeavy`] every
    /// tenth does, in [`Shape::MatchLast`] only the last).
    #[must_use]
    pub fn probe_of(self, at: usize) -> Probe {
        let probe = |workload: &str, host: String, path: &str| Probe {
            workload: workload.to_owned(),
            host,
            path: path.to_owned(),
        };
        match self {
            Self::Namespaces | Self::MeshNamespaces | Self::MeshPrincipals | Self::MeshAccounts => {
                probe(&format!("{}/app", team(at)), site(at), "/")
            }
            Self::Hosts | Self::DenyHeavy => probe("shop/app", site(at), "/"),
            Self::Wildcards => probe("shop/app", format!("www.{}", site(at)), "/"),
            Self::MethodsPaths => probe("shop/app", site(at), "/v1/books/items"),
            Self::EncodedPaths => probe("shop/app", site(at), "/v1/old%20books;v=2/items"),
            Self::MatchLast => probe("shop/app", "www.elsewhere.example".to_owned(), "/"),
            Self::Paths => probe("shop/app", "api.example".to_owned(), &format!("/p-{at:06}/x")),
        }
    }

    /// Positions of policies that allow something, spread over all of them.
    #[must_use]
    pub fn positions(self, policies: usize, count: usize) -> Vec<usize> {
        match self {
            Self::MatchLast => vec![policies.saturating_sub(1)],
            Self::DenyHeavy => spread(policies / 10, count).map(|at| at * 10 + 9).collect(),
            _ => spread(policies, count).collect(),
        }
    }
}

/// `count` numbers below `of` at most, in no order that a cache would like.
fn spread(of: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(of);
    // A prime that divides no such count walks through all residues.
    (0..count).map(move |at| (at * 7_919 % count) * of / count)
}

fn team(at: usize) -> String {
    format!("team-{at:06}")
}

fn site(at: usize) -> String {
    format!("api.partner-{at:06}.example")
}

fn to(operation: Value) -> Value {
    json!({"to": [{"operation": operation}]})
}

fn mesh(name: &str, source: Value, host: &str) -> Value {
    json!({"name": name, "rules": [{"from": [{"source": source}], "to": [{"operation": {"hosts": [host]}}]}]})
}
