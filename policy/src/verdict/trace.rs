//! What a decision tells on its way, for those who explain it.

use crate::rules::Policy;
use crate::truth::Truth;

/// A step of the verdict, in the order of docs/language.md#5-the-verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Who is asking.
    Peer,
    /// What is asked for.
    Host,
    /// Whether the clock, where a policy that applies expires, could be read.
    Clock,
    /// The outer server name beside the host.
    SniMismatch,
    /// An encrypted ClientHello.
    EncryptedHello,
    /// The DENY policies.
    Deny,
    /// IP literals that are not on the public Internet.
    PrivateAddress,
    /// The ALLOW policies.
    Allow,
    /// Whether an ALLOW policy governs this source.
    Governed,
    /// The default action.
    DefaultAction,
    /// The cluster beside the host.
    RouteMismatch,
    /// The site's address.
    PrivateUpstream,
}

/// Listens to a decision. `()` listens to nothing and costs nothing.
pub trait Trace {
    /// A step was taken; `hit` is whether it decided.
    fn step(&mut self, step: Step, hit: bool);
    /// A rule of a policy that applies was asked.
    fn rule(&mut self, policy: &Policy, rule: usize, truth: Truth);
    /// So many names were looked up in the index to find the rules of an action: for those who count work.
    fn look_ups(&mut self, _names: usize) {}
}

impl Trace for () {
    fn step(&mut self, _: Step, _: bool) {}
    fn rule(&mut self, _: &Policy, _: usize, _: Truth) {}
}
