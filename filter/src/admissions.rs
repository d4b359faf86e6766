//! Requests that may be admitted from the cache, each with the counter that counts it.

use crate::metrics::Count;
use egress_policy::{AdmissionCache, Decision, RecordingAttributes};

/// The admission cache of one configuration on one worker, and a counter for each of its places.
#[derive(Default)]
pub(crate) struct Admissions {
    cache: AdmissionCache,
    counters: Vec<Option<Count>>,
}

impl Admissions {
    /// The counter of an identical request that was admitted; `None` where this one has to be decided.
    pub(crate) fn get(&self, request: &RecordingAttributes<'_>) -> Option<Count> {
        let admission = self.cache.get(request)?;
        self.counters.get(admission.slot()).copied().flatten()
    }

    /// Keeps an admission with its counter, where the cache takes it.
    pub(crate) fn insert(
        &mut self,
        request: &RecordingAttributes<'_>,
        decision: &Decision<'_>,
        counter: Option<Count>,
    ) {
        let Some(admission) = self.cache.insert(request, decision) else {
            return;
        };
        if self.counters.is_empty() {
            self.counters.resize(AdmissionCache::SLOTS, None);
        }
        if let Some(kept) = self.counters.get_mut(admission.slot()) {
            *kept = counter;
        }
    }
}
