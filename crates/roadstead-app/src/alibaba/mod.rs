//! Devices that speak CoAP in the LAN: their phone over real UDP.
//!
//! - [`provision()`]: network, token and region for a device in its own network, then binding;
//!   [`provision_over_air`]: its network through the simulated air.
//! - [`search`]: devices of the home network with their bind tokens; [`bind`] takes one of them.
//! - [`control()`]: properties and services of a device without the platform.
//!
//! Source: Alibaba §5, §6, §7.3, §10.

mod control;
mod find;
mod provision;
mod socket;

use std::net::SocketAddr;

pub use control::control;
pub use find::{Found, Lan, bind, search};
pub use provision::{Options, provision, provision_over_air};

/// Returns where everybody in the network of `device` is reached, at its port.
pub fn everybody(device: SocketAddr) -> SocketAddr {
    let ip = match device.ip().is_loopback() {
        // Reaches every listener of this machine and nobody else.
        true => std::net::Ipv4Addr::new(127, 255, 255, 255),
        false => std::net::Ipv4Addr::BROADCAST,
    };
    SocketAddr::from((ip, device.port()))
}

/// Returns a number that differs between runs: ids and tokens of CoAP are made of it.
fn seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // The keys of a map are random.
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
