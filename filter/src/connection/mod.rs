//! One TCP connection: decided on the first bytes in either direction, and held until then.

mod ruling;
mod state;

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) use properties::hello;

use crate::action::Action;
use crate::host::Stream;
use crate::instance::PluginInstance;
use crate::registry::Origin;
use crate::waiting::{Awaits, Waiter};
use state::{Effects, Event, Side, State, step};
use std::cell::RefCell;
use std::rc::Rc;

/// A connection, as its carrier calls it.
pub struct Connection(Rc<Inner>);

/// A connection, as the clock finds it, too.
struct Inner {
    instance: Rc<PluginInstance>,
    stream: Box<dyn Stream>,
    /// Its number on this worker, and where it came from.
    accepted: RefCell<Option<(u64, Origin)>>,
    state: RefCell<State>,
}

impl Connection {
    /// A connection of which nothing is known yet.
    #[must_use]
    pub fn new(instance: Rc<PluginInstance>, stream: Box<dyn Stream>) -> Self {
        let (accepted, state) = (RefCell::default(), RefCell::default());
        Self(Rc::new(Inner { instance, stream, accepted, state }))
    }

    /// The client has connected. Nothing of the peer is read here: the handshake is not over, and reading the certificate
    /// now made older Envoys remember that there was none. Pausing would keep the handshake from ever ending.
    pub fn on_new(&self) -> Action {
        let (number, looked) = self.0.instance.worker().on_connection();
        if looked && self.0.stream.enter().is_err() {
            log::error!("egress-authz: Envoy did not return to a new connection; it is refused");
            self.0.state.replace(State::Refused);
        }
        let origin = self.0.instance.connect(|| ruling::listener(&*self.0.stream));
        self.0.accepted.replace(origin.map(|origin| (number, origin)));
        Action::Continue
    }

    /// Envoy holds `size` bytes of the client's; `ends` where no more come.
    pub fn on_client_bytes(&self, size: usize, ends: bool) -> Action {
        self.0.notice_change();
        let (is_open, reads, held) = {
            let state = self.0.state.borrow();
            (state.is_open(), state.reads_client(), state.held())
        };
        if is_open {
            return Action::Continue;
        }
        if !reads {
            return self.0.run(Event::ClientBytes(&[], ends), Side::Client);
        }
        // While the filter pauses, Envoy keeps all bytes; only those that are new are fetched.
        match self.0.stream.client_bytes(held, size.saturating_sub(held)) {
            Ok(bytes) => {
                self.0.run(Event::ClientBytes(bytes.as_deref().unwrap_or_default(), ends), Side::Client)
            }
            Err(_) => self.0.run(Event::UnreadableBytes, Side::Client),
        }
    }

    /// Envoy holds `size` bytes of the site's; 0 where it has closed.
    pub fn on_site_bytes(&self, size: usize) -> Action {
        self.0.notice_change();
        let (is_open, reads) = {
            let state = self.0.state.borrow();
            (state.is_open(), state.reads_site())
        };
        if is_open {
            return Action::Continue;
        }
        // An answer that cannot be read is taken for none: then every ClientHello is held to the first.
        let read = if reads && size > 0 { self.0.stream.site_bytes(size).ok().flatten() } else { None };
        let unread: &[u8] = if size == 0 { &[] } else { &[0] };
        let bytes = read.as_deref().filter(|bytes| !bytes.is_empty()).unwrap_or(unread);
        self.0.run(Event::SiteBytes(bytes), Side::Site)
    }

    /// The connection is gone.
    pub fn on_delete(&self) {
        self.0.state.replace(State::Refused);
        self.0.forget();
    }
}

impl Inner {
    /// Judges a live connection again where a newer configuration or the clock may refuse it.
    fn notice_change(self: &Rc<Self>) {
        let worker = self.instance.worker();
        let is_due = self.state.borrow().admission().is_some_and(|admission| {
            let next_change = admission.next_change;
            admission.epoch != worker.registry.borrow().epoch()
                || next_change.is_some_and(|instant| worker.host.now().is_ok_and(|now| instant <= now))
        });
        if is_due {
            self.run(Event::Changed, Side::Neither);
        }
    }

    /// Takes a step, and does what comes of it. Returns what becomes of the bytes at hand.
    fn run(self: &Rc<Self>, event: Event<'_>, side: Side) -> Action {
        let awaited = self.state.borrow().awaits();
        let mut effects = self.step(event);
        while let Some(question) = effects.ask.take() {
            let accepted = self.accepted.borrow().clone();
            let ruling = match accepted {
                Some((_, origin)) => ruling::rule(&self.instance, &*self.stream, &origin, &question),
                // No configuration was ever accepted.
                None => state::Ruling::Refused,
            };
            effects = self.step(Event::Ruled(ruling));
        }
        self.wait(awaited);
        let passes = effects.passes_end || self.state.borrow().passes(side);
        if effects.closes && self.stream.close().is_err() {
            log::error!("egress-authz: Envoy did not close a refused connection; it is held");
        }
        if effects.resumes && self.stream.resume().is_err() {
            log::error!("egress-authz: Envoy did not release an admitted connection's bytes");
        }
        if passes { Action::Continue } else { Action::Pause }
    }

    fn step(&self, event: Event<'_>) -> Effects {
        // Nothing passes should a step be taken within a step.
        let state = self.state.replace(State::Refused);
        let (state, effects) = step(state, event);
        self.state.replace(state);
        effects
    }

    /// Waits for the clock or a dial, as the state says.
    fn wait(self: &Rc<Self>, awaited: Awaits) {
        let awaits = self.state.borrow().awaits();
        if awaits == awaited {
            return;
        }
        if let Some((number, _)) = &*self.accepted.borrow() {
            let waiter = || -> Rc<dyn Waiter> { Rc::<Self>::clone(self) };
            self.instance.worker().waiting.set(*number, awaits, waiter);
        }
    }

    fn forget(&self) {
        if let Some((number, _)) = &*self.accepted.borrow() {
            self.instance.worker().waiting.remove(*number);
        }
    }
}

impl Waiter for Inner {
    fn on_late_hello(self: Rc<Self>) {
        if self.stream.enter().is_ok() {
            self.run(Event::LateHello, Side::Neither);
        }
    }

    fn on_dial(self: Rc<Self>) {
        // An address that cannot be read is there, and for the guard to refuse.
        let is_there = || !matches!(self.stream.upstream_address().map(Option::unwrap_or_default), Ok(address) if address.is_empty());
        if self.stream.enter().is_ok() && is_there() {
            self.run(Event::Dialled, Side::Neither);
        }
    }
}
