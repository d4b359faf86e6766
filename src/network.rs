//! One TCP connection: decided on the first bytes in either direction, and held until then.

use crate::abi::Action;
use crate::attributes::{EnvoyAttributes, is_tls, presents_certificate};
use crate::host::{self, Buffer, Level};
use crate::plugin::{Plugin, Worker, generation};
use crate::root::TICK_MILLISECONDS;
use egress_policy::config::{Effect, Guard, Mode, Settings};
use egress_policy::{
    Attributes, BrokenHello, Decision, Facts, HelloReader, Opening, Progress, Protocol, Reason, Timestamp,
    Verdict,
};
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How long a client has for its ClientHello; the first second may be over at once.
const HELLO_SECONDS: u32 = 10;
/// How often the host is asked whether it has dialled, while somebody waits for it.
const DIAL_MILLISECONDS: u32 = 5;
const NANOS_A_SECOND: u64 = 1_000_000_000;

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
    /// Admitted, if the site's address is not one that is refused: the gateway is dialling, and the client's bytes wait.
    Dialling { opening: Opening },
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
    /// Whether a guard still asks where it goes, which the gateway had not chosen.
    unchosen: bool,
    /// The configurations that this VM had accepted.
    generation: u64,
    /// The next instant at which a policy expires.
    until: Option<Timestamp>,
}

/// What is known of where an admitted connection goes, as far as guards ask.
#[derive(PartialEq, Eq)]
enum Destination {
    Known,
    /// The cluster is chosen, and the site's address is not there: it will be, without any byte of the client's.
    Dialled,
    /// Nothing is chosen: that takes the client's bytes.
    Unchosen,
}

/// Connections that something else than bytes goes on: a clock, or the gateway's dialling.
#[derive(Default)]
pub(crate) struct Waiting {
    /// Those whose ClientHello is not whole, each with the second that it may still see.
    hellos: RefCell<FxHashMap<u32, (u32, Rc<Shared>)>>,
    /// Those whose site's address is awaited.
    dialling: RefCell<FxHashMap<u32, Rc<Shared>>>,
    /// Whether ticks come faster than once a second.
    hurries: Cell<bool>,
    /// Seconds so far, and the host's clock at the last.
    seconds: Cell<u32>,
    last_second: Cell<u64>,
}

// === impl Waiting ===

impl Waiting {
    fn await_hello(&self, connection: &Rc<Shared>) {
        self.hellos
            .borrow_mut()
            .entry(connection.context)
            .or_insert_with(|| (self.seconds.get().saturating_add(HELLO_SECONDS), Rc::clone(connection)));
    }

    /// The host does not say when a dial has ended; it is asked until it knows.
    fn await_address(&self, connection: &Rc<Shared>) {
        let _ = self.dialling.borrow_mut().insert(connection.context, Rc::clone(connection));
        if !self.hurries.get() && host::set_tick(DIAL_MILLISECONDS).is_ok() {
            self.hurries.set(true);
        }
    }

    fn remove(&self, context: u32) {
        self.hellos.borrow_mut().remove(&context);
        self.dialling.borrow_mut().remove(&context);
    }

    /// Back to a tick a second, where nothing is awaited. Not from within a tick, whose timer would be replaced as it runs.
    fn relax(&self) {
        if self.hurries.get()
            && self.dialling.borrow().is_empty()
            && host::set_tick(TICK_MILLISECONDS).is_ok()
        {
            self.hurries.set(false);
        }
    }

    /// A tick: decides what the gateway has dialled, and says whether it is the tick of a second.
    pub(crate) fn on_tick(&self) -> bool {
        self.admit_dialled();
        let now = host::clock().unwrap_or_default();
        // A clock that was set back shall not stop the seconds.
        let is_second = now.checked_sub(self.last_second.get()).is_none_or(|passed| passed >= NANOS_A_SECOND);
        if self.hurries.get() && !is_second {
            return false;
        }
        self.last_second.set(now);
        self.refuse_late();
        true
    }

    fn admit_dialled(&self) {
        let dialling: Vec<_> = self.dialling.borrow().values().map(Rc::clone).collect();
        for connection in dialling {
            if host::set_effective_context(connection.context).is_ok() && has_address() {
                let action = connection.on_address();
                release(action);
            }
        }
    }

