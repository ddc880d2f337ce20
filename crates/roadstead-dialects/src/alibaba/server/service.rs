//! Services of the thing model, and synchronous calls.
//!
//! | a command whose document says | is sent on | is answered on |
//! |---|---|---|
//! | `callType` `sync` | `rrpc/request/{n}` | `rrpc/response/{n}` |
//! | the same, to a client with bit 0 of `ext` | `/ext/rrpc/{n}/sys/…/thing/service/{name}` | there |
//! | anything else | `thing/service/{name}` | the same with `_reply` |
//!
//! Source: Alibaba §8; recordings.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use bytes::Bytes;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Response, Uplink};
use roadstead_core::{Map, RequestId, Value};

use super::message::{Asked, checked, clip, message, noted, unreadable};
use super::pending::{Pending, Wanted};
use super::property;
use super::scene::Scene;
use crate::alibaba::payload::{self, OK};
use crate::alibaba::topic::{Topic, Verb, sys};
use crate::alibaba::value::{fields_to_canonical, fields_to_wire, join_name};
use crate::cloud::{Heard, Message};

/// Key and value of a service's document that make it a synchronous call.
const CALL_TYPE: &str = "callType";
const SYNC: &str = "sync";
/// Version in the requests of the thing model, as recorded.
const REQUEST_VERSION: &str = "1.0.0";
/// Longest text of a device's answer kept, bytes.
const STATUS_BYTES_MAX: usize = 160;

/// Writes a command.
pub(super) fn call(
    scene: &Scene<'_>,
    pending: &mut Pending,
    id: Option<RequestId>,
    (service, command): (&str, &str),
    params: &Map<String, Value>,
    has_ext_rrpc: bool,
) -> Result<Message, CommandError> {
    let model = &scene.account.product.model;
    let declared = model.service(service).and_then(|service| service.command(command));
    let (params, is_sync) = match declared {
        Some(declared) => {
            let is_sync = declared.extra.get(CALL_TYPE).is_some_and(|ty| ty == SYNC);
            (fields_to_wire(&declared.input, params), is_sync)
        }
        None if model.is_empty() => (params.clone(), false),
        None => return Err(CommandError::Model(format!("no service `{command}`").into())),
    };
    let wanted = Wanted::Command(service.into(), command.into());
    let number = pending.open(id, scene.names(), wanted)?;
    let name = join_name(service, command);
    let method = format!("{}{name}", sys::SERVICE.replace('/', "."));
    let params = Value::Object(params);
    let body = Asked { method: &method, id: &number, params: &params, version: REQUEST_VERSION };
    let asynchronous = format!("{}{name}", sys::SERVICE);
    checked(match (is_sync, has_ext_rrpc) {
        (false, _) => message(scene.topic(Verb::Sys(&asynchronous)), &body, 0),
        (true, false) => {
            let rest = format!("{}{number}", sys::RRPC_REQUEST);
            message(scene.topic(Verb::Sys(&rest)), &body, 0)
        }
        (true, true) => {
            let rest = format!("{}", scene.topic(Verb::Sys(&asynchronous)));
            message(Topic::ExtRrpc { id: &number, rest: &rest }, &body, 0)
        }
    })
}

/// Writes an opaque call; the topic carries the request.
pub(super) fn opaque(
    scene: &Scene<'_>,
    pending: &mut Pending,
    id: Option<RequestId>,
    payload: &Bytes,
) -> Result<Message, CommandError> {
    use alloc::string::ToString as _;

    let number = pending.open(id, scene.names(), Wanted::Call)?;
    let rest = format!("{}{number}", sys::RRPC_REQUEST);
    let topic = scene.topic(Verb::Sys(&rest)).to_string().into();
    checked(Message { topic, payload: payload.clone(), qos: 0 })
}

