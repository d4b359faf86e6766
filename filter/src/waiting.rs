//! Connections that something else than bytes goes on: the clock, or the gateway's dialling; and the passing of seconds.

use egress_policy::Timestamp;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How long a client has for its ClientHello, in seconds; the first second may be over at once.
const HELLO_SECONDS: u64 = 10;
/// A clock that moves by more than this many seconds at once was set: no time has passed by that.
const MAX_STEP: i64 = 60;

/// A connection that waits.
pub(crate) trait Waiter {
    /// Its ClientHello was not whole in time.
    fn on_late_hello(self: Rc<Self>);
    /// The site's address may be there now.
    fn on_dial(self: Rc<Self>);
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaits {
    /// Nothing but bytes.
    Bytes,
    /// The rest of a ClientHello.
    Hello,
    /// The site's address.
    Address,
}

/// A connection whose ClientHello is not whole, and the last second that it may see.
struct Hello {
    deadline: u64,
    waiter: Rc<dyn Waiter>,
}

/// The connections of one worker that wait.
#[derive(Default)]
pub(crate) struct Waiting {
    /// Those whose ClientHello is not whole.
    hellos: RefCell<FxHashMap<u64, Hello>>,
    /// Those whose site's address is awaited: Envoy does not say when a dial has ended, so it is asked until it knows.
    dials: RefCell<FxHashMap<u64, Rc<dyn Waiter>>>,
    /// Seconds that have passed here.
    seconds: Cell<u64>,
    /// The clock at the last of them; `None` where Envoy does not tell the time.
    last: Cell<Option<i64>>,
}

impl Waiting {
    /// Keeps or forgets a connection, by what it waits for now.
    pub(crate) fn set(&self, number: u64, awaits: Awaits, waiter: impl FnOnce() -> Rc<dyn Waiter>) {
        let deadline = self.seconds.get().saturating_add(HELLO_SECONDS);
        match awaits {
            Awaits::Bytes => {
                self.remove(number);
            }
            Awaits::Hello => {
                self.dials.borrow_mut().remove(&number);
                self.hellos
                    .borrow_mut()
                    .entry(number)
                    .or_insert_with(|| Hello { deadline, waiter: waiter() });
            }
            Awaits::Address => {
                self.hellos.borrow_mut().remove(&number);
                self.dials.borrow_mut().entry(number).or_insert_with(waiter);
            }
        }
    }

    /// Forgets a connection.
    pub(crate) fn remove(&self, number: u64) {
        // Dropped after the borrows have ended: a waiter may hold what asks for them again.
        let (hello, dial);
        hello = self.hellos.borrow_mut().remove(&number);
        dial = self.dials.borrow_mut().remove(&number);
        drop((hello, dial));
    }

    /// Lets each connection that waits for a dial look whether it has ended.
    pub(crate) fn look_at_dials(&self) {
        if self.dials.borrow().is_empty() {
            return;
        }
        let waiters: Vec<_> = self.dials.borrow().values().map(Rc::clone).collect();
        for waiter in waiters {
            waiter.on_dial();
        }
    }

    /// Lets the time pass to `now`, and says whether a second has passed. Where Envoy does not tell the time, each call
    /// counts as a second.
    pub(crate) fn pass(&self, now: Option<Timestamp>) -> bool {
        let now = now.map(Timestamp::unix_seconds);
        let step = match (self.last.get(), now) {
            (Some(last), Some(now)) => now.saturating_sub(last),
            _ => 1,
        };
        if step == 0 {
            return false;
        }
        self.last.set(now);
        let step = if (1..=MAX_STEP).contains(&step) { u64::try_from(step).unwrap_or(1) } else { 1 };
        self.seconds.set(self.seconds.get().saturating_add(step));
        true
    }

    /// Ends the wait of each connection whose ClientHello is late.
    pub(crate) fn end_late_hellos(&self) {
        let now = self.seconds.get();
        let hellos = self.hellos.borrow();
        let late: Vec<_> = hellos
            .iter()
            .filter(|(_, hello)| hello.deadline < now)
            .map(|(number, hello)| (*number, Rc::clone(&hello.waiter)))
            .collect();
        drop(hellos);
        for (number, waiter) in late {
            self.remove(number);
            waiter.on_late_hello();
        }
    }
}
