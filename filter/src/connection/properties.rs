//! What holds of a connection whatever happens in whatever order.

use super::state::{Effects, Event, Purpose, Question, Ruling, Side, State, step};
use crate::registry::Epoch;
use egress_policy::{Opening, Pending};
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
        self.happen_by(happening, |_| answer)
    }

    /// Takes a step. Whether the bytes at hand pass.
    fn happen_by(
        &mut self,
        happening: &Happening,
        answer: impl Fn(&Question) -> Answer,
    ) -> Result<bool, TestCaseError> {
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
            let answer = answer(&question);
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
                    Question::Recheck(_)
                        if matches!(self.state, State::Asking(Purpose::KeepSiteSpoke(_), _)) => {}
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

/// A record with a ClientHello for a host.
pub(crate) fn hello(host: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
    let entry = [&[0][..], &length(host), host].concat();
    let list = [&length(&entry)[..], &entry].concat();
    let extensions = [&[0, 0][..], &length(&list), &list].concat();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &length(&extensions), &extensions].concat();
    let message = [&[1, 0][..], &length(&body), &body].concat();
    [&[22, 3, 1][..], &length(&message), &message].concat()
}

/// A record with a ServerHello of so many bytes of a random.
fn server_hello(random: [u8; 32]) -> Vec<u8> {
    let body = [&[3, 3][..], &random, &[0, 0x13, 1, 0]].concat();
    [&[22, 3, 3, 0, 42, 2, 0, 0, 38][..], &body].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A ClientHello for another host passes only where the site cannot read one any more.
    #[test]
    fn a_further_hello_passes_only_as_the_first(
        happenings in proptest::collection::vec((0..7_usize, any::<bool>(), any::<proptest::sample::Index>()), 1..16),
    ) {
        let mut watched = Watched::default();
        prop_assert!(watched.happen(&Happening::Client(hello(b"a.example"), false), Some(None))?);
        let mut is_answered = false;
        let mut is_encrypted = false;
        for (which, is_cut, cut) in happenings {
            let bytes = match which {
                0 | 1 => hello(b"b.example"),
                2 => hello(b"a.example"),
                3 => vec![20, 3, 3, 0, 1, 1],
                4 => vec![23, 3, 3, 0, 2, 1, 1],
                5 => server_hello([9; 32]),
                _ => Vec::new(),
            };
            let happening = match which {
                5 => Happening::Site(bytes),
                6 => Happening::Changed,
                _ => Happening::Client(bytes, false),
            };
            // What is broken is refused, as it is in force.
            let answer = |question: &Question| match question {
                Question::Opens(Opening::Broken(_)) => None,
                _ => Some(None),
            };
            let (first, rest) = match &happening {
                Happening::Client(bytes, _) if is_cut => bytes.split_at(cut.index(bytes.len())),
                Happening::Client(bytes, _) => (bytes.as_slice(), &[][..]),
                _ => (&[][..], &[][..]),
            };
            let passes = if let Happening::Client(..) = happening {
                let passes = watched.happen_by(&Happening::Client(first.to_vec(), false), answer)?;
                if rest.is_empty() { passes } else { watched.happen_by(&Happening::Client(rest.to_vec(), false), answer)? }
            } else {
                watched.happen_by(&happening, answer)?
            };
            prop_assert!(!passes || which > 1 || is_encrypted, "{:?}", watched.state);
            is_answered |= which == 5 && passes;
            is_encrypted |= is_answered && (which == 3 || which == 4);
        }
    }
}
