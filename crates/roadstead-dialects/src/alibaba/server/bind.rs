//! Binding: the token a device reports, and the reset that ends it.
//!
//! A token comes in the client id of the log-in, in `enrollee/match`, or in both; the second one
//! of the same text changes nothing.
//!
//! Source: Alibaba §2 (`token`, `reset`), §5.1, §5.5, §5.6, §6; traps 1 and 2.

use alloc::vec::Vec;

use roadstead_core::Value;
use roadstead_core::exchange::{Answer, TokenText, Uplink, Wipe};

use super::message::{bad_params, heard};
use super::reply::Kind;
use super::scene::Scene;
use crate::alibaba::client::ClientId;
use crate::alibaba::payload::Request;
use crate::alibaba::topic::sys;
use crate::cloud::Heard;

/// Longest bind token, characters. Both kinds have 32.
const TOKEN_MAX: usize = 64;

/// Understands `enrollee/match`.
pub(super) fn token(scene: &Scene<'_>, rest: &str, request: &Request) -> Heard {
    let uplink = match request.params.get("token").and_then(Value::as_str) {
        Some(token) if is_token(token) => reported(scene, token),
        _ => bad_params("no `params.token`, or none that can be one"),
    };
    heard(uplink, Kind::Plain, rest, request)
}

fn is_token(text: &str) -> bool {
    (1..=TOKEN_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn reported(scene: &Scene<'_>, token: &str) -> Uplink {
    Uplink::BindToken {
        token: TokenText(token.into()),
        stages: Vec::new(),
        method: None,
        own_life: Some(scene.settings.bind_token_life),
    }
}

/// Returns what the log-in itself said: first the reset, then the token (§5.6).
pub(super) fn announced(scene: &Scene<'_>, client_id: &str, out: &mut Vec<Uplink>) {
    let Some(id) = ClientId::parse(client_id) else { return };
    if let Some(level) = id.get("reset").and_then(wipe) {
        out.push(Uplink::Reset(level));
    }
    if let Some(token) = id.get("token").filter(|token| is_token(token)) {
        out.push(reported(scene, token));
    }
}

fn wipe(level: &str) -> Option<Wipe> {
    match level {
        "0" => Some(Wipe::Bindings),
        "1" => Some(Wipe::Shadow),
        "2" => Some(Wipe::Everything),
        _ => None,
    }
}

/// Understands `thing/reset`: `{}` of Link Kit 3, `{"resetKey":{"devReset":"0"}}` of the living
/// SDK.
pub(super) fn reset(request: &Request) -> Heard {
    let level = request.params.get("resetKey").and_then(|key| key.get("devReset"));
    let level = match level {
        Some(Value::String(text)) => wipe(text),
        Some(Value::Number(n)) => wipe(&alloc::format!("{n}")),
        _ => None,
    };
    heard(Uplink::Reset(level.unwrap_or(Wipe::Bindings)), Kind::Reset, sys::RESET, request)
}

/// A device that nobody owns and that was reset is what it wants to be.
pub(super) fn reset_answer(answer: &Answer) -> &Answer {
    match answer {
        Answer::Refused { code: "bind.not_bound", .. } => &Answer::Done,
        other => other,
    }
}
