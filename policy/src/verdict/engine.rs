//! The policies of one configuration, compiled for its protocol, and the decision.

use super::guards;
use super::index::Index;
use super::reason::{Reason, RuleRef};
use super::trace::{Step, Trace};
use crate::attributes::Unreadable;
use crate::config::{Config, Effect, Guard, Mode, Settings};
use crate::facts::Facts;
use crate::rules::{Action, HostSet, Policy, PolicyMode};
use std::fmt;
use std::rc::Rc;

/// A configuration, compiled.
pub struct Engine {
    settings: Settings,
    host_sets: Vec<Rc<HostSet>>,
    policies: Vec<Policy>,
    index: Index,
    /// Whether any policy expires: only then is the clock read.
    expires: bool,
    /// Whether any policy or guard is in dry run: only then is there a second verdict.
    rehearses: bool,
}

/// To admit or to refuse, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict<'e> {
    /// What.
    pub effect: Effect,
    /// Why.
    pub reason: Reason<'e>,
}

/// What is done with a request or connection, and what is said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<'e> {
    /// The verdict that is carried out. `None`: `mode: DRY_RUN` lets pass what [`Decision::would`] refuses.
    pub verdict: Option<Verdict<'e>>,
    /// The second verdict, with everything that is in dry run enforced, where it differs.
    pub would: Option<Verdict<'e>>,
    /// The AUDIT rules that matched.
    pub audit: Vec<RuleRef<'e>>,
}

/// Which policies and guards take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct View {
    /// Those in dry run, too.
    pub(super) dry_run: bool,
}

