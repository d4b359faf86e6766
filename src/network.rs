//! One TCP connection: decided on the first bytes in either direction, and held until then.

use crate::abi::Action;
use crate::attributes::{EnvoyAttributes, is_tls, presents_certificate};
use crate::host::{self, Buffer, Level};
use crate::plugin::{Plugin, Worker, generation};
use egress_policy::config::Mode;
use egress_policy::{
    Attributes, BrokenHello, Decision, Facts, HelloReader, Opening, Progress, Protocol, Reason, Timestamp,
    Verdict,
};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// How long a client has for its ClientHello, in ticks of a second; the first tick may come at once.
const HELLO_TICKS: u32 = 10;

/// A connection, as the host calls it.
pub(crate) struct Connection(Rc<Shared>);

/// A connection, as the tick finds it, too.
struct Shared {
    context: u32,
    worker: Rc<Worker>,
    state: RefCell<State>,
}

enum State {
    /// Nothing has been seen.
    Silent,
    /// A ClientHello has begun; `admitted` is what the site's bytes had been let through by.
    Reading { reader: HelloReader, admitted: bool },
    /// Bytes pass.
    Admitted(Admission),
    /// Nothing passes any more.
    Refused,
}

/// By what a connection was admitted, for judging it again.
struct Admission {
    opening: Opening,
    /// Whether the client has spoken; until then, a ClientHello of its may still come.
    client_spoke: bool,
    /// The configurations that this VM had accepted.
    generation: u64,
    /// The next instant at which a policy expires.
    until: Option<Timestamp>,
}

/// Connections whose ClientHello is not whole, each with the tick that it may still see.
#[derive(Default)]
pub(crate) struct Waiting {
    connections: RefCell<HashMap<u32, (u32, Rc<Shared>)>>,
    ticks: Cell<u32>,
}

// === impl Waiting ===

impl Waiting {
    fn add(&self, connection: &Rc<Shared>) {
        let mut connections = self.connections.borrow_mut();
        connections
            .entry(connection.context)
            .or_insert_with(|| (self.ticks.get().saturating_add(HELLO_TICKS), Rc::clone(connection)));
    }

    fn remove(&self, context: u32) {
        self.connections.borrow_mut().remove(&context);
    }

    /// Counts a tick and closes what has waited too long.
    pub(crate) fn refuse_late(&self) {
        let now = self.ticks.get().saturating_add(1);
        self.ticks.set(now);
        let late: Vec<_> = self
            .connections
            .borrow()
            .values()
            .filter(|(deadline, _)| *deadline < now)
            .map(|(_, connection)| Rc::clone(connection))
            .collect();
        for connection in late {
            self.remove(connection.context);
            if host::set_effective_context(connection.context).is_ok() {
                let action = connection.decide(Opening::Broken(BrokenHello::Late), true);
                release(action);
            }
        }
    }
}

// === impl Shared ===

impl Shared {
    /// Bytes of the client.
    fn on_client_bytes(self: &Rc<Self>, size: usize, end: bool) -> Action {
        let (mut reader, admitted) = match self.state.replace(State::Silent) {
            State::Refused => return self.keep(State::Refused),
            State::Admitted(admission) if admission.client_spoke => return self.recheck(admission),
            State::Admitted(_) => (HelloReader::default(), true),
            State::Silent => (HelloReader::default(), false),
            State::Reading { reader, admitted } => (reader, admitted),
        };
        // While the filter pauses, the host keeps all bytes; only those that are new are fetched.
        let seen = reader.seen();
        let Ok(bytes) = host::buffer(Buffer::Downstream, seen, size.saturating_sub(seen)) else {
            return self.refuse(Reason::AttributeUnavailable, true);
        };
        match reader.push(&bytes.unwrap_or_default()) {
            Progress::Done(Opening::Plain) if admitted => self.go_on_plain(),
            Progress::Done(opening) => self.decide(opening, true),
            // An end without a word: decided on, so that it makes the gateway dial nobody who is refused.
            Progress::More if end && !reader.has_begun() && admitted => self.go_on_plain(),
            Progress::More if end && !reader.has_begun() => self.decide(Opening::Plain, true),
            Progress::More if end => self.decide(Opening::Broken(BrokenHello::Malformed), true),
            Progress::More => {
                self.worker.waiting.add(self);
                self.keep(State::Reading { reader, admitted })
            }
        }
    }

    /// Bytes of the site.
    fn on_site_bytes(&self, size: usize) -> Action {
        match self.state.replace(State::Silent) {
            State::Refused => self.keep(State::Refused),
            State::Admitted(admission) => self.recheck(admission),
            state if size == 0 => {
                // The site has closed without a word; there is nothing to hold back.
                self.state.replace(state);
                Action::Continue
            }
            // A site that speaks into a ClientHello has not heard it.
            State::Reading { .. } => {
                let action = self.decide(Opening::Broken(BrokenHello::Malformed), true);
                release(action)
            }
            State::Silent if identity_is_pending() => self.refuse(Reason::IdentityPending, false),
            State::Silent => self.decide(Opening::Plain, false),
        }
    }

    /// Decides by the configuration in force, which may be newer than the connection.
    fn decide(&self, opening: Opening, client_spoke: bool) -> Action {
        self.worker.waiting.remove(self.context);
        let Some(plugin) = self.worker.in_force() else {
            return self.close();
        };
        let settings = plugin.engine.settings();
        let facts = Facts::network(&EnvoyAttributes, &settings.trust_domains, opening.clone());
        let decision = judge(&self.worker, &plugin, &facts);
        self.carry_out(&plugin, &facts, &decision, opening, client_spoke)
    }

