//! The phone's side: order after order, each with its answer, whatever the framing.
//!
//! ```text
//! Ready --Start--> Open, Station, Network, Connect ... --joined--> Token --taken--> Done
//!                       |             '--not joined--> Halted --again--> Network, Connect ...
//!                       '--silence, refusal--> Over
//! ```
//!
//! A framing without a token is done with the link.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use zeroize::Zeroizing;

use super::{Answer, Courier, Link, LinkState, Network, Order, Refusal, Report, Step};

/// How long a phone waits.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// For an answer that needs no network.
    pub answer: Duration,
    /// For the device to join (Airlink §9: 60 s in the reference).
    pub join: Duration,
    /// For the token to be taken.
    pub token: Duration,
    /// For a person to confirm at the device, where it asks for that.
    pub confirm: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { answer: seconds(10), join: seconds(60), token: seconds(60), confirm: seconds(120) }
    }
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The phone is connected and subscribed.
    Start,
    /// The device notified.
    Notified(&'a [u8]),
    /// The connection is gone.
    Closed,
    /// The deadline has passed.
    Timeout,
}

/// Something to do or to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this, with a response.
    Write(Vec<u8>),
    /// The device answers; its name, empty where the framing has none.
    Answered(Vec<u8>),
    /// A person has to confirm at the device, by its button for example.
    Confirm,
    /// The device has its credentials and is joining.
    Joining,
    /// The device is on the network.
    Joined(Link),
    /// The device has the token, or is on the network where the framing has no token; the platform
    /// says whether it is bound.
    Done,
    /// It did not work. After [`Failure::NotJoined`] the phone may try [`Dialogue::again`].
    Failed(Failure),
}

/// Why it did not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The device sent bytes that are of no use.
    #[error("the device sent something unusable: {0}")]
    Unusable(#[from] Refusal),
    /// The device said it could not read what it was sent.
    #[error("the device could not read what it was sent; its number is {0}")]
    Unread(u8),
    /// The device did not do a step.
    #[error("the device refused: {0:?}")]
    Step(Step),
    /// The device did not join the network.
    #[error("the device did not join the network{}", reason(*.0))]
    NotJoined(Option<u8>),
    /// The device did not take the token, or could not report it.
    #[error("the device did not report its token")]
    Token,
    /// Nobody confirmed at the device.
    #[error("nobody confirmed at the device")]
    NotConfirmed,
    /// The device did not answer in time.
    #[error("the device did not answer to `{0}` in time")]
    Silent(&'static str),
    /// The connection was lost.
    #[error("the connection to the device was lost")]
    Closed,
}

impl Failure {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unusable(refusal) => refusal.code(),
            Self::Unread(_) | Self::Step(_) => "ble.refused",
            Self::NotJoined(_) => "attempt.network_not_joined",
            Self::Token => "attempt.token_not_reported",
            Self::NotConfirmed => "ble.not_confirmed",
            Self::Silent(_) => "ble.silent",
            Self::Closed => "ble.closed",
        }
    }
}

/// Says in words what a reason of 802.11, or above 200 of Espressif, most often means.
fn reason(number: Option<u8>) -> &'static str {
    match number {
        Some(201) => ": there is no such network",
        Some(2 | 14 | 15 | 23 | 202 | 204) => ": the password is probably wrong",
        Some(4 | 200) => ": the network is too weak",
        Some(_) => ": the network refused it",
        None => "",
    }
}

/// One provisioning of one device.
pub struct Dialogue {
    courier: Box<dyn Courier>,
    policy: Policy,
    orders: VecDeque<Order>,
    /// The answer waited for, the order it is for, and until when.
    waiting: Option<(Answer, &'static str, Duration)>,
    token: Zeroizing<Vec<u8>>,
    /// Whether a person has to confirm at the device.
    unconfirmed: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Talking,
    /// Not joined; another password may help.
    Halted,
    Over,
}

impl Dialogue {
    /// Prepares to give a device this network and token.
    pub fn new(
        courier: Box<dyn Courier>,
        policy: Policy,
        network: Network,
        token: Vec<u8>,
    ) -> Self {
        let mut orders = VecDeque::from([Order::Open, Order::Station]);
        orders.extend([Order::Network(network), Order::Connect]);
        let token = Zeroizing::new(token);
        let state = State::Ready;
        Self { courier, policy, orders, waiting: None, token, unconfirmed: false, state }
    }

    /// Returns when [`Input::Timeout`] is due.
    pub fn deadline(&self) -> Option<Duration> {
        self.waiting.map(|(_, _, due)| due)
    }

