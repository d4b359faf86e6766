//! A connection as a pure state machine: what is known, what happens, and what comes of it.
//!
//! Nothing here calls out. Where a verdict is needed, the next state is [`State::Asking`] and the effect says what to ask;
//! the answer comes back as [`Event::Ruled`]. Bytes pass in no other state than those that [`State::passes`] names, and the
//! only way into them is a ruling.

use crate::registry::Epoch;
use crate::waiting::Awaits;
use egress_policy::{BrokenHello, HelloReader, Opening, Pending, Progress, Timestamp};

/// What is known of a connection.
#[derive(Debug, Default)]
pub(crate) enum State {
    /// Neither side has sent a byte.
    #[default]
    Silent,
    /// A ClientHello has begun; the client's bytes are held, and the site has said nothing.
    ReadingHello(HelloReader),
    /// The site has spoken first and is admitted; the client has said nothing.
    SiteSpoke(Admission),
    /// As before, and now a ClientHello has begun; the client's bytes are held.
    ReadingLateHello(HelloReader, Admission),
    /// A verdict is asked for; all bytes are held.
    Asking(Question, Side),
    /// Admitted, if the site's address is not one that is refused: the gateway is dialling, and the client's bytes are held.
    AwaitingAddress(Opening),
    /// Admitted, but a guard still waits for the route: the client's bytes pass, and no byte of the site's does.
    AwaitingRoute(Admission),
    /// Bytes pass in both directions.
    Admitted(Admission),
    /// Nothing passes any more.
    Refused,
}

/// By what a connection was admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admission {
    /// What it began with.
    pub(crate) opening: Opening,
    /// The configurations that were loaded when it was decided.
    pub(crate) epoch: Epoch,
    /// The next instant at which it may be decided otherwise.
    pub(crate) next_change: Option<Timestamp>,
}

/// What asks for a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// The connection begins so: does it pass?
    Opens(Opening),
    /// The site spoke before the client: does that pass?
    SiteOpens,
    /// The client's bytes could not be read: refused, except where nothing is enforced.
    Unreadable,
    /// A live connection in this state; the configuration has changed, or a policy has expired.
    Recheck(Box<Live>),
    /// What the guard that waited for the route says now.
    Guard(Admission),
}

/// A connection that bytes pass on, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Live {
    /// The site has spoken, the client has not.
    SiteSpoke(Admission),
    /// A guard waits for the route.
    AwaitingRoute(Admission),
    /// Bytes pass in both directions.
    Admitted(Admission),
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Bytes of the client's are at hand.
    Client,
    /// Bytes of the site's are at hand.
    Site,
    /// None are: the clock, or the end of a dial.
    Neither,
}

/// What happens.
#[derive(Debug)]
pub(crate) enum Event<'b> {
    /// Bytes of the client's that were not seen before, and whether no more come.
    ClientBytes(&'b [u8], bool),
    /// Bytes of the client's that could not be read.
    UnreadableBytes,
    /// Bytes of the site's; none where it has closed.
    SiteBytes(&'b [u8]),
    /// The ClientHello was not whole in time.
    LateHello,
    /// The site's address is there.
    Dialled,
    /// The configuration has changed, or a policy has expired.
    Changed,
    /// The answer to what was asked.
    Ruled(Ruling),
}

/// The answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// It does not pass.
    Refused,
    /// It passes; a guard may still wait.
    Admitted {
        /// What a guard waits for.
        pending: Option<Pending>,
        /// What it was decided by.
        epoch: Epoch,
        /// The next instant at which it may be decided otherwise.
        next_change: Option<Timestamp>,
    },
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Ask this, and come back with [`Event::Ruled`].
    pub(crate) ask: Option<Question>,
    /// Close the connection.
    pub(crate) closes: bool,
    /// Let the client's bytes go that were held before this event.
    pub(crate) resumes: bool,
    /// The bytes at hand pass although the state lets none pass: there are none.
    pub(crate) passes_end: bool,
}

