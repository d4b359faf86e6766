//! The guards: what is refused whatever the policies say, and where an admitted request is carried.

use super::decision::Pending;
use super::reason::Reason;
use super::view::View;
use crate::attributes::{Protocol, Unreadable};
use crate::config::{Effect, Guard, Mode, Settings, Unauthenticated};
use crate::facts::{BrokenHello, Facts, Fetch, Opening, Target};
use crate::names::{RoutedHost, ServerName, is_global, same_host};
use crate::peer::Peer;
use std::net::IpAddr;

/// Step 1: a peer that is refused.
pub(super) fn peer(settings: &Settings, facts: &Facts<'_>) -> Option<Reason<'static>> {
    match facts.peer() {
        Err(Unreadable) => Some(Reason::AttributeUnavailable),
        Ok(Peer::Invalid) => Some(Reason::InvalidIdentity),
        Ok(Peer::Foreign(_)) => Some(Reason::UntrustedDomain),
        Ok(Peer::Nobody) if settings.unauthenticated == Unauthenticated::Deny => {
            Some(Reason::Unauthenticated)
        }
        Ok(Peer::Nobody | Peer::Workload(_)) => None,
    }
}

/// Step 1: a host or a hello that is malformed.
pub(super) fn host(facts: &Facts<'_>) -> Option<Reason<'static>> {
    match facts.target() {
        Err(Unreadable) => Some(Reason::AttributeUnavailable),
        Ok(Target::Malformed) => Some(Reason::MalformedHost),
        Ok(Target::Broken(BrokenHello::Malformed)) => Some(Reason::MalformedHello),
        Ok(Target::Broken(BrokenHello::Oversized)) => Some(Reason::OversizedHello),
        Ok(Target::Broken(BrokenHello::Late)) => Some(Reason::HelloTimeout),
        Ok(Target::Host(..) | Target::Unknown) => None,
    }
}

/// Step 2: the outer server name names another host than the request, or than the hello inside.
pub(super) fn sni_mismatch(settings: &Settings, facts: &Facts<'_>, view: View) -> Option<Reason<'static>> {
    // Without a name inside, a connection's host is the outer server name itself, or unknown.
    let compared = !matches!(
        facts.opening(),
        Some(Opening::Plain | Opening::Broken(_) | Opening::Tls { server_name: None, .. })
    );
    if !view.enforces(settings.sni_mismatch) || !compared {
        return None;
    }
    let host = facts.host()?;
    match facts.server_name(Fetch::AskEnvoy) {
        Err(Unreadable) => Some(Reason::AttributeUnavailable),
        Ok(None) => None,
        // Nearly always, and then nothing has to be parsed.
        Ok(Some(name)) if host.is_spelled(name) => None,
        Ok(Some(name)) => (!same_host(&ServerName::parse(name), host)).then_some(Reason::SniMismatch),
    }
}

/// Step 2: an encrypted ClientHello.
pub(super) fn encrypted_hello(settings: &Settings, facts: &Facts<'_>) -> Option<Reason<'static>> {
    let encrypted = matches!(facts.opening(), Some(Opening::Tls { encrypted: true, .. }));
    (encrypted && settings.encrypted_client_hello == Effect::Deny).then_some(Reason::EncryptedHello)
}

/// Step 4: the literal that is asked for, where it is not on the public Internet.
pub(super) fn private_literal(settings: &Settings, facts: &Facts<'_>) -> Option<IpAddr> {
    if settings.private_addresses == Effect::Allow {
        return None;
    }
    facts.host()?.ip().filter(|ip| !is_global(*ip))
}

/// Step 8: the gateway carries the request to another host than it was judged by.
pub(super) fn route_mismatch(settings: &Settings, facts: &Facts<'_>, view: View) -> Option<Reason<'static>> {
    if !view.enforces(settings.route_mismatch) {
        return None;
    }
    // Where no host is known, none was judged by.
    let host = facts.host()?;
    match facts.cluster() {
        Err(Unreadable) => Some(Reason::AttributeUnavailable),
        Ok(cluster) => {
            let routed = RoutedHost::parse(cluster?)?;
            (!routed.leads_to(host)).then_some(Reason::RouteMismatch)
        }
    }
}

/// Step 8: the site's address is not on the public Internet.
pub(super) fn private_upstream(settings: &Settings, facts: &Facts<'_>) -> Option<Reason<'static>> {
    let guarded = settings.private_upstreams == Effect::Deny && facts.opening().is_some();
    if !guarded {
        return None;
    }
    match facts.upstream_address() {
        Err(Unreadable) => Some(Reason::AttributeUnavailable),
        Ok(address) => (!is_global(address?)).then_some(Reason::PrivateUpstream),
    }
}

/// What a guard of step 8 waits for: on NETWORK the gateway may not have chosen yet.
pub(super) fn pending(settings: &Settings, facts: &Facts<'_>) -> Option<Pending> {
    if facts.protocol() != Protocol::Network {
        return None;
    }
    let is_chosen = || !matches!(facts.cluster().map(Option::unwrap_or_default), Ok(name) if name.is_empty());
    // An address that cannot be read is there, and refused.
    if settings.private_upstreams == Effect::Deny && facts.upstream_address() == Ok(None) {
        let holds = is_chosen() && settings.mode == Mode::Enforce;
        return Some(if holds { Pending::Address } else { Pending::Route });
    }
    // Where no host is known, none was judged by, and there is nothing to compare.
    let compares = settings.route_mismatch != Guard::Allow && facts.host().is_some();
    (compares && !is_chosen()).then_some(Pending::Route)
}
