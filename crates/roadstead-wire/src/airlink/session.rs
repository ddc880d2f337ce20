//! The few senders a receiver collects from at once.
//!
//! A sender earns its place with a guide code. There may be more than one: two phones, or a
//! chance likeness.

use alloc::boxed::Box;

use super::talker::TalkerId;

/// Senders collected at once.
const SESSIONS_MAX: usize = 3;

/// The sessions of one receiver. Allocated once.
pub(super) struct Sessions<S> {
    places: [(Option<usize>, Box<S>, u64); SESSIONS_MAX],
    clock: u64,
}

impl<S: Default> Sessions<S> {
    /// Collects from nobody.
    pub(super) fn new() -> Self {
        Self { places: core::array::from_fn(|_| (None, Box::default(), 0)), clock: 0 }
    }

    /// Returns the session of a talker.
    pub(super) fn of(&mut self, talker: TalkerId) -> Option<&mut S> {
        let mut places = self.places.iter_mut();
        places
            .find(|(owner, ..)| *owner == Some(talker.place()))
            .map(|(_, session, _)| &mut **session)
    }

    /// Returns the session of a talker that just showed a guide code; a new one takes the place of
    /// the one whose guide code was heard longest ago.
    pub(super) fn open(&mut self, talker: TalkerId) -> &mut S {
        self.clock += 1;
        let known = self.places.iter().position(|(owner, ..)| *owner == Some(talker.place()));
        let place = known.unwrap_or_else(|| {
            let oldest = self.places.iter().enumerate().min_by_key(|(_, (_, _, shown))| *shown);
            oldest.map_or(0, |(place, _)| place)
        });
        let (owner, session, shown) = &mut self.places[place];
        if known.is_none() {
            **session = S::default();
            *owner = Some(talker.place());
        }
        *shown = self.clock;
        session
    }

    /// Forgets a talker.
    pub(super) fn close(&mut self, talker: TalkerId) {
        for (owner, session, shown) in &mut self.places {
            if *owner == Some(talker.place()) {
                (*owner, *shown) = (None, 0);
                **session = S::default();
            }
        }
    }
}
