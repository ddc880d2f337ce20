//! The phone half: the dialogues of an app with a device in the LAN.
//!
//! - [`Provisioner`]: gives a device network, token and region in its own network.
//! - [`Finder`]: finds devices and their bind tokens in the home network.
//! - [`Control`]: sets and reads properties without the cloud.
//!
//! Each is a machine with the same inputs: [`Input`]. Sockets, the change of Wi-Fi networks and
//! the platform are the driver's business. One socket serves one machine; a [`Finder`] wants to
//! hear broadcasts at UDP 5683, too.
//!
//! Source: Alibaba §5, §6, §7.3, §10; seed alibaba-binding-principles. The vendor's own app is not
//! public: its exact behaviour is UNVERIFIED, devices' answers to it are recorded.

mod control;
mod find;
mod provision;

use core::net::SocketAddr;

use roadstead_core::Tick;
use roadstead_wire::coap;

pub use control::{Control, ControlError, ControlOutput};
pub use find::{Finder, FinderOutput, FinderPolicy};
pub use provision::{Provisioner, ProvisionerError, ProvisionerOutput, Secrets};

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// Begin.
    Start,
    /// A datagram came.
    Datagram {
        /// Who sent it.
        from: SocketAddr,
        /// What.
        bytes: &'a [u8],
    },
    /// The deadline has passed.
    Timeout,
}

/// Returns the earlier of two deadlines.
fn earliest(
    a: Option<(Tick, &'static str)>,
    b: Option<(Tick, &'static str)>,
) -> Option<(Tick, &'static str)> {
    a.into_iter().chain(b).min_by_key(|(at, _)| *at)
}

/// Returns transmission parameters of a phone: a device closes its network two seconds after its
/// answer, so a lost datagram must be repeated sooner than RFC 7252 has it.
fn hasty() -> coap::Policy {
    coap::Policy { ack_wait_ms: 400, ..coap::Policy::default() }
}