impl Engine {
    /// Compiles a configuration for its own type.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let Config { settings, host_sets, policies } = config;
        let mut exist = policies.iter().filter(|policy| policy.speaks(settings.protocol));
        let expires = exist.clone().any(|policy| policy.expires.is_some());
        let rehearses = [settings.sni_mismatch, settings.route_mismatch].contains(&Guard::DryRun)
            || exist.any(|policy| policy.mode == PolicyMode::DryRun);
        Self {
            index: Index::new(&policies, settings.protocol),
            expires,
            rehearses,
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

    /// The named host lists.
    #[must_use]
    pub fn host_sets(&self) -> &[Rc<HostSet>] {
        &self.host_sets
    }

    /// Decides.
    #[must_use]
    pub fn decide(&self, facts: &Facts<'_>) -> Decision<'_> {
        self.decide_traced(facts, &mut ())
    }

    /// Decides, and tells the steps of the verdict that is carried out (under `mode: DRY_RUN`, reported).
    pub fn decide_traced(&self, facts: &Facts<'_>, trace: &mut impl Trace) -> Decision<'_> {
        let audit = self.audit(facts);
        if self.settings.mode == Mode::DryRun {
            let judged = self.judge(facts, View { dry_run: true }, trace);
            let refused = judged.effect == Effect::Deny;
            let (verdict, would) = if refused { (None, Some(judged)) } else { (Some(judged), None) };
            return Decision { verdict, would, audit };
        }
        let verdict = self.judge(facts, View { dry_run: false }, trace);
        let would = self
            .rehearses
            .then(|| self.judge(facts, View { dry_run: true }, &mut ()))
            .filter(|would| would.effect != verdict.effect);
        Decision { verdict: Some(verdict), would, audit }
    }

    /// The steps of section 5.
    fn judge<'e>(&'e self, facts: &Facts<'_>, view: View, trace: &mut impl Trace) -> Verdict<'e> {
        match self.first_hit(facts, view, trace) {
            Verdict { effect: Effect::Allow, reason } => match self.carried_elsewhere(facts, view, trace) {
                Some(refusal) => Verdict::deny(refusal),
                None => Verdict::allow(reason),
            },
            refused => refused,
        }
    }

    /// Steps 1 to 7.
    fn first_hit<'e>(&'e self, facts: &Facts<'_>, view: View, trace: &mut impl Trace) -> Verdict<'e> {
        if let Some(reason) = self.refused_at_the_border(facts, view, trace) {
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
        let governed = self.applicable(Action::Allow, facts).any(|policy| view.counts(policy));
        trace.step(Step::Governed, governed);
        if governed {
            return Verdict::deny(self.why_not_allowed(facts, view));
        }
        trace.step(Step::DefaultAction, true);
        Verdict { effect: self.settings.default_action, reason: Reason::DefaultAction }
    }

    /// Steps 1 and 2.
    fn refused_at_the_border(
        &self,
        facts: &Facts<'_>,
        view: View,
        trace: &mut impl Trace,
    ) -> Option<Reason<'static>> {
        let clock = || (self.expires && facts.now().is_err()).then_some(Reason::AttributeUnavailable);
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
    fn carried_elsewhere(
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
        if !self.expires {
            return Reason::NoAllowMatched;
        }
        let expired = self
            .applicable(Action::Allow, facts)
            .filter(|policy| view.counts(policy) && is_expired(policy, facts))
            .find_map(|policy| matching_rule(policy, facts, &mut ()));
        match expired {
            Some(rule) if self.carried_elsewhere(facts, view, &mut ()).is_none() => Reason::Expired(rule),
            _ => Reason::NoAllowMatched,
        }
    }

    /// Whether a mesh-wide ALLOW rule that matches names this very literal.
    fn literal_is_opened(&self, ip: std::net::IpAddr, facts: &Facts<'_>, view: View) -> bool {
        self.applicable(Action::Allow, facts)
            .filter(|policy| policy.namespace.is_none() && view.enforced(policy, facts))
            .flat_map(|policy| &policy.rules)
            .any(|rule| rule.admits_literal(ip, facts))
    }

    fn first_match<'e>(
        &'e self,
        action: Action,
        facts: &Facts<'_>,
        view: View,
        trace: &mut impl Trace,
    ) -> Option<RuleRef<'e>> {
        self.applicable(action, facts)
            .filter(|policy| view.enforced(policy, facts))
            .find_map(|policy| matching_rule(policy, facts, trace))
    }

    /// Every AUDIT rule that matches, for every request, whatever its verdict.
    fn audit<'e>(&'e self, facts: &Facts<'_>) -> Vec<RuleRef<'e>> {
        self.applicable(Action::Audit, facts)
            .filter(|policy| !is_expired(policy, facts))
            .flat_map(|policy| {
                let rules = policy.rules.iter().enumerate();
                rules
                    .filter(|(_, rule)| policy.matches_on(rule.truth(facts)))
                    .map(move |(rule, _)| RuleRef { policy, rule })
            })
            .collect()
    }

    /// The policies of an action that apply to this peer, in configuration order.
    fn applicable(&self, action: Action, facts: &Facts<'_>) -> impl Iterator<Item = &Policy> + use<'_> {
        let namespace = facts.peer().ok().and_then(|peer| peer.namespace());
        self.index.candidates(action, namespace).filter_map(|at| self.policies.get(at))
    }
}

impl View {
    /// Whether a policy takes part in this view.
    fn counts(self, policy: &Policy) -> bool {
        self.dry_run || policy.mode == PolicyMode::Enforce
    }

    /// Whether a policy takes part and has not expired.
    fn enforced(self, policy: &Policy, facts: &Facts<'_>) -> bool {
        self.counts(policy) && !is_expired(policy, facts)
    }
}

/// A policy is expired from its instant on. A clock that cannot be read has been refused before.
fn is_expired(policy: &Policy, facts: &Facts<'_>) -> bool {
    match (policy.expires, policy.expires.map(|_| facts.now())) {
        (Some(expires), Some(Ok(now))) => expires <= now,
        (_, None | Some(Err(Unreadable)) | Some(Ok(_))) => false,
    }
}

/// The first rule of a policy that matches.
fn matching_rule<'e>(policy: &'e Policy, facts: &Facts<'_>, trace: &mut impl Trace) -> Option<RuleRef<'e>> {
    let mut rules = policy.rules.iter().enumerate();
    let (rule, _) = rules.find(|(at, rule)| {
        let truth = rule.truth(facts);
        trace.rule(policy, *at, truth);
        policy.matches_on(truth)
    })?;
    Some(RuleRef { policy, rule })
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

impl<'e> Verdict<'e> {
    /// A refusal.
    #[must_use]
    pub fn deny(reason: Reason<'e>) -> Self {
        let effect = Effect::Deny;
        Self { effect, reason }
    }

    /// An admission.
    #[must_use]
    pub fn allow(reason: Reason<'e>) -> Self {
        let effect = Effect::Allow;
        Self { effect, reason }
    }
}

impl<'e> Decision<'e> {
    /// A refusal that no policy was asked about.
    #[must_use]
    pub fn deny(reason: Reason<'e>) -> Self {
        Self { verdict: Some(Verdict::deny(reason)), would: None, audit: Vec::new() }
    }

    /// Why the traffic is refused; `None` where it passes.
    #[must_use]
    pub fn refusal(&self) -> Option<&Reason<'e>> {
        self.verdict.as_ref().filter(|verdict| verdict.effect == Effect::Deny).map(|verdict| &verdict.reason)
    }

    /// Whether there is more to say than that the traffic passes.
    #[must_use]
    pub fn is_notable(&self) -> bool {
        self.refusal().is_some() || self.would.is_some()
    }
}

/// `deny[<reason>]`, `allow[<reason>] would_deny[<reason>]`, `would_deny[<reason>]`.
impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(verdict) = &self.verdict {
            write!(f, "{}[{}]", verdict.effect.word(), verdict.reason)?;
        }
        if let Some(would) = &self.would {
            let space = if self.verdict.is_some() { " " } else { "" };
            write!(f, "{space}would_{}[{}]", would.effect.word(), would.reason)?;
        }
        Ok(())
    }
}

impl Effect {
    /// `allow` or `deny`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}
