//! One HTTP request: decided when its headers are there, and answered in the site's place where it is refused.

use crate::action::Action;
use crate::host::Stream;
use crate::instance::PluginInstance;
use crate::reply;
use egress_policy::{Facts, Protocol, RecordingAttributes};
use std::cell::Cell;
use std::rc::Rc;

/// A request.
pub struct Request {
    instance: Rc<PluginInstance>,
    /// Nothing of a request passes before this is true.
    is_admitted: Cell<bool>,
}

impl Request {
    /// A request of which nothing is known yet.
    #[must_use]
    pub fn new(instance: Rc<PluginInstance>) -> Self {
        Self { instance, is_admitted: Cell::new(false) }
    }

    /// The headers are there: decides, and answers where the request is refused.
    pub fn on_headers(&self, stream: &dyn Stream) -> Action {
        self.is_admitted.set(self.decide(stream));
        self.on_more()
    }

    /// Body or trailers: were the refusal's answer not taken by Envoy, they would still not pass.
    pub fn on_more(&self) -> Action {
        if self.is_admitted.get() { Action::Continue } else { Action::Pause }
    }

    fn decide(&self, stream: &dyn Stream) -> bool {
        let Some(config) = self.instance.config() else {
            // No configuration was ever accepted; the gateway should not have called.
            reply::without_configuration(stream);
            return false;
        };
        let worker = self.instance.worker();
        let request = RecordingAttributes::of(stream);
        if let Some(counter) = self.instance.admissions.borrow().get(&request) {
            worker.count_again(counter);
            return true;
        }
        let settings = config.engine.settings();
        self.instance.log_wrong_type(&config, Protocol::Http);
        let facts = Facts::http(&request, &settings.trust_domains, settings.path_readings);
        let decision = config.engine.decide(&facts);
        let counter = worker.report(stream, &config, &facts, &decision);
        self.instance.admissions.borrow_mut().insert(&request, &decision, counter);
        let Some(reason) = decision.refusal() else {
            return true;
        };
        reply::deny(stream, &settings.deny_response, &facts, reason);
        false
    }
}