/// The next state, and what is to be done.
pub(crate) fn step(state: State, event: Event<'_>) -> (State, Effects) {
    let none = Effects::default;
    match (state, event) {
        (State::Refused, _) => (State::Refused, none()),
        (State::Asking(question, side), Event::Ruled(ruling)) => settle(question, side, ruling),
        // Envoy calls again while a question is being answered: nothing passes meanwhile.
        (asking @ State::Asking(..), _) | (asking, Event::Ruled(_)) => (asking, none()),

        (State::Silent, Event::ClientBytes(bytes, ends)) => read(HelloReader::default(), None, bytes, ends),
        (State::ReadingHello(reader), Event::ClientBytes(bytes, ends)) => read(reader, None, bytes, ends),
        (State::SiteSpoke(admission), Event::ClientBytes(bytes, ends)) => {
            read(HelloReader::default(), Some(admission), bytes, ends)
        }
        (State::ReadingLateHello(reader, admission), Event::ClientBytes(bytes, ends)) => {
            read(reader, Some(admission), bytes, ends)
        }
        (State::AwaitingAddress(opening), Event::ClientBytes(..)) => {
            ask(Question::Opens(opening), Side::Client)
        }
        (State::AwaitingRoute(admission), Event::ClientBytes(..)) => {
            ask(Question::Guard(admission), Side::Client)
        }
        (
            State::Silent | State::ReadingHello(_) | State::SiteSpoke(_) | State::ReadingLateHello(..),
            Event::UnreadableBytes,
        ) => ask(Question::Unreadable, Side::Client),

        // The site has closed without a word; there is nothing to hold back.
        (state, Event::SiteBytes([])) => (state, Effects { passes_end: true, ..none() }),
        (State::Silent, Event::SiteBytes(_)) => ask(Question::SiteOpens, Side::Site),
        // A site that speaks into a ClientHello has not heard it.
        (State::ReadingHello(_) | State::ReadingLateHello(..), Event::SiteBytes(_)) => {
            ask(Question::Opens(Opening::Broken(BrokenHello::Malformed)), Side::Site)
        }
        // The site is faster than the tick.
        (State::AwaitingAddress(opening), Event::SiteBytes(_)) => ask(Question::Opens(opening), Side::Site),
        (State::AwaitingRoute(admission), Event::SiteBytes(_)) => ask(Question::Guard(admission), Side::Site),

        (State::ReadingHello(_) | State::ReadingLateHello(..), Event::LateHello) => {
            ask(Question::Opens(Opening::Broken(BrokenHello::Late)), Side::Neither)
        }
        (State::AwaitingAddress(opening), Event::Dialled) => ask(Question::Opens(opening), Side::Neither),

        (State::SiteSpoke(admission), Event::Changed) => recheck(Live::SiteSpoke(admission)),
        (State::AwaitingRoute(admission), Event::Changed) => recheck(Live::AwaitingRoute(admission)),
        (State::Admitted(admission), Event::Changed) => recheck(Live::Admitted(admission)),

        // Bytes that pass, and what is no longer waited for.
        (state, _) => (state, none()),
    }
}

fn ask(question: Question, side: Side) -> (State, Effects) {
    let effects = Effects { ask: Some(question.clone()), ..Effects::default() };
    (State::Asking(question, side), effects)
}

fn recheck(live: Live) -> (State, Effects) {
    ask(Question::Recheck(Box::new(live)), Side::Neither)
}

/// Reads bytes of a client whose opening is not known yet. `admission` is what the site's bytes were admitted by.
fn read(mut reader: HelloReader, admission: Option<Admission>, bytes: &[u8], ends: bool) -> (State, Effects) {
    let opening = match reader.push(bytes) {
        Progress::Done(opening) => opening,
        // An end without a word: decided on, so that it makes the gateway dial nobody who is refused.
        Progress::More if ends && !reader.has_begun() => Opening::Plain,
        Progress::More if ends => Opening::Broken(BrokenHello::Malformed),
        Progress::More => {
            let state = match admission {
                Some(admission) => State::ReadingLateHello(reader, admission),
                None => State::ReadingHello(reader),
            };
            return (state, Effects::default());
        }
    };
    match admission {
        // It was decided as such when the site spoke.
        Some(admission) if opening == Opening::Plain => (State::Admitted(admission), Effects::default()),
        _ => ask(Question::Opens(opening), Side::Client),
    }
}

