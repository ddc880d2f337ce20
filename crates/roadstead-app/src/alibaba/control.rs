//! Properties and services of a device, without the platform.

use std::net::SocketAddr;

use roadstead_core::Value;
use roadstead_dialects::alibaba::alcs::AccessKey;
use roadstead_dialects::alibaba::app::{Control, ControlOutput, Input};

use super::seed;
use super::socket::{Socket, Woken};
use crate::AppError;

/// The vendor's number of success.
const OK: i64 = 200;

/// Calls a service of the device of these names (product, device): `property/set`,
/// `property/get`, or one of its thing model; values in the vendor's coding.
///
/// # Errors
///
/// A `local.*` reason, or `command.refused` with the device's own words.
pub async fn control(
    device: SocketAddr,
    names: (&str, &str),
    key: AccessKey,
    service: &str,
    params: Value,
) -> Result<Value, AppError> {
    let socket = Socket::open(None).await?;
    let mut machine = Control::new(device, names, key, seed());
    let mut out = Vec::new();
    machine.handle(Input::Start, socket.now(), &mut out);
    machine.ask(service, params, socket.now(), &mut out);
    loop {
        for output in out.drain(..) {
            match output {
                ControlOutput::Send { to, bytes } => socket.send(to, &bytes).await,
                ControlOutput::Ready => {}
                ControlOutput::Answer { code: OK, data, .. } => return Ok(data),
                ControlOutput::Answer { code, data, .. } => {
                    let words = data.as_str().map_or_else(|| data.to_string(), Into::into);
                    return Err(AppError::LocalAnswer { number: code, words });
                }
                ControlOutput::Failed(error) => return Err(error.into()),
            }
        }
        match socket.next(machine.deadline().map(|(at, _)| at)).await {
            Woken::Datagram(from, bytes) => {
                let input = Input::Datagram { from, bytes: &bytes };
                machine.handle(input, socket.now(), &mut out);
            }
            Woken::Timeout => machine.handle(Input::Timeout, socket.now(), &mut out),
        }
    }
}
