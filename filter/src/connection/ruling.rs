//! Asks the configurations that decide about a connection.

use super::state::{Question, Ruling};
use crate::host::Stream;
use crate::instance::PluginInstance;
use crate::loaded::LoadedConfig;
use crate::registry::{Deciding, Epoch, Origin};
use egress_policy::{Decision, Facts, Opening, Pending, Protocol, Reason, Timestamp};

/// Answers a question about a connection that came from `origin`, and tells what was decided.
pub(super) fn rule(
    instance: &PluginInstance,
    stream: &dyn Stream,
    origin: &Origin,
    question: &Question,
) -> Ruling {
    let deciding = instance.deciding(origin, || listener(stream));
    let epoch = instance.worker().registry.borrow().epoch();
    let asked = Asked { instance, stream, deciding, epoch };
    match question {
        Question::Opens(opening) => asked.opens(opening),
        Question::SiteOpens if is_identity_pending(stream) => asked.refuse(Reason::IdentityPending),
        Question::SiteOpens => asked.opens(&Opening::Plain),
        Question::Unreadable => asked.refuse(Reason::AttributeUnavailable),
        Question::Recheck(opening) => asked.recheck(opening),
        Question::Guard(opening) => asked.guard(opening),
    }
}

/// The gateway's address that the connection came to: which of its listeners took it.
pub(super) fn listener(stream: &dyn Stream) -> Option<Vec<u8>> {
    stream.destination_address().ok().flatten().filter(|address| !address.is_empty())
}

/// Whether the peer's certificate may still be on its way: a TLS listener on which none has been seen.
fn is_identity_pending(stream: &dyn Stream) -> bool {
    let name = stream.peer_certificate().ok().flatten().unwrap_or_default();
    name.is_empty() && stream.presents_certificate() != Ok(true) && stream.is_tls() != Ok(false)
}

/// One question, and whom it goes to.
struct Asked<'a> {
    instance: &'a PluginInstance,
    stream: &'a dyn Stream,
    deciding: Deciding,
    epoch: Epoch,
}

/// What all that were asked say together, none of them having refused.
#[derive(Default)]
struct Together {
    pending: Option<Pending>,
    next_change: Option<Timestamp>,
}

impl Together {
    fn add(&mut self, decision: &Decision<'_>) {
        self.pending = match (self.pending, decision.pending) {
            // Held is the safer wait.
            (Some(Pending::Address), _) | (_, Some(Pending::Address)) => Some(Pending::Address),
            (before, pending) => before.or(pending),
        };
        let earlier = [self.next_change, decision.next_change].into_iter().flatten().min();
        self.next_change = earlier;
    }

    fn admitted(self, epoch: Epoch) -> Ruling {
        Ruling::Admitted { pending: self.pending, epoch, next_change: self.next_change }
    }
}

impl Asked<'_> {
    fn facts<'f>(&'f self, config: &LoadedConfig, opening: &Opening) -> Facts<'f> {
        Facts::network(self.stream, &config.engine.settings().trust_domains, opening.clone())
    }

    fn report(&self, config: &LoadedConfig, facts: &Facts<'_>, decision: &Decision<'_>) {
        self.instance.worker().report(self.stream, config, facts, decision);
    }

    /// Whether a connection that begins so passes.
    fn opens(&self, opening: &Opening) -> Ruling {
        let mut together = Together::default();
        for config in self.deciding.iter() {
            self.instance.log_wrong_type(config, Protocol::Network);
            let facts = self.facts(config, opening);
            let decision = config.engine.decide(&facts);
            together.add(&decision);
            let is_refused = decision.refusal().is_some();
            let is_last = std::ptr::eq(config, &self.deciding.newest);
            // While the address is awaited nothing is final: it is decided once more, and told then.
            if is_refused || (is_last && together.pending != Some(Pending::Address)) {
                self.report(config, &facts, &decision);
            }
            if is_refused {
                return Ruling::Refused;
            }
        }
        together.admitted(self.epoch)
    }

    /// Whether a live connection still passes.
    fn recheck(&self, opening: &Opening) -> Ruling {
        let mut together = Together::default();
        for config in self.deciding.iter().filter(|config| config.engine.settings().recheck_connections) {
            let facts = self.facts(config, opening);
            let decision = config.engine.decide(&facts);
            if decision.refusal().is_some() {
                self.report(config, &facts, &decision.into_recheck());
                return Ruling::Refused;
            }
            together.add(&decision);
        }
        together.admitted(self.epoch)
    }

    /// What a guard says that had to wait.
    fn guard(&self, opening: &Opening) -> Ruling {
        let mut together = Together::default();
        for config in self.deciding.iter() {
            let facts = self.facts(config, opening);
            let decision = config.engine.decide_pending(&facts);
            if decision.is_notable() {
                self.report(config, &facts, &decision);
            }
            if decision.refusal().is_some() {
                return Ruling::Refused;
            }
            together.add(&decision);
        }
        together.admitted(self.epoch)
    }

    /// Refuses without asking the policies; `mode: DRY_RUN` only says so.
    fn refuse(&self, reason: Reason<'static>) -> Ruling {
        let config = &self.deciding.newest;
        let facts = self.facts(config, &Opening::Plain);
        let decision = config.engine.refuse(reason);
        self.report(config, &facts, &decision);
        let is_enforced =
            |config: &LoadedConfig| config.engine.refuse(Reason::AttributeUnavailable).refusal().is_some();
        if self.deciding.iter().any(|config| is_enforced(config)) {
            return Ruling::Refused;
        }
        Together::default().admitted(self.epoch)
    }
}
