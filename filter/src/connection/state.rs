//! A connection as a pure state machine: what is known, what happens, and what comes of it.
//!
//! Nothing here calls out. Where a verdict is needed, the next state is [`State::Asking`] and the effect says what to ask;
//! the answer comes back as [`Event::Ruled`]. Bytes pass in no other state than those that [`State::passes`] names, and the
//! only way into them is a ruling.

use crate::registry::Epoch;
use crate::waiting::Awaits;
use egress_policy::{
    BrokenHello, HandshakeWatch, HelloReader, Opening, Pending, Progress, Timestamp, Watched,
};

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
    Asking(Purpose, Side),
    /// Admitted, if the site's address is not one that is refused: the gateway is dialling, and the client's bytes are held.
    AwaitingAddress(Client),
    /// Admitted, but a guard still waits for the route: the client's bytes pass, and no byte of the site's does.
    AwaitingRoute(Admission),
    /// Bytes pass in both directions.
    Admitted(Admission),
    /// Nothing passes any more.
    Refused,
}

/// What the client has said.
#[derive(Debug)]
pub(crate) struct Client {
    /// What the connection began with.
    opening: Opening,
    /// Its handshake, until no further ClientHello can come.
    watch: HandshakeWatch,
    /// How many of its bytes have been read and are held.
    held: usize,
}

/// By what a connection was admitted.
#[derive(Debug)]
pub(crate) struct Admission {
    client: Client,
    /// The configurations that were loaded when it was decided.
    pub(crate) epoch: Epoch,
    /// The next instant at which it may be decided otherwise.
    pub(crate) next_change: Option<Timestamp>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// The connection begins so: does it pass?
    Opens(Opening),
    /// The site spoke before the client: does that pass?
    SiteOpens,
    /// The client's bytes could not be read: refused, except where nothing is enforced.
    Unreadable,
    /// A live connection that began so; the configuration has changed, or a policy has expired: does it still pass?
    Recheck(Opening),
    /// What does the guard that waited for the route of a connection say that began so?
    Guard(Opening),
}

/// What an answer is wanted for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// To let the connection begin.
    Open(Client),
    /// To let the site speak before the client.
    OpenBySite,
    /// To let pass what could not be read.
    PassUnread,
    /// To keep a connection on which the site has spoken and the client has not.
    KeepSiteSpoke(Admission),
    /// To keep one whose guard waits for the route.
    KeepAwaitingRoute(Admission),
    /// To keep one on which bytes pass in both directions.
    KeepAdmitted(Admission),
    /// To end the wait of a guard.
    EndWait(Admission),
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
    /// Bytes of the site's, as far as they are read; none where it has closed.
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

type Next = (State, Effects);

/// The next state, and what is to be done.
pub(crate) fn step(state: State, event: Event<'_>) -> Next {
    match (state, event) {
        (State::Refused, _) => settled(State::Refused),
        (State::Asking(purpose, side), Event::Ruled(ruling)) => settle(purpose, side, ruling),
        // Envoy calls again while a question is being answered: nothing passes meanwhile.
        (state @ State::Asking(..), _) | (state, Event::Ruled(_)) => settled(state),

        (state, Event::ClientBytes(bytes, ends)) => on_client_bytes(state, bytes, ends),
        (state, Event::SiteBytes(bytes)) => on_site_bytes(state, bytes),
        (state, Event::UnreadableBytes) if state.reads_client() => {
            ask(Question::Unreadable, Purpose::PassUnread, Side::Client)
        }

        (state, Event::LateHello) if state.awaits() == Awaits::Hello => {
            ask_to_open(Client::broken(BrokenHello::Late, state.held()), Side::Neither)
        }
        (State::AwaitingAddress(client), Event::Dialled) => ask_to_open(client, Side::Neither),

        (State::SiteSpoke(admission), Event::Changed) => recheck(admission, Purpose::KeepSiteSpoke),
        (State::AwaitingRoute(admission), Event::Changed) => recheck(admission, Purpose::KeepAwaitingRoute),
        (State::Admitted(admission), Event::Changed) => recheck(admission, Purpose::KeepAdmitted),

        // What is no longer waited for.
        (state, Event::UnreadableBytes | Event::LateHello | Event::Dialled | Event::Changed) => {
            settled(state)
        }
    }
}

