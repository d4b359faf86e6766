//! One HTTP request: decided when its headers are there, and answered in the site's place where it is refused.

use crate::abi::Action;
use crate::attributes::EnvoyAttributes;
use crate::plugin::Worker;
use crate::reply;
use egress_policy::{Decision, Facts, Protocol, Reason, RecordingAttributes};
use std::cell::Cell;
use std::rc::Rc;

/// A request.
pub(crate) struct Request {
    worker: Rc<Worker>,
    /// Nothing of a request passes before this is true.
    admitted: Cell<bool>,
}

impl Request {
    pub(crate) fn new(worker: Rc<Worker>) -> Self {
        Self { worker, admitted: Cell::new(false) }
    }

    fn decide(&self) -> bool {
        let Some(plugin) = self.worker.plugin() else {
            // No configuration was ever accepted; the gateway should not have called.
            reply::without_configuration();
            return false;
        };
        let asking = RecordingAttributes::of(&EnvoyAttributes);
        if plugin.admits_again(&asking) {
            return true;
        }
        let settings = plugin.engine.settings();
        let facts = Facts::http(&asking, &settings.trust_domains);
        let decision = match settings.protocol {
            Protocol::Http => plugin.engine.decide(&facts),
            Protocol::Network => {
                self.worker.tell_wrong_type(Protocol::Http);
                Decision::deny(Reason::WrongType)
            }
        };
        if let Some(count) = self.worker.report(&plugin, &facts, &decision) {
            plugin.cache.borrow_mut().insert(&asking, count);
        }
        let Some(reason) = decision.refusal() else {
            return true;
        };
        reply::deny(&settings.deny_response, &facts, reason);
        false
    }

    /// The headers are there.
    pub(crate) fn on_headers(&self) -> Action {
        self.admitted.set(self.decide());
        self.on_more()
    }

    /// Body or trailers: were the refusal's answer not taken by the host, they would still not pass.
    pub(crate) fn on_more(&self) -> Action {
        if self.admitted.get() { Action::Continue } else { Action::Pause }
    }
}