    /// Feeds one input at `now`.
    pub fn handle(&mut self, input: Input<'_>, now: Duration, out: &mut Vec<Output>) {
        match (self.state, input) {
            (State::Ready, Input::Start) => {
                self.state = State::Talking;
                self.go_on(now, out);
            }
            (State::Talking, Input::Notified(bytes)) => self.notified(bytes, now, out),
            (State::Talking, Input::Timeout) => match self.waiting {
                Some((Answer::Link, _, due)) if now >= due && self.unconfirmed => {
                    self.fail(Failure::NotConfirmed, out);
                }
                Some((Answer::Link, _, due)) if now >= due => self.not_joined(None, out),
                Some((_, order, due)) if now >= due => self.fail(Failure::Silent(order), out),
                Some(_) | None => {}
            },
            (State::Ready | State::Talking | State::Halted, Input::Closed) => {
                self.fail(Failure::Closed, out);
            }
            // A second start, a late notification, or anything after the end.
            (State::Ready | State::Talking | State::Halted | State::Over, _) => {}
        }
    }

    /// Tries another network or password on the same connection, after
    /// [`Failure::NotJoined`]; without effect at any other time.
    pub fn again(&mut self, network: Network, now: Duration, out: &mut Vec<Output>) {
        if self.state == State::Halted {
            self.orders = VecDeque::from([Order::Network(network), Order::Connect]);
            self.state = State::Talking;
            self.go_on(now, out);
        }
    }

    /// Sends orders up to the first that is answered.
    fn go_on(&mut self, now: Duration, out: &mut Vec<Output>) {
        while let Some(order) = self.orders.pop_front() {
            let answer = self.courier.answer(&order);
            let mut writes = Vec::new();
            self.courier.send(&order, &mut writes);
            out.extend(writes.into_iter().map(Output::Write));
            if order == Order::Connect {
                out.push(Output::Joining);
            }
            if let Some(answer) = answer {
                let wait = match answer {
                    Answer::Link if self.unconfirmed => self.policy.confirm,
                    Answer::Link => self.policy.join,
                    Answer::Token => self.policy.token,
                    Answer::Info | Answer::Step(_) | Answer::Log | Answer::Networks => {
                        self.policy.answer
                    }
                };
                self.waiting = Some((answer, order.name(), now + wait));
                return;
            }
            // A framing that has no words for a token ends here.
            if matches!(order, Order::Token(_)) {
                return self.done(out);
            }
        }
    }

    fn notified(&mut self, bytes: &[u8], now: Duration, out: &mut Vec<Output>) {
        let (mut reports, mut writes) = (Vec::new(), Vec::new());
        let result = self.courier.notified(bytes, &mut reports, &mut writes);
        out.extend(writes.into_iter().map(Output::Write));
        for report in reports {
            if self.state == State::Talking {
                self.heard(report, now, out);
            }
        }
        if let (Err(refusal), State::Talking) = (result, self.state) {
            self.fail(refusal.into(), out);
        }
    }

    fn heard(&mut self, report: Report, now: Duration, out: &mut Vec<Output>) {
        let waiting = self.waiting.map(|(answer, ..)| answer);
        match report {
            Report::Info { name } if waiting == Some(Answer::Info) => {
                out.push(Output::Answered(name));
            }
            Report::Step(step, done) if waiting == Some(Answer::Step(step)) => {
                if !done {
                    return self.fail(Failure::Step(step), out);
                }
            }
            Report::Link(link) if waiting == Some(Answer::Link) => match link.state {
                LinkState::Connecting | LinkState::NoAddress => return,
                LinkState::Failed => return self.not_joined(link.reason, out),
                LinkState::Connected => {
                    out.push(Output::Joined(link));
                    self.orders.push_back(Order::Token(self.token.clone()));
                }
            },
            Report::Token(taken) if waiting == Some(Answer::Token) => {
                self.waiting = None;
                if !taken {
                    return self.fail(Failure::Token, out);
                }
                return self.done(out);
            }
            Report::Authorized(authorized) => return self.confirm(authorized, now, out),
            Report::Error(number) => return self.fail(Failure::Unread(number), out),
            // Unasked, or an answer to something else.
            Report::Info { .. }
            | Report::Step(..)
            | Report::Link(_)
            | Report::Token(_)
            | Report::Networks(_)
            | Report::Log(_) => return,
        }
        self.waiting = None;
        self.go_on(now, out);
    }

    /// Hears whether a person has to confirm; waits accordingly.
    fn confirm(&mut self, authorized: bool, now: Duration, out: &mut Vec<Output>) {
        if self.unconfirmed != authorized {
            return;
        }
        self.unconfirmed = !authorized;
        if self.unconfirmed {
            out.push(Output::Confirm);
        }
        if let Some((Answer::Link, _, due)) = &mut self.waiting {
            *due = now + if authorized { self.policy.join } else { self.policy.confirm };
        }
    }

    fn done(&mut self, out: &mut Vec<Output>) {
        let mut writes = Vec::new();
        self.courier.send(&Order::Close, &mut writes);
        out.extend(writes.into_iter().map(Output::Write));
        out.push(Output::Done);
        self.state = State::Over;
    }

    fn not_joined(&mut self, reason: Option<u8>, out: &mut Vec<Output>) {
        self.waiting = None;
        self.state = State::Halted;
        out.push(Output::Failed(Failure::NotJoined(reason)));
    }

    fn fail(&mut self, failure: Failure, out: &mut Vec<Output>) {
        self.waiting = None;
        self.state = State::Over;
        out.push(Output::Failed(failure));
    }
}
