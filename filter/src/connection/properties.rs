//! What holds of a connection whatever happens in whatever order.

use super::state::{Effects, Event, Live, Question, Ruling, Side, State, step};
use crate::registry::Epoch;
use egress_policy::Pending;
use proptest::prelude::*;

/// Something that happens.
#[derive(Debug, Clone)]
enum Happening {
    Client(Vec<u8>, bool),
    Unreadable,
    Site(Vec<u8>),
    LateHello,
    Dialled,
    Changed,
}

/// What a question is answered with.
type Answer = Option<Option<Pending>>;

fn happenings() -> impl Strategy<Value = Vec<(Happening, Answer)>> {
    let bytes = prop_oneof![
        Just(b"GET /".to_vec()),
        Just(vec![0x16]),
        Just(vec![0x16, 3, 1, 0, 5]),
        Just(vec![0x16, 3, 1, 0, 0]),
        Just(vec![1, 0, 0]),
        Just(Vec::new()),
        proptest::collection::vec(any::<u8>(), 0..8),
    ];
    let happening = prop_oneof![
        4 => (bytes.clone(), proptest::bool::weighted(0.1)).prop_map(|(bytes, ends)| Happening::Client(bytes, ends)),
        1 => Just(Happening::Unreadable),
        4 => bytes.prop_map(Happening::Site),
        1 => Just(Happening::LateHello),
        2 => Just(Happening::Dialled),
        2 => Just(Happening::Changed),
    ];
    let answer = prop_oneof![
        1 => Just(None),
        4 => Just(Some(None)),
        2 => Just(Some(Some(Pending::Route))),
        2 => Just(Some(Some(Pending::Address))),
    ];
    proptest::collection::vec((happening, answer), 0..24)
}

/// A connection, and what has become of it so far.
#[derive(Default)]
struct Watched {
    state: State,
    was_admitted: bool,
    was_refused: bool,
    /// A guard was said to wait, and has not been asked since.
    guard_waits: bool,
    /// Envoy holds bytes of the client's.
    is_held: bool,
}

impl Watched {
    /// Takes a step with all questions answered alike. Whether the bytes at hand pass.
    fn happen(&mut self, happening: &Happening, answer: Answer) -> Result<bool, TestCaseError> {
        let (event, side, size) = match happening {
            Happening::Client(bytes, ends) => (Event::ClientBytes(bytes, *ends), Side::Client, bytes.len()),
            Happening::Unreadable => (Event::UnreadableBytes, Side::Client, 1),
            Happening::Site(bytes) => (Event::SiteBytes(bytes), Side::Site, bytes.len()),
            Happening::LateHello => (Event::LateHello, Side::Neither, 0),
            Happening::Dialled => (Event::Dialled, Side::Neither, 0),
            Happening::Changed => (Event::Changed, Side::Neither, 0),
        };
        let mut effects = self.step(event);
        let mut questions = 0;
        while let Some(question) = effects.ask.take() {
            questions += 1;
            prop_assert!(questions < 3, "asks for ever: {question:?}");
            // Between question and answer nothing passes, whoever calls.
            prop_assert!(!self.state.passes(Side::Client) && !self.state.passes(Side::Site));
            effects = self.answer(&question, side, answer);
            prop_assert_eq!(effects.closes, answer.is_none(), "a refusal closes, and nothing else does");
        }
        let passes = self.state.passes(side) || effects.passes_end;
        if side == Side::Client {
            self.is_held = !passes && (self.is_held || size > 0);
        }
        if effects.resumes {
            prop_assert!(self.state.passes(Side::Client), "resumed, but not admitted: {:?}", self.state);
            self.is_held = false;
        }
        if passes && size > 0 {
            prop_assert!(self.was_admitted, "a byte passes before an admission: {:?}", self.state);
            prop_assert!(!self.was_refused, "a byte passes after a refusal: {:?}", self.state);
            prop_assert!(
                side != Side::Site || !self.guard_waits,
                "a waiting guard was not asked: {:?}",
                self.state
            );
        }
        if self.was_refused {
            prop_assert!(matches!(self.state, State::Refused), "{:?}", self.state);
        }
        prop_assert!(
            !(self.is_held && self.state.passes(Side::Client)),
            "bytes are held that nothing lets go: {:?}",
            self.state
        );
        Ok(passes)
    }

    fn step(&mut self, event: Event<'_>) -> Effects {
        let (state, effects) = step(std::mem::take(&mut self.state), event);
        self.state = state;
        effects
    }

    fn answer(&mut self, question: &Question, side: Side, answer: Answer) -> Effects {
        let ruling = match answer {
            None => {
                self.was_refused = true;
                Ruling::Refused
            }
            Some(pending) => {
                // Nothing is known of a connection that only a dry run lets pass: no guard could be asked.
                let pending = pending.filter(|_| *question != Question::Unreadable);
                self.was_admitted |= pending != Some(Pending::Address) || side == Side::Site;
                match question {
                    // The site has spoken: all is chosen that ever will be.
                    Question::Recheck(live) if matches!(**live, Live::SiteSpoke(_)) => {}
                    Question::Recheck(_) => self.guard_waits |= pending.is_some(),
                    _ => self.guard_waits = pending.is_some() && side != Side::Site,
                }
                Ruling::Admitted { pending, epoch: Epoch::default(), next_change: None }
            }
        };
        self.step(Event::Ruled(ruling))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_passes_that_was_not_admitted(happenings in happenings()) {
        let mut watched = Watched::default();
        for (happening, answer) in &happenings {
            watched.happen(happening, *answer)?;
        }
    }

    #[test]
    fn every_way_ends(happenings in happenings()) {
        let mut watched = Watched::default();
        for (happening, answer) in &happenings {
            watched.happen(happening, *answer)?;
        }
        // The client's hello times out, the gateway dials, the site speaks: then it is decided, one way or the other.
        for last in [Happening::LateHello, Happening::Dialled, Happening::Site(vec![1]), Happening::Client(vec![1], true)] {
            watched.happen(&last, Some(None))?;
        }
        prop_assert!(matches!(watched.state, State::Admitted(_) | State::Refused), "{:?}", watched.state);
    }

    #[test]
    fn the_clock_loses_no_connection(happenings in happenings()) {
        let mut watched = Watched::default();
        for (happening, answer) in &happenings {
            if matches!(happening, Happening::LateHello | Happening::Dialled | Happening::Changed) {
                let was_refused = watched.was_refused;
                watched.happen(happening, Some(answer.flatten()))?;
                prop_assert_eq!(watched.was_refused, was_refused, "{:?}", happening);
                prop_assert_eq!(matches!(watched.state, State::Refused), was_refused, "{:?}", happening);
            } else {
                watched.happen(happening, *answer)?;
            }
        }
    }
}
