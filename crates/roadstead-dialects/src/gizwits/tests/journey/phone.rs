//! The phone of a journey: gives the module its network, finds it at home, talks to it for as long
//! as the journey lasts, and begins again whatever breaks.

use std::boxed::Box;
use std::collections::VecDeque;
use std::vec::Vec;

use core::time::Duration;
use roadstead_core::{Secret, Tick};

use crate::gizwits::app::{
    Onboard, OnboardInput, OnboardOutput, OnboardPolicy, OnboardTask, Search, SearchOutput, Talk,
    TalkError, TalkEvent, TalkInput, TalkOutput, TalkPolicy, TalkRequest,
};
use crate::gizwits::module::ConnId;

use super::world::{PASSWORD, SSID};

/// One look at the air at home.
const SEARCH: Duration = Duration::from_secs(5);
/// Pause before the next try.
const RETRY: Duration = Duration::from_secs(1);

/// Which network somebody is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Nowhere,
    AtModule,
    Home,
}

/// What the phone wants the world to do.
pub(super) enum Wish {
    Udp(Place, Vec<u8>),
    /// Change into the module's network, as soon as it is there.
    Join,
    /// Change into the network at home.
    GoHome,
    Connect(ConnId),
    Send(ConnId, Vec<u8>),
    Close(ConnId),
}

/// The phone.
pub(super) struct Phone {
    pub(super) place: Place,
    onboard: Option<Onboard>,
    search: Option<Search>,
    retry: Option<Tick>,
    talk: Option<(ConnId, Talk)>,
    conn: ConnId,
    passcode: Option<Secret>,
    /// The last status it heard.
    pub(super) status: Option<Vec<u8>>,
    /// Actions it has not seen acknowledged.
    pub(super) actions: VecDeque<Box<[u8]>>,
    pub(super) is_in: bool,
    pub(super) wishes: Vec<Wish>,
}

