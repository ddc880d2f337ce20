//! Bind tokens: made, reported, confirmed, used.
//!
//! ```text
//!             make / phone's            match_reply
//! none ------------------> Reporting ----------------> Confirmed --used--> Reporting (a new one)
//!                          |  ^--3 s, 3 reports           '--life over, asked for--> Reporting
//!                          '--never answered--> Resting --30 s, or asked for--> Reporting
//! ```
//!
//! A token is given to one phone: whoever asks gets the confirmed one, and the device makes and
//! reports the next (seed step 9: several phones at once each get their own).
//!
//! Source: Alibaba §5, §5.1, §6; transcripts v301_ok, v301_nomatch, l16_nomatch, l16_softap_token.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::attempt::Stage;
use roadstead_core::{Map, Secret, Tick, Value};

use super::super::lan::{Maker, TokenInfo, trim};
use super::super::softap::Failure;
use super::super::topic::{Verb, sys};
use super::context::Context;
use super::policy::Generation;
use super::store;

/// Bytes of the firmware's report buffer: the payload is padded with NULs up to it (trap 1).
const REPORT_BYTES: usize = 256;

/// One token.
#[derive(Clone)]
struct Token {
    text: Secret,
    maker: Maker,
    until: Tick,
}

enum State {
    /// The connection is not there, or nothing was made yet.
    Idle,
    /// Published `tries` times.
    Reporting { token: Token, tries: u8, due: Tick },
    /// The platform has it.
    Confirmed(Token),
    /// The platform never answered.
    Resting { due: Tick },
}

/// What became of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The platform confirmed the token: it can be announced and given away.
    Confirmed,
    /// The platform does not confirm it.
    Unconfirmed,
}

/// The tokens of one device.
pub(super) struct Tokens {
    state: State,
    /// A token that a phone made; it goes first.
    phone: Option<Secret>,
    /// The token that the log-in carries.
    announced: Option<Token>,
    online: bool,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { state: State::Idle, phone: None, announced: None, online: false }
    }
}

impl Tokens {
    /// Takes a phone's token; it is reported at the next log-in.
    pub(super) fn take_phones(&mut self, token: Secret) {
        self.phone = Some(token);
        self.announced = None;
    }

    /// Forgets everything: the device is reset.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns the token and its maker for the log-in (§6); made now when there is none.
    pub(super) fn for_login(&mut self, cx: &mut Context<'_>) -> (Secret, Maker) {
        let token = self.next(cx);
        let pair = (token.text.clone(), token.maker);
        self.announced = Some(token);
        pair
    }

    /// Logged in: reports a token.
    pub(super) fn online(&mut self, cx: &mut Context<'_>) {
        self.online = true;
        self.renew(cx);
    }

    /// The connection is gone; a confirmed token stays what it is.
    pub(super) fn offline(&mut self) {
        self.online = false;
        if let State::Reporting { token, .. } = &self.state {
            self.announced = Some(token.clone());
        }
        if !matches!(self.state, State::Confirmed(_)) {
            self.state = State::Idle;
        }
    }

    /// Takes a `match_reply`. Firmware reads the id alone; here a refusal counts, too.
    pub(super) fn replied(&mut self, payload: &[u8], cx: &mut Context<'_>) -> Option<News> {
        let State::Reporting { token, .. } = &self.state else { return None };
        let reply: Value = serde_json::from_slice(trim(payload)).ok()?;
        let id = super::super::lan::info::number(reply.get("id")?)?;
        // Trap 2: an older id than that of the last report is an answer to something else.
        if id + 1 < cx.memory.enrollee {
            return None;
        }
        let code = reply.get("code").and_then(Value::as_i64).unwrap_or(200);
        if code != 200 {
            let words = reply.get("message").and_then(Value::as_str).unwrap_or_default();
            cx.failed("attempt.not_confirmed", format!("match_reply {code}: {words}"));
            self.phones_is_done(cx);
            self.rest(cx);
            return Some(News::Unconfirmed);
        }
        let token = token.clone();
        if token.maker == Maker::Phone {
            self.phones_is_done(cx);
        }
        self.state = State::Confirmed(token);
        cx.stage(Stage::TokenReported, None);
        Some(News::Confirmed)
    }

