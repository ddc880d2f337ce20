//! The phone's half of Simple Config.

use core::time::Duration;

use super::super::request::Layout;
use super::super::{Destination, EncodeError, Request, Round, Scheme, ack};
use super::profile::{self, BLOCK};
use super::{COMMON, COMMON_PIN, HEAD, NET, OWN, PLACES, PORT, check, magic};

/// Pause between packets.
const SPACING: Duration = Duration::from_millis(5);
/// A sender gives up after this.
const TIME_OUT: Duration = Duration::from_secs(120);
/// Longest SSID and password together: tags, the phone's address, padding and wrapping must fit
/// the places that are left.
const TEXT_MAX: usize = 94;

/// Builds the packets of one full round. `request.key` is the PIN of the device, if it has its own.
///
/// # Errors
/// SSID and password that do not fit together; application data.
pub fn encode(request: &Request<'_>) -> Result<Round, EncodeError> {
    if !request.extra.is_empty() {
        return Err(EncodeError::Extra { size: request.extra.len() });
    }
    let size = request.ssid.len() + request.password.len();
    if size > TEXT_MAX {
        return Err(EncodeError::TooLong { scheme: Scheme::SimpleConfig, size, limit: TEXT_MAX });
    }
    let [a, b, c, d, ..] = request.random;
    let random = [a, b, c, d];
    let (pattern, pin) = match request.key {
        Some(pin) if pin != COMMON_PIN => (OWN, pin),
        _ => (COMMON, COMMON_PIN),
    };
    let wrapped = profile::wrapped(
        request.ssid,
        request.password,
        request.phone_ip,
        request.phone_mac,
        pin,
        random,
    );
    debug_assert!(wrapped.len() <= PLACES - HEAD && wrapped.len().is_multiple_of(BLOCK), "fits");
    let count = (wrapped.len() + HEAD) as u8;
    let head = [0, 0, pattern, count, magic(pattern, count), a, b, c, d];
    let mut layout = Layout::new(SPACING);
    for (place, byte) in head.into_iter().chain(wrapped).enumerate() {
        let place = place as u8;
        let group = Destination::Group([NET, place, check(place, byte), byte]);
        layout.push(group, place.into());
    }
    let (packets, lasts) = layout.finish();
    Ok(Round {
        scheme: Scheme::SimpleConfig,
        packets,
        lasts,
        port: PORT,
        time_out: TIME_OUT,
        ack: ack::Expectation::of(ack::Proof::SimpleConfig),
    })
}