    /// Counts a second and closes what has waited too long.
    fn refuse_late(&self) {
        let now = self.seconds.get().saturating_add(1);
        self.seconds.set(now);
        let late: Vec<_> = self
            .hellos
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
        self.worker.waiting.relax();
        let (mut reader, admitted) = match self.state.replace(State::Silent) {
            State::Refused => return self.keep(State::Refused),
            // More bytes of the client's: they wait like those before.
            State::Dialling { opening } if !has_address() => return self.keep(State::Dialling { opening }),
            State::Dialling { opening } => return self.decide(opening, true),
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
                self.worker.waiting.await_hello(self);
                self.keep(State::Reading { reader, admitted })
            }
        }
    }

    /// Bytes of the site.
    fn on_site_bytes(self: &Rc<Self>, size: usize) -> Action {
        self.worker.waiting.relax();
        match self.state.replace(State::Silent) {
            State::Refused => self.keep(State::Refused),
            State::Admitted(admission) => self.recheck(admission),
            state if size == 0 => {
                // The site has closed without a word; there is nothing to hold back.
                self.state.replace(state);
                Action::Continue
            }
            // The site is faster than the tick.
            State::Dialling { opening } => {
                let action = self.decide(opening, true);
                release(action)
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
    fn decide(self: &Rc<Self>, opening: Opening, client_spoke: bool) -> Action {
        self.worker.waiting.remove(self.context);
        let Some(plugin) = self.worker.in_force() else {
            return self.close();
        };
        let settings = plugin.engine.settings();
        let facts = Facts::network(&EnvoyAttributes, &settings.trust_domains, opening.clone());
        let decision = judge(&self.worker, &plugin, &facts);
        self.carry_out(&plugin, &facts, &decision, opening, client_spoke)
    }

    /// The gateway has dialled.
    fn on_address(self: &Rc<Self>) -> Action {
        match self.state.replace(State::Silent) {
            State::Dialling { opening } => self.decide(opening, true),
            state => self.keep(state),
        }
    }

    /// Tells a decision, and does as it says.
    fn carry_out(
        self: &Rc<Self>,
        plugin: &Plugin,
        facts: &Facts<'_>,
        decision: &Decision<'_>,
        opening: Opening,
        client_spoke: bool,
    ) -> Action {
        let refused = decision.refusal().is_some();
        let settings = plugin.engine.settings();
        let destination = if refused { Destination::Known } else { destination(settings) };
        if destination == Destination::Dialled && client_spoke && settings.mode == Mode::Enforce {
            self.worker.waiting.await_address(self);
            return self.keep(State::Dialling { opening });
        }
        self.worker.report(plugin, facts, decision);
        if refused {
            return self.close();
        }
        // What is reported already need not be reported again.
        let unchosen = destination != Destination::Known && decision.dry_run_verdict.is_none();
        self.admit(plugin, opening, client_spoke, unchosen)
    }

    fn admit(&self, plugin: &Plugin, opening: Opening, client_spoke: bool, unchosen: bool) -> Action {
        self.keep(State::Admitted(Admission {
            opening,
            client_spoke,
            unchosen,
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
    fn recheck(&self, mut admission: Admission) -> Action {
        if admission.unchosen && self.is_carried_elsewhere(&mut admission) {
            return self.close();
        }
        let changed = admission.generation != generation();
        let expired = admission.until.is_some_and(|until| host::now().is_ok_and(|now| until <= now));
        if !changed && !expired {
            return self.keep(State::Admitted(admission));
        }
        self.decide_again(admission.opening, admission.client_spoke)
    }

    /// Asks the guards that could not be asked when the connection was admitted, once the gateway has chosen.
    fn is_carried_elsewhere(&self, admission: &mut Admission) -> bool {
        let Some(plugin) = self.worker.in_force() else {
            return true;
        };
        let settings = plugin.engine.settings();
        if destination(settings) != Destination::Known {
            return false;
        }
        admission.unchosen = false;
        let facts = Facts::network(&EnvoyAttributes, &settings.trust_domains, admission.opening.clone());
        let decision = judge(&self.worker, &plugin, &facts);
        let elsewhere =
            |verdict: &Verdict<'_>| matches!(verdict.reason, Reason::RouteMismatch | Reason::PrivateUpstream);
        // Anything else is for the recheck, which may be off.
        if decision.verdict.iter().chain(&decision.dry_run_verdict).any(elsewhere) {
            self.worker.report(&plugin, &facts, &decision);
        }
        decision.refusal().is_some() && decision.verdict.as_ref().is_some_and(elsewhere)
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
        // A newer configuration may ask what the older one did not.
        let unchosen = settings.recheck_connections && destination(settings) != Destination::Known;
        self.admit(&plugin, opening, client_spoke, unchosen)
    }

    /// Refuses without asking the policies; `mode: DRY_RUN` only says so.
    fn refuse(self: &Rc<Self>, reason: Reason<'static>, client_spoke: bool) -> Action {
        self.worker.waiting.remove(self.context);
        let Some(plugin) = self.worker.in_force() else {
            return self.close();
        };
        let settings = plugin.engine.settings();
        let facts = Facts::network(&EnvoyAttributes, &settings.trust_domains, Opening::Plain);
        let denied = Decision::deny(reason);
        let decision = match settings.mode {
            Mode::Enforce => denied,
            Mode::DryRun => Decision { verdict: None, dry_run_verdict: denied.verdict, audit: Vec::new() },
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
            State::Silent | State::Reading { .. } | State::Dialling { .. } | State::Refused => Action::Pause,
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

/// Whether the gateway has chosen what guards ask for.
fn destination(settings: &Settings) -> Destination {
    let unchosen = || matches!(EnvoyAttributes.cluster_name().map(Option::unwrap_or_default), Ok(name) if name.is_empty());
    if settings.private_upstreams == Effect::Deny && !has_address() {
        return if unchosen() { Destination::Unchosen } else { Destination::Dialled };
    }
    if settings.route_mismatch != Guard::Allow && unchosen() {
        return Destination::Unchosen;
    }
    Destination::Known
}

/// Whether the gateway has dialled the site. An address that cannot be read is for the guard to refuse.
fn has_address() -> bool {
    !matches!(EnvoyAttributes.upstream_address().map(Option::unwrap_or_default), Ok(address) if address.is_empty())
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
