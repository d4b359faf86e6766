//! One value of an AuthorizationPolicy, in our words.

use egress_policy::names::{Host, SpiffeId, is_dns_label, is_dns_subdomain};
use egress_policy::patterns::{
    CidrPattern, HostPattern, NamespacePattern, PathPattern, RequestPrincipalPattern, ServerNamePattern,
    TextPattern, TrustDomainPattern,
};
use egress_policy::rules::Values;

/// How a value can be said here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// With the same meaning.
    Same(Vec<String>),
    /// With another meaning, which is this.
    Changed(Vec<String>, String),
    /// Not at all, which changes nothing: it matches nothing in Istio, or nothing that gets so far here.
    Never(String),
    /// Not at all.
    Unsayable(String),
}

/// What the meaning of a value depends on.
pub(super) struct Scope<'s> {
    /// The namespace of the AuthorizationPolicy.
    pub(super) namespace: &'s str,
    /// The trust domains of the mesh.
    pub(super) domains: &'s [String],
}

/// The values of one field.
pub(super) fn convert(attribute: Values, values: &[String], scope: &Scope<'_>) -> Vec<Said> {
    values.iter().map(|value| convert_one(attribute, value, values, scope)).collect()
}

fn convert_one(attribute: Values, value: &str, beside: &[String], scope: &Scope<'_>) -> Said {
    if value.is_empty() {
        return Said::Unsayable("an empty string".to_owned());
    }
    match attribute {
        Values::Principal => principal(value, scope),
        Values::Namespace => namespace(value),
        Values::ServiceAccount => account(value, scope),
        // Istio puts every alias in the place of a domain that it knows.
        Values::TrustDomain if scope.domains.iter().any(|domain| domain == value) => {
            Said::Same(scope.domains.to_vec())
        }
        Values::TrustDomain => checked(value, TrustDomainPattern::parse(value).is_ok()),
        Values::Address(_) => checked(value, CidrPattern::parse(value).is_ok()),
        Values::Port => checked(value, value.parse::<u16>().is_ok_and(|port| port > 0)),
        Values::Host => host(value, beside),
        Values::Text { parse, .. } => match parse(value) {
            Ok(_) => same(value),
            Err(fault) => Said::Never(fault.to_string()),
        },
        Values::Path => path(value),
        Values::ServerName => server_name(value),
        Values::RequestPrincipal => checked(value, RequestPrincipalPattern::parse(value).is_ok()),
        Values::Header if value == "*" => Said::Changed(
            vec![value.to_owned()],
            "Istio also takes a header that is there and empty".to_owned(),
        ),
        Values::Header | Values::Claim => checked(value, TextPattern::parse(value).is_ok()),
    }
}

fn same(value: &str) -> Said {
    Said::Same(vec![value.to_owned()])
}

/// A value that is written alike, where it can be.
fn checked(value: &str, fits: bool) -> Said {
    if fits {
        same(value)
    } else {
        Said::Unsayable(
            "it cannot be said here: Istio takes the `*` inside literally, or would refuse it".to_owned(),
        )
    }
}

/// The text between the stars that Istio gives a meaning: one in front, or one behind.
fn without_star(value: &str) -> &str {
    match value.strip_prefix('*') {
        Some(rest) => rest,
        None => value.strip_suffix('*').unwrap_or(value),
    }
}

fn principal(value: &str, scope: &Scope<'_>) -> Said {
    if value.starts_with("spiffe://") {
        return Said::Never("Istio puts `spiffe://` in front itself, so this matches nobody".to_owned());
    }
    if value == "*" {
        return same(value);
    }
    if without_star(value).contains('*') {
        return Said::Never("Istio takes the `*` inside literally, so this matches nobody".to_owned());
    }
    if !value.contains('*') && SpiffeId::parse_without_scheme(value).is_err() {
        return Said::Never("it is no workload identity; other peers are refused here".to_owned());
    }
    let with_aliases = scope.domains.len() > 1;
    if with_aliases && value.starts_with('*') && value.split('/').count() == 5 {
        let what = "Istio also takes the aliases of a domain that the pattern fits; here it is the domain as presented";
        return Said::Changed(vec![value.to_owned()], what.to_owned());
    }
    let domain = value.split_once('/').map(|(domain, _)| domain).filter(|domain| !domain.contains('*'));
    match domain {
        Some(domain) if !scope.domains.iter().any(|listed| listed == domain) => Said::Changed(
            vec![value.to_owned()],
            format!("peers of the trust domain {domain} are refused unless it is listed (--trust-domain)"),
        ),
        Some(_) if with_aliases && value.split('/').count() != 5 => Said::Changed(
            vec![value.to_owned()],
            "here it holds for every alias of the trust domain; in Istio only a whole identity does"
                .to_owned(),
        ),
        _ => same(value),
    }
}