fn on_client_bytes(state: State, bytes: &[u8], ends: bool) -> Next {
    match state {
        State::Silent => read(HelloReader::default(), None, bytes, ends),
        State::ReadingHello(reader) => read(reader, None, bytes, ends),
        State::SiteSpoke(admission) => read(HelloReader::default(), Some(admission), bytes, ends),
        State::ReadingLateHello(reader, admission) => read(reader, Some(admission), bytes, ends),
        State::AwaitingAddress(mut client) => {
            // Whatever they are, they are held until the address is there.
            let held = client.held + bytes.len();
            match client.watch(bytes, ends) {
                Ok(_) => ask_to_open(Client { held, ..client }, Side::Client),
                Err(how) => ask_to_open(Client::broken(how, held), Side::Client),
            }
        }
        State::AwaitingRoute(mut admission) => match admission.client.watch(bytes, ends) {
            Ok(Held::Nothing) => ask_to_end_wait(admission, Side::Client),
            Ok(Held::Hello) => settled(State::AwaitingRoute(admission)),
            Err(how) => ask_to_open(Client::broken(how, admission.client.held), Side::Client),
        },
        State::Admitted(mut admission) => match admission.client.watch(bytes, ends) {
            Ok(_) => settled(State::Admitted(admission)),
            Err(how) => ask_to_open(Client::broken(how, admission.client.held), Side::Client),
        },
        state @ (State::Asking(..) | State::Refused) => settled(state),
    }
}

fn on_site_bytes(state: State, bytes: &[u8]) -> Next {
    match state {
        // The site has closed without a word; there is nothing to hold back.
        state if bytes.is_empty() => (state, Effects { passes_end: true, ..Effects::default() }),
        State::Silent => ask(Question::SiteOpens, Purpose::OpenBySite, Side::Site),
        // A site that speaks into a ClientHello has not heard it.
        State::ReadingHello(_) | State::ReadingLateHello(..) => {
            ask_to_open(Client::broken(BrokenHello::Malformed, state.held()), Side::Site)
        }
        // The site is faster than the tick.
        State::AwaitingAddress(mut client) => {
            client.watch.site(bytes);
            ask_to_open(client, Side::Site)
        }
        State::AwaitingRoute(mut admission) => {
            admission.client.watch.site(bytes);
            ask_to_end_wait(admission, Side::Site)
        }
        State::Admitted(mut admission) => {
            admission.client.watch.site(bytes);
            settled(State::Admitted(admission))
        }
        state @ (State::SiteSpoke(_) | State::Asking(..) | State::Refused) => settled(state),
    }
}

fn settled(state: State) -> Next {
    (state, Effects::default())
}

fn ask(question: Question, purpose: Purpose, side: Side) -> Next {
    (State::Asking(purpose, side), Effects { ask: Some(question), ..Effects::default() })
}

fn ask_to_open(client: Client, side: Side) -> Next {
    ask(Question::Opens(client.opening.clone()), Purpose::Open(client), side)
}

fn ask_to_end_wait(admission: Admission, side: Side) -> Next {
    ask(Question::Guard(admission.client.opening.clone()), Purpose::EndWait(admission), side)
}

fn recheck(admission: Admission, purpose: fn(Admission) -> Purpose) -> Next {
    ask(Question::Recheck(admission.client.opening.clone()), purpose(admission), Side::Neither)
}

/// Reads bytes of a client whose opening is not known yet. `admission` is what the site's bytes were admitted by.
fn read(mut reader: HelloReader, admission: Option<Admission>, bytes: &[u8], ends: bool) -> Next {
    let before = reader.seen();
    let opening = match reader.push(bytes) {
        Progress::Done(opening) => opening,
        // An end without a word: decided on, so that it makes the gateway dial nobody who is refused.
        Progress::More if ends && !reader.has_begun() => Opening::Plain,
        Progress::More if ends => Opening::Broken(BrokenHello::Malformed),
        Progress::More => {
            return settled(match admission {
                Some(admission) => State::ReadingLateHello(reader, admission),
                None => State::ReadingHello(reader),
            });
        }
    };
    match admission {
        // It was decided as such when the site spoke.
        Some(admission) if opening == Opening::Plain => settled(State::Admitted(admission)),
        _ => {
            let behind = bytes.get(reader.seen().saturating_sub(before)..).unwrap_or_default();
            ask_to_open(Client::begin(opening, behind, before + bytes.len()), Side::Client)
        }
    }
}