/// What comes of the answer to a question.
fn settle(question: Question, side: Side, ruling: Ruling) -> (State, Effects) {
    let Ruling::Admitted { pending, epoch, next_change } = ruling else {
        return (State::Refused, Effects { closes: true, ..Effects::default() });
    };
    let admission = |opening| Admission { opening, epoch, next_change };
    // Where bytes of the site's are there, all is chosen that ever will be.
    let pending = pending.filter(|_| side != Side::Site);
    // Bytes that the client sent before this event are held still.
    let resumes = Effects { resumes: side != Side::Client, ..Effects::default() };
    match question {
        Question::SiteOpens => (State::SiteSpoke(admission(Opening::Plain)), Effects::default()),
        Question::Unreadable => (State::Admitted(admission(Opening::Plain)), Effects::default()),
        Question::Opens(opening) => match pending {
            Some(Pending::Address) => (State::AwaitingAddress(opening), Effects::default()),
            Some(Pending::Route) => (State::AwaitingRoute(admission(opening)), resumes),
            None => (State::Admitted(admission(opening)), resumes),
        },
        Question::Guard(Admission { opening, epoch, next_change }) => {
            // The guard alone was asked: what the rest was decided by has not changed.
            let admission = Admission { opening, epoch, next_change };
            let state = if pending.is_some() { State::AwaitingRoute } else { State::Admitted };
            (state(admission), Effects::default())
        }
        Question::Recheck(live) => {
            let state = match *live {
                Live::SiteSpoke(before) => State::SiteSpoke(admission(before.opening)),
                // It waits, whatever another configuration asks: the next bytes ask the guard.
                Live::AwaitingRoute(before) => State::AwaitingRoute(admission(before.opening)),
                // A newer configuration may ask what the older one did not.
                Live::Admitted(before) if pending.is_some() => {
                    State::AwaitingRoute(admission(before.opening))
                }
                Live::Admitted(before) => State::Admitted(admission(before.opening)),
            };
            (state, Effects::default())
        }
    }
}

impl State {
    /// Whether bytes of a side pass.
    pub(crate) fn passes(&self, side: Side) -> bool {
        match self {
            Self::Admitted(_) => true,
            Self::AwaitingRoute(_) => side == Side::Client,
            Self::SiteSpoke(_) => side == Side::Site,
            Self::Silent
            | Self::ReadingHello(_)
            | Self::ReadingLateHello(..)
            | Self::Asking(..)
            | Self::AwaitingAddress(_)
            | Self::Refused => false,
        }
    }

    /// Whether all bytes pass, whatever they are.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Admitted(_))
    }

    /// What it waits for, besides bytes.
    pub(crate) fn awaits(&self) -> Awaits {
        match self {
            Self::ReadingHello(_) | Self::ReadingLateHello(..) => Awaits::Hello,
            Self::AwaitingAddress(_) => Awaits::Address,
            _ => Awaits::Bytes,
        }
    }

    /// How many bytes of the client's have been seen and are held.
    pub(crate) fn seen(&self) -> usize {
        match self {
            Self::ReadingHello(reader) | Self::ReadingLateHello(reader, _) => reader.seen(),
            _ => 0,
        }
    }

    /// Whether the client's bytes are looked at.
    pub(crate) fn reads_client(&self) -> bool {
        matches!(self, Self::Silent | Self::ReadingHello(_) | Self::SiteSpoke(_) | Self::ReadingLateHello(..))
    }

    /// By what the connection is admitted, where bytes pass.
    pub(crate) fn admission(&self) -> Option<&Admission> {
        match self {
            Self::Admitted(admission) | Self::AwaitingRoute(admission) | Self::SiteSpoke(admission) => {
                Some(admission)
            }
            _ => None,
        }
    }
}