impl Phone {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Nowhere,
            onboard: None,
            search: None,
            retry: None,
            talk: None,
            conn: 0,
            passcode: None,
            status: None,
            actions: VecDeque::new(),
            is_in: false,
            wishes: Vec::new(),
        }
    }

    /// The owner opens the app's page for a new device.
    pub(super) fn configure(&mut self) {
        let task = OnboardTask { ssid: SSID.into(), password: PASSWORD.into(), mac: None };
        self.onboard = Onboard::new(task, OnboardPolicy::default()).ok();
        self.search = None;
        self.retry = None;
        self.hang_up();
        self.place = Place::Nowhere;
        self.wishes.push(Wish::Join);
    }

    fn hang_up(&mut self) {
        if let Some((conn, _)) = self.talk.take() {
            self.wishes.push(Wish::Close(conn));
        }
        self.is_in = false;
    }

    pub(super) fn deadline(&self) -> Option<Tick> {
        let talk = self.talk.as_ref().and_then(|(_, talk)| talk.deadline());
        let onboard = self.onboard.as_ref().and_then(Onboard::deadline);
        let search = self.search.as_ref().map(Search::deadline);
        [talk, onboard, search, self.retry].into_iter().flatten().min()
    }

    pub(super) fn timeout(&mut self, now: Tick) {
        let due = |at: Option<Tick>| at.is_some_and(|at| now >= at);
        if due(self.onboard.as_ref().and_then(Onboard::deadline)) {
            self.onboarding(OnboardInput::Timeout, now);
        }
        if due(self.search.as_ref().map(Search::deadline))
            && let Some(search) = &mut self.search
        {
            match search.timeout(now) {
                Some(SearchOutput::Broadcast(bytes)) => {
                    self.wishes.push(Wish::Udp(Place::Home, bytes));
                }
                Some(SearchOutput::Done) => self.search = Some(Search::new(now, SEARCH)),
                Some(SearchOutput::Found(_)) | None => {}
            }
        }
        if due(self.retry) {
            self.retry = None;
            self.search = Some(Search::new(now, SEARCH));
        }
        if due(self.talk.as_ref().and_then(|(_, talk)| talk.deadline())) {
            self.talking(TalkInput::Timeout, now);
        }
    }

    /// It has changed networks.
    pub(super) fn moved(&mut self, place: Place, now: Tick) {
        self.place = place;
        match place {
            Place::AtModule => self.onboarding(OnboardInput::InModuleNetwork, now),
            Place::Nowhere => self.onboarding(OnboardInput::NetworkLost, now),
            Place::Home => self.onboarding(OnboardInput::Home, now),
        }
    }

    pub(super) fn datagram(&mut self, bytes: &[u8], now: Tick) {
        if self.onboard.is_some() {
            return self.onboarding(OnboardInput::Datagram(bytes), now);
        }
        let found = self.search.as_mut().and_then(|search| search.datagram(bytes));
        if let Some(SearchOutput::Found(_)) = found {
            self.search = None;
            self.conn += 1;
            let talk = Talk::new(self.passcode.clone(), TalkPolicy::default(), now);
            self.talk = Some((self.conn, talk));
            self.wishes.push(Wish::Connect(self.conn));
        }
    }

    fn onboarding(&mut self, input: OnboardInput<'_>, now: Tick) {
        let Some(onboard) = &mut self.onboard else { return };
        let mut out = Vec::new();
        onboard.handle(input, now, &mut out);
        for output in out {
            match output {
                OnboardOutput::Tell(bytes) => self.wishes.push(Wish::Udp(Place::AtModule, bytes)),
                OnboardOutput::Broadcast(bytes) => {
                    self.wishes.push(Wish::Udp(Place::Home, bytes));
                }
                OnboardOutput::GoHome => self.wishes.push(Wish::GoHome),
                OnboardOutput::Done(_) => {
                    self.onboard = None;
                    self.retry = Some(now);
                }
                // The owner tries again.
                OnboardOutput::Failed(..) => self.configure(),
            }
        }
    }

    /// Something happened on a connection; older ones are nobody's.
    pub(super) fn tcp(&mut self, conn: ConnId, input: TalkInput<'_>, now: Tick) {
        if self.talk.as_ref().is_some_and(|(own, _)| *own == conn) {
            self.talking(input, now);
        }
    }

    fn talking(&mut self, input: TalkInput<'_>, now: Tick) {
        let Some((conn, talk)) = &mut self.talk else { return };
        let (conn, mut out) = (*conn, Vec::new());
        talk.handle(input, now, &mut out);
        for output in out {
            match output {
                TalkOutput::Send(bytes) => self.wishes.push(Wish::Send(conn, bytes)),
                TalkOutput::Close => self.wishes.push(Wish::Close(conn)),
                TalkOutput::Event(event) => self.told(event, now),
            }
        }
    }

    fn told(&mut self, event: TalkEvent, now: Tick) {
        match event {
            TalkEvent::Passcode(passcode) => self.passcode = Some(passcode.into()),
            TalkEvent::Ready => {
                self.is_in = true;
                self.request(TalkRequest::Read, now);
                self.next_action(now);
            }
            TalkEvent::Status(p0) => self.status = p0.split_first().map(|(_, s)| s.to_vec()),
            TalkEvent::Acknowledged => {
                self.actions.pop_front();
                self.next_action(now);
            }
            // Pressed once more.
            TalkEvent::Unanswered(request) => self.request(request, now),
            TalkEvent::Over(error) => {
                if error == TalkError::WrongPasscode {
                    self.passcode = None;
                }
                self.talk = None;
                self.is_in = false;
                self.retry = Some(now + RETRY);
            }
            TalkEvent::Info(_)
            | TalkEvent::Hotspots(_)
            | TalkEvent::Log(..)
            | TalkEvent::TestDone => {}
        }
    }

    /// The owner presses something.
    pub(super) fn act(&mut self, action: &[u8], now: Tick) {
        self.actions.push_back(action.into());
        if self.actions.len() == 1 {
            self.next_action(now);
        }
    }

    /// The owner pulls the page down.
    pub(super) fn refresh(&mut self, now: Tick) {
        self.request(TalkRequest::Read, now);
    }

    fn next_action(&mut self, now: Tick) {
        if let Some(action) = self.actions.front().filter(|_| self.is_in) {
            self.request(TalkRequest::Control(action.clone()), now);
        }
    }

    fn request(&mut self, request: TalkRequest, now: Tick) {
        self.talking(TalkInput::Request(request), now);
    }
}