    /// Tells a decision, and does as it says.
    fn carry_out(
        &self,
        plugin: &Plugin,
        facts: &Facts<'_>,
        decision: &Decision<'_>,
        opening: Opening,
        client_spoke: bool,
    ) -> Action {
        self.worker.report(plugin, facts, decision);
        if decision.refusal().is_some() {
            return self.close();
        }
        self.admit(plugin, opening, client_spoke)
    }

    fn admit(&self, plugin: &Plugin, opening: Opening, client_spoke: bool) -> Action {
        self.keep(State::Admitted(Admission {
            opening,
            client_spoke,
            generation: generation(),
            until: next_expiry(plugin),
        }))
    }

    /// The client of a connection that the site's bytes had been decided on speaks, and not TLS.
    fn go_on_plain(&self) -> Action {
        self.worker.waiting.remove(self.context);
        self.decide_again(Opening::Plain, true)
    }

    /// Keeps a live connection, unless a newer configuration or the clock would refuse it.
    fn recheck(&self, admission: Admission) -> Action {
        let changed = admission.generation != generation();
        let expired = admission.until.is_some_and(|until| host::now().is_ok_and(|now| until <= now));
        if !changed && !expired {
            return self.keep(State::Admitted(admission));
        }
        self.decide_again(admission.opening, admission.client_spoke)
    }

    /// Judges a live connection by the newest configuration.
    fn decide_again(&self, opening: Opening, client_spoke: bool) -> Action {
        let Some(plugin) = self.worker.in_force() else {
            return self.close();
        };
        let settings = plugin.engine.settings();
        if settings.recheck_connections {
            let facts = Facts::network(&EnvoyAttributes, &settings.trust_domains, opening.clone());
            let decision = judge(&self.worker, &plugin, &facts);
            if let Some(reason) = decision.refusal() {
                let decision = Decision {
                    verdict: Some(Verdict::deny(Reason::Recheck(Box::new(reason.clone())))),
                    ..decision
                };
                self.worker.report(&plugin, &facts, &decision);
                return self.close();
            }
        }
        self.admit(&plugin, opening, client_spoke)
    }

    /// Refuses without asking the policies; `mode: DRY_RUN` only says so.
    fn refuse(&self, reason: Reason<'static>, client_spoke: bool) -> Action {
        self.worker.waiting.remove(self.context);
        let Some(plugin) = self.worker.in_force() else {
            return self.close();
        };
        let settings = plugin.engine.settings();
        let facts = Facts::network(&EnvoyAttributes, &settings.trust_domains, Opening::Plain);
        let denied = Decision::deny(reason);
        let decision = match settings.mode {
            Mode::Enforce => denied,
            Mode::DryRun => Decision { verdict: None, would: denied.verdict, audit: Vec::new() },
        };
        self.carry_out(&plugin, &facts, &decision, Opening::Plain, client_spoke)
    }

    /// Closes the client's side; the bytes at hand stay where they are, whether the host obeyed or not.
    fn close(&self) -> Action {
        if host::close_downstream().is_err() {
            host::log(Level::Error, "egress-authz: the host did not close a refused connection; it is held");
        }
        self.keep(State::Refused)
    }

    fn keep(&self, state: State) -> Action {
        let action = match state {
            State::Admitted(_) => Action::Continue,
            State::Silent | State::Reading { .. } | State::Refused => Action::Pause,
        };
        self.state.replace(state);
        action
    }
}

/// Outside of the client's own callback, bytes of the client that wait go on only when the host is told so.
fn release(action: Action) -> Action {
    if action == Action::Continue && host::resume_downstream().is_err() {
        host::log(Level::Error, "egress-authz: the host did not release an admitted connection's bytes");
    }
    action
}

fn judge<'e>(worker: &Worker, plugin: &'e Plugin, facts: &Facts<'_>) -> Decision<'e> {
    match plugin.engine.settings().protocol {
        Protocol::Network => plugin.engine.decide(facts),
        Protocol::Http => {
            worker.tell_wrong_type(Protocol::Network);
            Decision::deny(Reason::WrongType)
        }
    }
}

/// Whether the peer's certificate may still be on its way: a TLS listener on which none has been seen.
fn identity_is_pending() -> bool {
    let name = EnvoyAttributes.peer_certificate().ok().flatten().unwrap_or_default();
    name.is_empty() && presents_certificate() != Ok(true) && is_tls() != Ok(false)
}

/// The next instant at which a policy of this configuration expires; the clock is asked only if some do.
fn next_expiry(plugin: &Plugin) -> Option<Timestamp> {
    let instants = plugin.engine.policies().iter().filter_map(|policy| policy.expires);
    let mut instants = instants.peekable();
    instants.peek()?;
    let now = host::now().ok()?;
    instants.filter(|instant| *instant > now).min()
}

// === impl Connection ===

impl Connection {
    pub(crate) fn new(context: u32, worker: Rc<Worker>) -> Self {
        Self(Rc::new(Shared { context, worker, state: RefCell::new(State::Silent) }))
    }

    /// The client has connected. Nothing is read here: the handshake is not over, and reading the certificate
    /// now made older Envoys remember that there was none. Pausing would keep the handshake from ever ending.
    pub(crate) fn on_new(&self) -> Action {
        self.0.worker.come_into_force();
        Action::Continue
    }

    /// The client's bytes, of which the host holds `size`.
    pub(crate) fn on_client_bytes(&self, size: usize, end: bool) -> Action {
        self.0.on_client_bytes(size, end)
    }

    /// The site's bytes.
    pub(crate) fn on_site_bytes(&self, size: usize) -> Action {
        self.0.on_site_bytes(size)
    }

    /// The connection is gone.
    pub(crate) fn on_delete(&self) {
        self.0.worker.waiting.remove(self.0.context);
    }
}
