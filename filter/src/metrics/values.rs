//! The values of one label that are told apart, bounded for all workers together.

use crate::host::Host;
use std::collections::HashSet;

/// How many values of one label are told apart.
const MAX_VALUES: usize = 1_000;
/// The labels whose values are bounded.
const LABELS: [&str; 3] = ["namespaces", "policies", "configs"];
/// How often a worker tries again when another one was faster.
const ATTEMPTS: u32 = 10;

/// What is told apart. A worker that meets a value for the first time asks what all of them have met, in bytes
/// that Envoy shares between their VMs.
pub(super) struct Values {
    key: String,
    known: HashSet<Box<str>>,
    /// No more come; all are known here.
    full: bool,
}

/// Makes the shared lists where they are not there. Two VMs that made them at once could lose a value.
pub(super) fn prepare(host: &dyn Host) {
    for label in LABELS {
        let key = key(label);
        if host.shared(&key) == Ok(None) {
            // Where it cannot be made, each worker is bounded for itself.
            let _ = host.share(&key, b"", 0);
        }
    }
}

fn key(label: &str) -> String {
    format!("egress_authz.{label}")
}

impl Values {
    pub(super) fn of(label: &str) -> Self {
        Self { key: key(label), known: HashSet::new(), full: false }
    }

    /// Whether a value is told apart.
    pub(super) fn admit(&mut self, host: &dyn Host, value: &str) -> bool {
        self.known.contains(value) || (!self.full && self.ask(host, value))
    }

    fn ask(&mut self, host: &dyn Host, value: &str) -> bool {
        for _ in 0..ATTEMPTS {
            let Ok(Some((bytes, generation))) = host.shared(&self.key) else {
                return self.learn(value);
            };
            let mut list = String::from_utf8(bytes).unwrap_or_default();
            for known in list.lines() {
                self.learn(known);
            }
            if self.known.contains(value) {
                return true;
            }
            if list.lines().count() >= MAX_VALUES {
                self.full = true;
                return false;
            }
            list.push_str(value);
            list.push('\n');
            if host.share(&self.key, list.as_bytes(), generation).is_ok() {
                return self.learn(value);
            }
        }
        false
    }

    /// Remembers a value, within the bound.
    fn learn(&mut self, value: &str) -> bool {
        if self.known.len() < MAX_VALUES {
            self.known.insert(value.into());
        }
        self.full = self.known.len() >= MAX_VALUES;
        self.known.contains(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::ScriptedHost;
    use std::rc::Rc;

    #[test]
    fn workers_that_share_are_bounded_together() {
        let host = Rc::new(ScriptedHost::default());
        prepare(&host);
        let mut workers = [Values::of("namespaces"), Values::of("namespaces")];
        let told_apart = (0..3_000).filter(|at| workers[at % 2].admit(&host, &format!("ns-{at}"))).count();
        assert_eq!(told_apart, MAX_VALUES);
        let mut third = Values::of("namespaces");
        assert!(third.admit(&host, "ns-7"), "what others have met is known");
        assert!(!third.admit(&host, "ns-2999"));
    }

    #[test]
    fn a_worker_that_shares_nothing_is_bounded_for_itself() {
        // Nothing was prepared, so nothing is shared.
        let host = Rc::new(ScriptedHost::default());
        let mut values = Values::of("namespaces");
        assert!((0..MAX_VALUES).all(|at| values.admit(&host, &format!("ns-{at}"))));
        assert!(!values.admit(&host, "one-more"));
        assert!(values.admit(&host, "ns-7"));
        assert_eq!(values.known.len(), MAX_VALUES);
    }
}