fn namespace(value: &str) -> Said {
    if NamespacePattern::parse(value).is_err() {
        return Said::Never("it can match no namespace".to_owned());
    }
    // Istio's regular expression lets a star cross `/`, and every identity has `/sa/` behind the namespace.
    let tail = value.rsplit_once('*').map(|(_, tail)| tail);
    if value != "*" && matches!(tail, Some("a" | "sa")) {
        return Said::Changed(
            vec![value.to_owned()],
            "Istio's expression matches every namespace (it finds the `/sa/` behind it); here it is the \
             namespace alone"
                .to_owned(),
        );
    }
    same(value)
}

fn account(value: &str, scope: &Scope<'_>) -> Said {
    let (namespace, name) = value.split_once('/').unwrap_or((scope.namespace, value));
    if !is_dns_label(namespace) || !is_dns_subdomain(name) {
        return Said::Never("it can be no service account".to_owned());
    }
    Said::Same(vec![format!("{namespace}/{name}")])
}

fn server_name(value: &str) -> Said {
    if ServerNamePattern::parse(value).is_err() {
        return Said::Never("no server name is like that".to_owned());
    }
    Said::Changed(
        vec![value.to_owned()],
        "case does not matter here, and a client that sends no server name is unknown: a DENY refuses it, an \
         ALLOW does not admit it"
            .to_owned(),
    )
}

fn path(value: &str) -> Said {
    if PathPattern::parse(value).is_ok() {
        return same(value);
    }
    let literal = without_star(value);
    let never = value.contains(['?', '#']) || !(literal.starts_with('/') || value.starts_with('*'));
    if never {
        return Said::Never("no path without its query is like that".to_owned());
    }
    Said::Unsayable("Istio takes the `*` inside literally".to_owned())
}

/// Istio holds a pattern against the bytes of `:authority`, with the port where one is written.
fn host(value: &str, beside: &[String]) -> Said {
    let value = value.to_ascii_lowercase();
    let has = |other: &str| beside.iter().any(|value| value.eq_ignore_ascii_case(other));
    if value == "*" {
        return same("*");
    }
    if without_star(&value).contains('*') {
        return Said::Never("Istio takes the second `*` literally, so this matches no host".to_owned());
    }
    // `h:*` is how Istio says "h on any port that is written".
    if let Some(host) = value.strip_suffix(":*") {
        return match HostPattern::parse(host) {
            Ok(_) if has(host) => Said::Same(Vec::new()),
            Ok(_) => Said::Changed(
                vec![host.to_owned()],
                "here it also matches where no port is written".to_owned(),
            ),
            Err(_) => Said::Never("no host is like that".to_owned()),
        };
    }
    if let Some(rest) = value.strip_prefix('*') {
        return host_suffix(rest);
    }
    if let Some(head) = value.strip_suffix('*') {
        return match (head.strip_suffix('.'), HostPattern::parse(&value)) {
            (Some(_), Ok(_)) => same(&value),
            _ => Said::Unsayable("a `*` stands for whole labels here".to_owned()),
        };
    }
    let Ok(pattern) = HostPattern::parse(&value) else {
        return Said::Never("no host is like that".to_owned());
    };
    let canonical = pattern.to_string();
    if let egress_policy::patterns::PortPattern::Only(port) = pattern.port() {
        return if port == 80 {
            Said::Changed(vec![canonical], "here it also matches where no port is written".to_owned())
        } else {
            Said::Same(vec![canonical])
        };
    }
    if has(&format!("{value}:*")) {
        return Said::Same(vec![canonical]);
    }
    Said::Changed(
        vec![canonical],
        "Istio matches it only where no port is written; here on every port".to_owned(),
    )
}