/// Understands an answer on `…_reply`; the id names the request.
pub(super) fn reply(scene: &Scene<'_>, pending: &mut Pending, payload: &[u8]) -> Heard {
    let answer = match payload::Response::parse(payload) {
        Ok(answer) => answer,
        Err(error) => return noted(unreadable(&error)),
    };
    let found = answer.id_text().and_then(|id| pending.take(&id, scene.names()));
    noted(understood(scene, found, answer, payload))
}

/// Understands an answer on `rrpc/response/{number}`; the topic names the request.
pub(super) fn rrpc(
    scene: &Scene<'_>,
    pending: &mut Pending,
    number: &str,
    payload: &[u8],
) -> Heard {
    let found = pending.take(number, scene.names());
    if let Some((id, Wanted::Call)) = found {
        return noted(raw_response(id, payload));
    }
    match payload::Response::parse(payload) {
        Ok(answer) => noted(understood(scene, found, answer, payload)),
        Err(error) => noted(unreadable(&error)),
    }
}

/// Understands an answer on `/ext/rrpc/{number}/…`.
pub(super) fn ext_rrpc(
    scene: &Scene<'_>,
    pending: &mut Pending,
    number: &str,
    payload: &[u8],
) -> Heard {
    match pending.take_call(number) {
        Some((id, Wanted::Call)) => noted(raw_response(id, payload)),
        found @ Some(_) => match payload::Response::parse(payload) {
            Ok(answer) => noted(understood(scene, found, answer, payload)),
            Err(error) => noted(unreadable(&error)),
        },
        None => noted(response(None, 0, "", Map::new())),
    }
}

fn raw_response(id: RequestId, payload: &[u8]) -> Uplink {
    let payload = Bytes::copy_from_slice(payload);
    let response = Response { code: 0, status: "".into(), output: Map::new(), payload };
    Uplink::Response { request: Some(id), response }
}

fn understood(
    scene: &Scene<'_>,
    found: Option<(RequestId, Wanted)>,
    answer: payload::Response,
    payload: &[u8],
) -> Uplink {
    let code = match answer.code() {
        OK => 0,
        other => other,
    };
    let status: Box<str> =
        clip(answer.message.as_str().unwrap_or_default(), STATUS_BYTES_MAX).into();
    let data = match answer.data {
        Value::Object(data) => data,
        _ => Map::new(),
    };
    match found {
        None => response(None, code, &status, Map::new()),
        Some((id, Wanted::Call)) => raw_response(id, payload),
        Some((id, Wanted::Set(_))) => response(Some(id), code, &status, Map::new()),
        Some((id, Wanted::Get)) => {
            response(Some(id), code, &status, property::canonical(scene, &data))
        }
        Some((id, Wanted::Command(service, command))) => {
            let model = &scene.account.product.model;
            let declared = model.service(&service).and_then(|service| service.command(&command));
            let output = declared.map_or(&[][..], |command| &command.output);
            // Output that does not fit stays as the device wrote it: the thing is done already.
            let mut canonical = data.clone();
            canonical.extend(fields_to_canonical(output, data, true).0);
            response(Some(id), code, &status, canonical)
        }
    }
}

/// Returns a device's answer.
pub(super) fn response(
    request: Option<RequestId>,
    code: i64,
    status: &str,
    output: Map<String, Value>,
) -> Uplink {
    let response = Response { code, status: status.into(), output, payload: Bytes::new() };
    Uplink::Response { request, response }
}

/// Returns the name of a service in an answer's rest; `None` when it is not one.
pub(super) fn answered_service(rest: &str) -> Option<&str> {
    rest.strip_prefix(sys::SERVICE)?.strip_suffix(sys::REPLY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_name_their_service() {
        for (rest, name) in [
            ("thing/service/property/set_reply", Some("property/set")),
            ("thing/service/a/b_reply", Some("a/b")),
            ("thing/service/a", None),
            ("thing/event/a_reply", None),
        ] {
            assert_eq!(answered_service(rest), name, "{rest}");
        }
    }
}