/// What comes of the answer to a question.
fn settle(purpose: Purpose, side: Side, ruling: Ruling) -> Next {
    let Ruling::Admitted { pending, epoch, next_change } = ruling else {
        return (State::Refused, Effects { closes: true, ..Effects::default() });
    };
    let admit = |client| Admission { client, epoch, next_change };
    // Where bytes of the site's are there, all is chosen that ever will be.
    let pending = pending.filter(|_| side != Side::Site);
    match purpose {
        Purpose::OpenBySite => settled(State::SiteSpoke(admit(Client::plain()))),
        Purpose::PassUnread => settled(State::Admitted(admit(Client::plain()))),
        Purpose::Open(client) if pending == Some(Pending::Address) => settled(State::AwaitingAddress(client)),
        Purpose::Open(mut client) => {
            let resumes = client.release() && side != Side::Client;
            let state = if pending.is_some() { State::AwaitingRoute } else { State::Admitted };
            (state(admit(client)), Effects { resumes, ..Effects::default() })
        }
        // The guard alone was asked: what the rest was decided by has not changed.
        Purpose::EndWait(admission) if pending.is_some() => settled(State::AwaitingRoute(admission)),
        Purpose::EndWait(admission) => settled(State::Admitted(admission)),
        Purpose::KeepSiteSpoke(before) => settled(State::SiteSpoke(admit(before.client))),
        // It waits, whatever another configuration asks: the next bytes ask the guard.
        Purpose::KeepAwaitingRoute(before) => settled(State::AwaitingRoute(admit(before.client))),
        // A newer configuration may ask what the older one did not.
        Purpose::KeepAdmitted(before) if pending.is_some() => {
            settled(State::AwaitingRoute(admit(before.client)))
        }
        Purpose::KeepAdmitted(before) => settled(State::Admitted(admit(before.client))),
    }
}

// === impl Client ===

/// What is held of the client's bytes while it is admitted.
enum Held {
    Nothing,
    /// A further ClientHello that is not whole.
    Hello,
}

impl Client {
    /// A client whose first bytes were read: `behind` are those behind its opening, `held` is how many there are in all.
    fn begin(opening: Opening, behind: &[u8], held: usize) -> Self {
        let watched = match &opening {
            Opening::Tls { .. } => opening.clone(),
            // What is broken is decided on as such, once.
            Opening::Plain | Opening::Broken(_) => Opening::Plain,
        };
        let mut client = Self { opening, watch: HandshakeWatch::new(watched), held };
        match client.watch.client(behind) {
            Watched::Pass | Watched::Hold => client,
            Watched::Refuse(how) => Self::broken(how, held),
        }
    }

    fn plain() -> Self {
        Self::begin(Opening::Plain, &[], 0)
    }

    fn broken(how: BrokenHello, held: usize) -> Self {
        Self::begin(Opening::Broken(how), &[], held)
    }

    /// Shows further bytes to the watch.
    fn watch(&mut self, bytes: &[u8], ends: bool) -> Result<Held, BrokenHello> {
        match self.watch.client(bytes) {
            Watched::Pass => {
                self.held = 0;
                Ok(Held::Nothing)
            }
            Watched::Hold if ends => Err(BrokenHello::Malformed),
            Watched::Hold => {
                self.held += bytes.len();
                Ok(Held::Hello)
            }
            Watched::Refuse(how) => Err(how),
        }
    }

    /// Lets the held bytes go, unless a further ClientHello is not whole. Whether they go.
    fn release(&mut self) -> bool {
        let goes = !self.watch.holds();
        if goes {
            self.held = 0;
        }
        goes
    }
}

// === impl State ===

impl State {
    /// Whether bytes of a side pass.
    pub(crate) fn passes(&self, side: Side) -> bool {
        let is_held = self.held() > 0;
        match self {
            Self::Admitted(_) => side != Side::Client || !is_held,
            Self::AwaitingRoute(_) => side == Side::Client && !is_held,
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
        matches!(self, Self::Admitted(admission) if admission.client.watch.is_past())
    }

    /// What it waits for, besides bytes.
    pub(crate) fn awaits(&self) -> Awaits {
        match self {
            Self::ReadingHello(_) | Self::ReadingLateHello(..) => Awaits::Hello,
            Self::AwaitingAddress(_) => Awaits::Address,
            Self::Admitted(_) | Self::AwaitingRoute(_) if self.held() > 0 => Awaits::Hello,
            _ => Awaits::Bytes,
        }
    }

    /// How many bytes of the client's have been read and are held.
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::ReadingHello(reader) | Self::ReadingLateHello(reader, _) => reader.seen(),
            Self::AwaitingAddress(client) => client.held,
            Self::AwaitingRoute(admission) | Self::Admitted(admission) => admission.client.held,
            Self::Silent | Self::SiteSpoke(_) | Self::Asking(..) | Self::Refused => 0,
        }
    }

    /// Whether the client's bytes are looked at.
    pub(crate) fn reads_client(&self) -> bool {
        match self {
            Self::Silent | Self::ReadingHello(_) | Self::SiteSpoke(_) | Self::ReadingLateHello(..) => true,
            Self::AwaitingAddress(client) => !client.watch.is_past(),
            Self::AwaitingRoute(admission) | Self::Admitted(admission) => !admission.client.watch.is_past(),
            Self::Asking(..) | Self::Refused => false,
        }
    }

    /// Whether the site's bytes are looked at.
    pub(crate) fn reads_site(&self) -> bool {
        match self {
            Self::AwaitingAddress(client) => client.watch.reads_site(),
            Self::AwaitingRoute(admission) | Self::Admitted(admission) => admission.client.watch.reads_site(),
            _ => false,
        }
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