/// `*` and what follows it.
fn host_suffix(rest: &str) -> Said {
    let changed_port = "Istio matches it only where no port is written; here on every port";
    if let Some(domain) = rest.strip_prefix('.') {
        return match HostPattern::parse(&format!("*.{domain}")) {
            Ok(pattern) if pattern.port() == egress_policy::patterns::PortPattern::Any => {
                Said::Changed(vec![pattern.to_string()], changed_port.to_owned())
            }
            Ok(pattern) => Said::Same(vec![pattern.to_string()]),
            Err(_) => Said::Unsayable("no host pattern says this".to_owned()),
        };
    }
    if rest.starts_with(':') && HostPattern::parse(&format!("*{rest}")).is_ok() {
        return Said::Same(vec![format!("*{rest}")]);
    }
    if Host::parse(rest.as_bytes()).is_ok_and(|host| host.ip().is_none()) {
        return Said::Changed(
            vec![rest.to_owned(), format!("*.{rest}")],
            format!(
                "a `*` stands for whole labels here: {rest} and what is below it, not what merely ends so; and on \
                     every port"
            ),
        );
    }
    Said::Unsayable("a `*` stands for whole labels here".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_policy::rules::{Attribute, RulePart};

    /// How the values of a field or a key of `when` are written.
    fn values(key: &str) -> Values {
        let mut fields = [RulePart::Source, RulePart::Operation].into_iter().flat_map(Attribute::fields_of);
        let by_field = fields.find(|(_, field)| field.key == key).map(|(row, _)| row);
        by_field.or_else(|| Attribute::by_condition(key).map(|(row, ..)| row)).unwrap().values
    }

    fn one(key: &str, value: &str) -> Said {
        let scope = Scope { namespace: "own", domains: &["cluster.local".to_owned()] };
        convert(values(key), &[value.to_owned()], &scope).remove(0)
    }

    fn is_same(said: &Said, expected: &[&str]) -> bool {
        *said == Said::Same(expected.iter().map(|text| (*text).to_owned()).collect())
    }

    fn is_changed(said: &Said, expected: &[&str]) -> bool {
        matches!(said, Said::Changed(values, _) if values == expected)
    }

    #[test]
    fn hosts() {
        assert!(is_same(&one("hosts", "*"), &["*"]));
        assert!(is_changed(&one("hosts", "*.Example.com"), &["*.example.com"]));
        assert!(is_changed(&one("hosts", "*example.com"), &["example.com", "*.example.com"]));
        assert!(is_changed(&one("hosts", "www.example.com"), &["www.example.com"]));
        assert!(is_changed(&one("hosts", "www.example.com:*"), &["www.example.com"]));
        assert!(is_same(&one("hosts", "www.example.com:443"), &["www.example.com:443"]));
        assert!(is_changed(&one("hosts", "www.example.com:80"), &["www.example.com:80"]));
        assert!(is_same(&one("hosts", "example.*"), &["example.*"]));
        assert!(is_same(&one("hosts", "*:8443"), &["*:8443"]));
        assert!(matches!(one("hosts", "exam*"), Said::Unsayable(_)));
        assert!(matches!(one("hosts", "10.*"), Said::Unsayable(_)));
        assert!(matches!(one("hosts", "a*b"), Said::Never(_)));
        assert!(matches!(one("hosts", "*.example.*"), Said::Never(_)));
        assert!(matches!(one("hosts", "http://a"), Said::Never(_)));
        let scope = Scope { namespace: "own", domains: &[] };
        let pair = ["A.example".to_owned(), "a.example:*".to_owned()];
        let said = convert(values("hosts"), &pair, &scope);
        assert!(is_same(&said[0], &["a.example"]));
        assert!(is_same(&said[1], &[]));
    }

    #[test]
    fn identities() {
        assert!(is_same(&one("principals", "*"), &["*"]));
        assert!(is_same(&one("principals", "*/sa/x"), &["*/sa/x"]));
        assert!(is_same(&one("principals", "cluster.local/ns/a/*"), &["cluster.local/ns/a/*"]));
        assert!(is_changed(&one("principals", "other/ns/a/sa/x"), &["other/ns/a/sa/x"]));
        for never in ["spiffe://cluster.local/ns/a/sa/x", "*/ns/a/*", "cluster.local/*/x", "someone"] {
            assert!(matches!(one("principals", never), Said::Never(_)), "{never}");
        }
        assert!(is_same(&one("serviceAccounts", "x"), &["own/x"]));
        assert!(is_same(&one("serviceAccounts", "a/x"), &["a/x"]));
        assert!(is_same(&one("namespaces", "prod-*"), &["prod-*"]));
        assert!(is_same(&one("namespaces", "*"), &["*"]));
        assert!(is_changed(&one("namespaces", "*a"), &["*a"]));
    }

    #[test]
    fn aliases() {
        let domains = ["new.example".to_owned(), "old.example".to_owned()];
        let scope = Scope { namespace: "own", domains: &domains };
        let one = |key: &str, value: &str| convert(values(key), &[value.to_owned()], &scope).remove(0);
        assert!(is_same(&one("trustDomains", "old.example"), &["new.example", "old.example"]));
        assert!(is_same(&one("trustDomains", "other.example"), &["other.example"]));
        assert!(is_same(&one("principals", "old.example/ns/a/sa/b"), &["old.example/ns/a/sa/b"]));
        assert!(is_changed(&one("principals", "old.example/ns/a/*"), &["old.example/ns/a/*"]));
        assert!(is_changed(&one("principals", "*.example/ns/a/sa/b"), &["*.example/ns/a/sa/b"]));
    }

    #[test]
    fn requests() {
        assert!(is_same(&one("paths", "/a/{*}/{**}"), &["/a/{*}/{**}"]));
        assert!(is_same(&one("paths", "*.txt"), &["*.txt"]));
        assert!(matches!(one("paths", "/a?b"), Said::Never(_)));
        assert!(matches!(one("paths", "a"), Said::Never(_)));
        assert!(matches!(one("paths", "/a*b"), Said::Unsayable(_)));
        assert!(is_same(&one("methods", "GET"), &["GET"]));
        assert!(matches!(one("methods", "get"), Said::Never(_)));
        assert!(is_changed(&one("request.headers[x]", "*"), &["*"]));
        assert!(is_same(&one("request.headers[x]", "a*"), &["a*"]));
        assert!(matches!(one("request.headers[x]", "a*b"), Said::Unsayable(_)));
        assert!(is_changed(&one("connection.sni", "a.example"), &["a.example"]));
        assert!(is_same(&one("ipBlocks", "10.0.0.0/8"), &["10.0.0.0/8"]));
        assert!(matches!(one("ipBlocks", "10/8"), Said::Unsayable(_)));
        assert!(is_same(&one("ports", "443"), &["443"]));
    }
}
