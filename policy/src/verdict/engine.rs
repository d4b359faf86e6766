//! The policies of one configuration, compiled for its protocol, and the decision.

use super::decision::{Decision, Verdict};
use super::guards;
use super::index::{Candidates, Index, Scope};
use super::reason::{Reason, RuleRef};
use super::trace::{Step, Trace};
use super::view::{View, is_expired};
use crate::attributes::Protocol;
use crate::config::{Config, Effect, Guard, Mode, Settings};
use crate::facts::Facts;
use crate::peer::Peer;
use crate::rules::{Action, HostSet, Policy, Rule};
use crate::time::Timestamp;
use std::net::IpAddr;
use std::sync::Arc;

/// A configuration, compiled for its protocol; it never changes, and one is shared by all requests of a worker.
pub struct Engine {
    settings: Settings,
    host_sets: Vec<Arc<HostSet>>,
    policies: Vec<Policy>,
    index: Index,
    /// Whether a guard is in dry run: then there is a second verdict for every request.
    has_dry_run_guard: bool,
    /// The instants at which policies expire, ascending.
    expiries: Vec<Timestamp>,
}

impl Engine {
    /// Compiles a configuration for its own type; time and memory grow with its policies, those of a decision do not.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let Config { settings, host_sets, policies } = config;
        let has_dry_run_guard = [settings.sni_mismatch, settings.route_mismatch].contains(&Guard::DryRun);
        let mut expiries: Vec<_> = policies.iter().filter_map(|policy| policy.expires).collect();
        expiries.sort_unstable();
        Self {
            expiries,
            index: Index::new(&policies, &host_sets, settings.protocol),
            has_dry_run_guard,
            settings,
            host_sets,
            policies,
        }
    }

    /// What is said once for all policies.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The policies, in configuration order.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// The named host lists, in order of their names.
    #[must_use]
    pub fn host_sets(&self) -> &[Arc<HostSet>] {
        &self.host_sets
    }

    /// Decides about one request or connection. Facts of another protocol than the configuration's are refused,
    /// [`Reason::WrongType`].
    #[must_use]
    pub fn decide(&self, facts: &Facts<'_>) -> Decision<'_> {
        self.decide_traced(facts, &mut ())
    }

    /// Decides, and tells the steps of the verdict that is carried out (under `mode: DRY_RUN`, reported).
    pub fn decide_traced(&self, facts: &Facts<'_>, trace: &mut impl Trace) -> Decision<'_> {
        if facts.protocol() != self.settings.protocol {
            return self.refuse(Reason::WrongType);
        }
        let audit = self.audit(facts);
        let (verdict, dry_run_verdict) = if self.settings.mode == Mode::DryRun {
            let judged = self.judge(facts, View { dry_run: true }, trace);
            if judged.effect == Effect::Deny { (None, Some(judged)) } else { (Some(judged), None) }
        } else {
            let verdict = self.judge(facts, View { dry_run: false }, trace);
            let dry_run_verdict = (self.has_dry_run_guard || self.scope(facts).has_dry_run)
                .then(|| self.judge(facts, View { dry_run: true }, &mut ()))
                .filter(|dry_run| dry_run.effect != verdict.effect);
            (Some(verdict), dry_run_verdict)
        };
        let is_admission = verdict.as_ref().is_some_and(|verdict| verdict.effect == Effect::Allow);
        let is_plain = is_admission && dry_run_verdict.is_none() && audit.is_empty();
        Decision {
            pending: if is_admission { guards::pending(&self.settings, facts) } else { None },
            is_cacheable: is_plain && !self.settings.report_allowed,
            next_change: self.next_change(facts),
            verdict,
            dry_run_verdict,
            audit,
        }
    }

    /// Decides what a guard had to wait for when the connection was admitted: nothing else can refuse it now.
    #[must_use]
    pub fn decide_pending(&self, facts: &Facts<'_>) -> Decision<'_> {
        let judge = |dry_run| {
            let view = View { dry_run };
            match self.routing_guards(facts, view, &mut ()) {
                Some(refusal) => Verdict::deny(refusal),
                None => Verdict::allow(self.evaluate_policies(facts, view, &mut ()).reason),
            }
        };
        let (verdict, dry_run_verdict) = if self.settings.mode == Mode::DryRun {
            let judged = judge(true);
            if judged.effect == Effect::Deny { (None, Some(judged)) } else { (Some(judged), None) }
        } else {
            let verdict = judge(false);
            let dry_run = self.has_dry_run_guard.then(|| judge(true));
            let differs = dry_run.filter(|dry_run| dry_run.effect != verdict.effect);
            (Some(verdict), differs)
        };
        let pending = guards::pending(&self.settings, facts);
        Decision { pending, ..Decision::of(verdict, dry_run_verdict) }
    }

    /// Refuses without asking the policies; under `mode: DRY_RUN` that is only reported, and the traffic passes.
    #[must_use]
    pub fn refuse(&self, reason: Reason<'static>) -> Decision<'_> {
        let refusal = Some(Verdict::deny(reason));
        match self.settings.mode {
            Mode::Enforce => Decision::of(refusal, None),
            Mode::DryRun => Decision::of(None, refusal),
        }
    }

    /// The next instant at which a connection may be decided otherwise. The clock is asked only where something that
    /// applies to this peer expires.
    fn next_change(&self, facts: &Facts<'_>) -> Option<Timestamp> {
        if facts.protocol() != Protocol::Network || !self.scope(facts).expires {
            return None;
        }
        let now = facts.now().ok()?;
        let next = self.expiries.partition_point(|instant| *instant <= now);
        self.expiries.get(next).copied()
    }

    /// How many policies expire within so many seconds after `now`, and have not yet.
    #[must_use]
    pub fn expiring_within(&self, now: Timestamp, seconds: i64) -> usize {
        let horizon = Timestamp::from_unix(now.unix_seconds().saturating_add(seconds), 0);
        let until = |end| self.expiries.partition_point(|instant| *instant <= end);
        until(horizon).saturating_sub(until(now))
    }

    /// Whether any policy expires: only then is the clock ever asked.
    #[must_use]
    pub fn has_expiries(&self) -> bool {
        !self.expiries.is_empty()
    }

    /// The steps of docs/language.md#5-the-verdict.
    fn judge<'e>(&'e self, facts: &Facts<'_>, view: View, trace: &mut impl Trace) -> Verdict<'e> {
        match self.evaluate_policies(facts, view, trace) {
            Verdict { effect: Effect::Allow, reason } => match self.routing_guards(facts, view, trace) {
                Some(refusal) => Verdict::deny(refusal),
                None => Verdict::allow(reason),
            },
            refused => refused,
        }
    }

    /// Steps 1 to 7.
    fn evaluate_policies<'e>(&'e self, facts: &Facts<'_>, view: View, trace: &mut impl Trace) -> Verdict<'e> {
        if let Some(reason) = self.pre_policy_guards(facts, view, trace) {
            return Verdict::deny(reason);
        }
        let denied = self.first_match(Action::Deny, facts, view, trace);
        trace.step(Step::Deny, denied.is_some());
        if let Some(rule) = denied {
            return Verdict::deny(Reason::Rule(rule));
        }
        let private = guards::private_literal(&self.settings, facts)
            .is_some_and(|ip| !self.literal_is_opened(ip, facts, view));
        trace.step(Step::PrivateAddress, private);
        if private {
            return Verdict::deny(Reason::PrivateAddress);
        }
        let allowed = self.first_match(Action::Allow, facts, view, trace);
        trace.step(Step::Allow, allowed.is_some());
        if let Some(rule) = allowed {
            return Verdict::allow(Reason::Rule(rule));
        }
        let scope = self.scope(facts);
        let governed = scope.governed || (view.dry_run && scope.governed_by_dry_run);
        trace.step(Step::Governed, governed);
        if governed {
            return Verdict::deny(self.why_not_allowed(facts, view));
        }
        trace.step(Step::DefaultAction, true);
        Verdict { effect: self.settings.default_action, reason: Reason::DefaultAction }
    }

    /// Steps 1 and 2.
    fn pre_policy_guards(
        &self,
        facts: &Facts<'_>,
        view: View,
        trace: &mut impl Trace,
    ) -> Option<Reason<'static>> {
        let clock = || {
            let needed = self.scope(facts).expires;
            (needed && facts.now().is_err()).then_some(Reason::AttributeUnavailable)
        };
        let steps: [(Step, &dyn Fn() -> Option<Reason<'static>>); 5] = [
            (Step::Peer, &|| guards::peer(&self.settings, facts)),
            (Step::Host, &|| guards::host(facts)),
            (Step::Clock, &clock),
            (Step::SniMismatch, &|| guards::sni_mismatch(&self.settings, facts, view)),
            (Step::EncryptedHello, &|| guards::encrypted_hello(&self.settings, facts)),
        ];
        first_refusal(&steps, trace)
    }

    /// Step 8.
    fn routing_guards(
        &self,
        facts: &Facts<'_>,
        view: View,
        trace: &mut impl Trace,
    ) -> Option<Reason<'static>> {
        let steps: [(Step, &dyn Fn() -> Option<Reason<'static>>); 2] = [
            (Step::RouteMismatch, &|| guards::route_mismatch(&self.settings, facts, view)),
            (Step::PrivateUpstream, &|| guards::private_upstream(&self.settings, facts)),
        ];
        first_refusal(&steps, trace)
    }

    /// Why step 6 refuses: the first expired policy that alone would have admitted the request, or none.
    fn why_not_allowed<'e>(&'e self, facts: &Facts<'_>, view: View) -> Reason<'e> {
        if !self.scope(facts).expires {
            return Reason::NoAllowMatched;
        }
        let expired = self
            .rules(Action::Allow, facts)
            .filter(|rule| view.counts(rule.policy) && is_expired(rule.policy, facts))
            .find(|rule| rule.matches(facts, &mut ()));
        match expired {
            Some(rule) if self.routing_guards(facts, view, &mut ()).is_none() => Reason::Expired(rule),
            _ => Reason::NoAllowMatched,
        }
    }

    /// Whether a mesh-wide ALLOW rule that matches names this very literal.
    fn literal_is_opened(&self, ip: IpAddr, facts: &Facts<'_>, view: View) -> bool {
        self.rules(Action::Allow, facts)
            .filter(|rule| rule.policy.namespace.is_none() && view.enforced(rule.policy, facts))
            .any(|rule| rule.rule().is_some_and(|rule| rule.admits_literal(ip, facts)))
    }

    fn first_match<'e>(
        &'e self,
        action: Action,
        facts: &Facts<'_>,
        view: View,
        trace: &mut impl Trace,
    ) -> Option<RuleRef<'e>> {
        let candidates = self.index.candidates(action, facts);
        trace.look_ups(candidates.look_ups());
        self.rules_at(candidates)
            .filter(|rule| view.enforced(rule.policy, facts))
            .find(|rule| rule.matches(facts, trace))
    }

    /// Every AUDIT rule that matches, for every request, whatever its verdict.
    fn audit<'e>(&'e self, facts: &Facts<'_>) -> Vec<RuleRef<'e>> {
        self.rules(Action::Audit, facts)
            .filter(|rule| !is_expired(rule.policy, facts) && rule.matches(facts, &mut ()))
            .collect()
    }

    /// What kinds of policies apply to this peer.
    fn scope(&self, facts: &Facts<'_>) -> Scope {
        self.index.scope(facts.peer().ok().and_then(Peer::namespace))
    }

    /// The rules of an action that may match, in configuration order.
    fn rules<'e>(&'e self, action: Action, facts: &Facts<'_>) -> impl Iterator<Item = RuleRef<'e>> + use<'e> {
        self.rules_at(self.index.candidates(action, facts))
    }

    fn rules_at<'e>(&'e self, candidates: Candidates<'e>) -> impl Iterator<Item = RuleRef<'e>> + use<'e> {
        candidates.filter_map(|(policy, rule)| Some(RuleRef { policy: self.policies.get(policy)?, rule }))
    }
}

impl<'e> RuleRef<'e> {
    /// The rule itself.
    fn rule(&self) -> Option<&'e Rule> {
        self.policy.rules.get(self.rule)
    }

    /// Whether the rule matches, as its policy's action reads its truth.
    fn matches(&self, facts: &Facts<'_>, trace: &mut impl Trace) -> bool {
        let Some(rule) = self.rule() else {
            return false;
        };
        let truth = rule.truth(facts);
        trace.rule(self.policy, self.rule, truth);
        self.policy.matches_on(truth)
    }
}

fn first_refusal(
    steps: &[(Step, &dyn Fn() -> Option<Reason<'static>>)],
    trace: &mut impl Trace,
) -> Option<Reason<'static>> {
    for (step, refusal) in steps {
        let reason = refusal();
        trace.step(*step, reason.is_some());
        if reason.is_some() {
            return reason;
        }
    }
    None
}