    /// Returns the confirmed token and makes the next one: it belongs to the phone that asked.
    pub(super) fn use_up(&mut self, cx: &mut Context<'_>) -> Option<TokenInfo> {
        let info = self.confirmed(cx);
        self.renew(cx);
        info
    }

    /// Returns the confirmed token while its life lasts.
    pub(super) fn confirmed(&self, cx: &Context<'_>) -> Option<TokenInfo> {
        let State::Confirmed(token) = &self.state else { return None };
        let living = cx.policy().generation == Generation::Living16;
        (cx.now < token.until).then(|| TokenInfo {
            token: token.text.clone(),
            maker: living.then_some(token.maker),
            remaining: token.until.since(cx.now),
        })
    }

    /// Whether the platform is being asked; a query can wait for that.
    pub(super) fn is_reporting(&self) -> bool {
        matches!(self.state, State::Reporting { .. })
    }

    /// Makes a new token and reports it, unless one is under way.
    pub(super) fn renew(&mut self, cx: &mut Context<'_>) {
        if !self.online {
            self.state = State::Idle;
        } else if !self.is_reporting() {
            let token = self.next(cx);
            self.report(token, 1, cx);
        }
    }

    /// Wakes up.
    pub(super) fn timeout(&mut self, cx: &mut Context<'_>) -> Option<News> {
        match &self.state {
            State::Reporting { token, tries, due } if cx.now >= *due => {
                if *tries < cx.policy().report_tries {
                    let (token, tries) = (token.clone(), tries + 1);
                    self.report(token, tries, cx);
                    return None;
                }
                cx.failed_at(Failure::TokenUnconfirmed, "report token timeout");
                self.rest(cx);
                Some(News::Unconfirmed)
            }
            State::Resting { due } if cx.now >= *due => {
                self.renew(cx);
                None
            }
            State::Idle | State::Reporting { .. } | State::Confirmed(_) | State::Resting { .. } => {
                None
            }
        }
    }

    /// Returns when to wake up.
    pub(super) fn deadline(&self) -> Option<(Tick, &'static str)> {
        match &self.state {
            State::Reporting { due, .. } => Some((*due, "match_reply")),
            State::Resting { due } => Some((*due, "next bind token")),
            State::Idle | State::Confirmed(_) => None,
        }
    }

    fn rest(&mut self, cx: &Context<'_>) {
        self.state = State::Resting { due: cx.now + cx.policy().report_rest };
    }

    fn phones_is_done(&mut self, cx: &mut Context<'_>) {
        if self.phone.take().is_some() {
            cx.out.push(store::set(store::TOKEN, None));
        }
    }

    /// Returns the token that is to be reported next.
    fn next(&mut self, cx: &mut Context<'_>) -> Token {
        let living = cx.policy().generation == Generation::Living16;
        let until = cx.now + cx.policy().token_life;
        if let Some(text) = self.phone.clone().filter(|_| living) {
            return Token { text, maker: Maker::Phone, until };
        }
        if let Some(token) = self.announced.take().filter(|token| cx.now < token.until) {
            return token;
        }
        let text = hex::encode_upper(cx.secret_bytes());
        Token { text: text.into(), maker: Maker::Device, until }
    }

    fn report(&mut self, token: Token, tries: u8, cx: &mut Context<'_>) {
        let id = cx.next_enrollee();
        let topic = cx.topic(Verb::Sys(sys::MATCH));
        cx.publish_text(topic, body(id, &token.text), 1);
        if tries == 1 {
            cx.stage(Stage::TokenSent, None);
        }
        self.state = State::Reporting { token, tries, due: cx.now + cx.policy().report_gap };
    }
}

/// Returns the report, padded as the firmware pads it.
fn body(id: u64, token: &Secret) -> Vec<u8> {
    let text = |text: &str| Value::from(text.to_string());
    let mut params = Map::new();
    params.insert("token".into(), text(token.expose_text().unwrap_or_default()));
    let mut body: Map<String, Value> = Map::new();
    body.insert("id".into(), text(&id.to_string()));
    body.insert("version".into(), text("1.0"));
    body.insert("method".into(), text("thing.awss.enrollee.match"));
    body.insert("params".into(), params.into());
    let mut bytes = Value::Object(body).to_string().into_bytes();
    bytes.resize(bytes.len().max(REPORT_BYTES), 0);
    bytes
}
