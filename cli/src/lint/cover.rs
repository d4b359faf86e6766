//! Whether one list of hosts lies inside another.

use super::matches::{is_at_or_below, patterns};
use egress_policy::Truth;
use egress_policy::names::Host;
use egress_policy::patterns::{HostPattern, HostShape, NamespacePattern, PortPattern};
use egress_policy::rules::{Comparison, Field, HostEntry, Predicate, Rule};

/// Whether every host of `field` is one that a rule of a mesh-wide DENY refuses, for workloads of `namespace`.
pub(super) fn denies_all(deny: &Rule, namespace: Option<&str>, hosts: &Field<HostEntry>) -> bool {
    if !deny.when.is_empty() || !(deny.from.is_empty() || deny.from.iter().any(|s| is_of(s, namespace))) {
        return false;
    }
    if deny.to.is_empty() {
        return true;
    }
    !hosts.values.is_empty()
        && patterns(&hosts.values).all(|asked| deny.to.iter().any(|operation| covers_all(operation, asked)))
}

/// Whether a source is every workload of the namespace.
fn is_of(source: &[Predicate], namespace: Option<&str>) -> bool {
    let holds = |pattern: &NamespacePattern| namespace.is_some_and(|own| pattern.matches(own));
    match source {
        [Predicate { comparison: Comparison::Namespace(field), .. }] => {
            (field.values.is_empty() || field.values.iter().any(holds))
                && namespace.is_some()
                && !field.not_values.iter().any(holds)
        }
        _ => false,
    }
}

/// Whether an operation that asks for hosts alone covers everything that a pattern does.
fn covers_all(operation: &[Predicate], asked: &HostPattern) -> bool {
    let [Predicate { comparison: Comparison::Host(field), .. }] = operation else {
        return false;
    };
    (field.values.is_empty() || patterns(&field.values).any(|pattern| covers(pattern, asked)))
        && !patterns(&field.not_values).any(|pattern| meet(pattern, asked))
}

/// Whether all that `inner` matches is matched by `outer`.
fn covers(outer: &HostPattern, inner: &HostPattern) -> bool {
    let port = match (outer.port(), inner.port()) {
        (PortPattern::Any, _) => true,
        (outer, inner) => outer == inner,
    };
    port && match (outer.shape(), inner.shape()) {
        (HostShape::Any, _) => true,
        (HostShape::Below(outer), HostShape::Below(inner)) => is_at_or_below(inner, outer),
        (HostShape::BeginsWith(outer), HostShape::BeginsWith(inner)) => {
            inner == outer || inner.strip_prefix(&**outer).is_some_and(|rest| rest.starts_with('.'))
        }
        (_, HostShape::Exact(host)) => matches_host(outer, host),
        _ => false,
    }
}

/// Whether some host may be matched by both; where it is hard to say, yes.
fn meet(one: &HostPattern, other: &HostPattern) -> bool {
    match (one.shape(), other.shape()) {
        (_, HostShape::Exact(host)) => matches_host(one, host),
        (HostShape::Exact(host), _) => matches_host(other, host),
        (HostShape::Below(one), HostShape::Below(other)) => {
            is_at_or_below(one, other) || is_at_or_below(other, one)
        }
        _ => true,
    }
}

/// Whether a pattern covers a host on some port.
fn matches_host(pattern: &HostPattern, host: &Host) -> bool {
    pattern.matches(host, None) != Truth::False
}
