//! The phone's half of smartconfig.

use core::time::Duration;

use super::super::request::Layout;
use super::super::{EncodeError, Request, Round, Scheme, ack};
use super::message::{emit, key};
use super::{GROUP, SLOTS, START};

/// Pause between packets. UNVERIFIED: the vendor's senders are not public.
const SPACING: Duration = Duration::from_millis(10);
/// UDP port. UNVERIFIED, and without meaning to the receiver.
const PORT: u16 = 50_000;
/// A sender gives up after this.
const TIME_OUT: Duration = Duration::from_secs(60);

/// Builds the packets of one full round. `request.key` is the product secret.
///
/// # Errors
/// No product secret, a message that does not fit, application data.
pub fn encode(request: &Request<'_>) -> Result<Round, EncodeError> {
    if !request.extra.is_empty() {
        return Err(EncodeError::Extra { size: request.extra.len() });
    }
    let secret = request
        .key
        .ok_or(EncodeError::NoKey { scheme: Scheme::SmartConfig, what: "the product secret" })?;
    let message = emit(request.ssid, request.password, key(secret))?;
    let mut layout = Layout::new(SPACING);
    for (group, values) in message.chunks(SLOTS).enumerate() {
        layout.broadcast([if group == 0 { START } else { GROUP + group as u16 }]);
        let slots = (1..).zip(values);
        layout.broadcast(slots.map(|(slot, value)| (slot + 1) << 7 | u16::from(*value)));
    }
    let (packets, lasts) = layout.finish();
    Ok(Round {
        scheme: Scheme::SmartConfig,
        packets,
        lasts,
        port: PORT,
        time_out: TIME_OUT,
        ack: ack::Expectation::of(ack::Proof::SmartConfig),
    })
}
