//! Credentials over the device's own network, and over setup networks of phone or router.
//!
//! - [`cipher`]: how the password is encrypted, in both generations.
//! - [`switch`]: the request `switchap` and its refusals.
//! - [`errcode`]: why the last try failed, signed.
//!
//! The dialogue around them is in `device` and `app`; the LAN's envelope is in `lan`.
//!
//! Source: Alibaba §7, §7.3, §7.4; smart-living 1.6.0, transcripts l16_softap_*.

pub mod cipher;
pub mod errcode;
pub mod switch;

pub use cipher::Security;
pub use errcode::{ErrorReport, Failure};
pub use switch::{Network, Region, Switch, SwitchError};

/// Name of the setup network that a phone opens (§7.4).
pub const PHONE_AP: (&str, &str) = ("aha", "12345678");
/// Name and password of the setup network that a router offers (§7.4).
pub const ROUTER_AP: (&str, &str) =
    ("adha", "08d9f22c60157fd01f57645d791a0b610fe0a558c104d6a1f9d9c0a9913c");
/// Address of a device in its own network. UNVERIFIED: the vendor's boards use either this or
/// 192.168.4.1; a phone takes the gateway that DHCP gave it.
pub const AP_ADDRESS: [u8; 4] = [172, 31, 254, 250];

/// Returns the name of a device's own network: `adh_{product}_{last 6 digits of the MAC}`.
pub fn ap_name(product: &str, mac: &str) -> alloc::string::String {
    let digits: alloc::string::String = mac.chars().filter(char::is_ascii_hexdigit).collect();
    let tail = digits.get(digits.len().saturating_sub(6)..).unwrap_or_default();
    alloc::format!("adh_{product}_{}", tail.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_network_is_named_as_recorded() {
        let name = super::ap_name("a1RsKq9ZxTb", "B0:F8:93:15:BF:21");
        assert_eq!(name, "adh_a1RsKq9ZxTb_15BF21");
    }
}
