//! What a decision says: the verdict, what would be with everything enforced, and what its carrier has to know to go on.

use super::reason::{Reason, RuleRef};
use crate::config::Effect;
use crate::time::Timestamp;
use std::fmt;

/// To admit or to refuse, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict<'e> {
    /// What becomes of the traffic.
    pub effect: Effect,
    /// The step or rule that decided.
    pub reason: Reason<'e>,
}

/// What is done with a request or connection, and what is said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<'e> {
    /// The verdict that is carried out. `None`: `mode: DRY_RUN` lets pass what [`Decision::dry_run_verdict`] refuses.
    pub verdict: Option<Verdict<'e>>,
    /// The second verdict, with everything that is in dry run enforced, where it differs.
    pub dry_run_verdict: Option<Verdict<'e>>,
    /// The AUDIT rules that matched.
    pub audit: Vec<RuleRef<'e>>,
    /// What a guard still waits for, where the traffic passes until then; then [`Engine::decide_pending`] has to be asked.
    ///
    /// [`Engine::decide_pending`]: crate::Engine::decide_pending
    pub pending: Option<Pending>,
    /// Whether an identical request may be admitted from an [`AdmissionCache`](crate::AdmissionCache): it passes, and there
    /// is nothing else to say about it.
    pub is_cacheable: bool,
    /// NETWORK: the next instant at which the same connection may be decided otherwise, because a policy expires; never in
    /// the past. `None` where nothing that applies to this peer expires.
    pub next_change: Option<Timestamp>,
}

/// What a guard of an admitted connection still waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pending {
    /// The site's address. It comes without any byte of the client's, so the client's bytes are held until it is there.
    Address,
    /// The route, or under `mode: DRY_RUN` the address. The gateway chooses only when it has the client's bytes, so these
    /// pass; the guard is asked before any byte of the site does.
    Route,
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
    /// A decision with nothing but its two verdicts.
    pub(super) fn of(verdict: Option<Verdict<'e>>, dry_run_verdict: Option<Verdict<'e>>) -> Self {
        let audit = Vec::new();
        Self { verdict, dry_run_verdict, audit, pending: None, is_cacheable: false, next_change: None }
    }

    /// The same refusal of a connection that was live: its reason becomes `recheck[<reason>]`.
    #[must_use]
    pub fn into_recheck(self) -> Self {
        let verdict = self.verdict.map(|verdict| match verdict {
            Verdict { effect: Effect::Deny, reason } => Verdict::deny(Reason::Recheck(Box::new(reason))),
            allowed => allowed,
        });
        Self { verdict, ..self }
    }

    /// Why the traffic is refused; `None` where it passes.
    #[must_use]
    pub fn refusal(&self) -> Option<&Reason<'e>> {
        self.verdict.as_ref().filter(|verdict| verdict.effect == Effect::Deny).map(|verdict| &verdict.reason)
    }

    /// Whether there is more to say than that the traffic passes.
    #[must_use]
    pub fn is_notable(&self) -> bool {
        self.refusal().is_some() || self.dry_run_verdict.is_some()
    }
}

/// `deny[<reason>]`, `allow[<reason>] would_deny[<reason>]`, `would_deny[<reason>]`.
impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(verdict) = &self.verdict {
            write!(f, "{}[{}]", verdict.effect.word(), verdict.reason)?;
        }
        if let Some(would) = &self.dry_run_verdict {
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
