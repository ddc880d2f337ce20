//! Our codes in the vendor's numbers: one table per place where the vendor has a number.
//!
//! Source: GizWits §3.8 and seed §8.9 (CONNACK: 4 alone makes a module register anew), §6.6
//! (HTTP). Numbers of refusals that the vendor does not have are the nearest of its own.

use roadstead_core::Code;

/// CONNACK 2: no client id of this vendor.
const CLIENT_ID: u8 = 2;
/// CONNACK 3: come back later.
const UNAVAILABLE: u8 = 3;
/// CONNACK 4: wrong passcode, or a DID that is not registered; the module registers anew.
const BAD_USER_DATA: u8 = 4;
/// CONNACK 5: known, but not allowed; the module comes back with the same DID.
const NOT_AUTHORIZED: u8 = 5;

/// CONNACK return code of the refusals that are not [`BAD_USER_DATA`].
const CONNACK: [(Code, u8); 8] = [
    ("auth.certificate_authority", NOT_AUTHORIZED),
    ("auth.certificate_mismatch", NOT_AUTHORIZED),
    ("auth.frozen", NOT_AUTHORIZED),
    ("auth.identity_mismatch", CLIENT_ID),
    ("auth.malformed", CLIENT_ID),
    ("auth.throttled", UNAVAILABLE),
    ("internal.overload", UNAVAILABLE),
    ("internal.store", UNAVAILABLE),
];

/// Returns the CONNACK return code of a refusal.
pub(super) fn connack(code: Code) -> u8 {
    let found = CONNACK.binary_search_by(|row| row.0.cmp(code));
    found.map_or(BAD_USER_DATA, |at| CONNACK[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_new_registration_mends_asks_for_one() {
        assert!(CONNACK.is_sorted_by(|a, b| a.0 < b.0));
        for (code, expected) in [
            ("auth.bad_password", 4),
            ("auth.unknown_device", 4),
            ("auth.unknown_product", 4),
            ("auth.no_credential", 4),
            ("auth.frozen", 5),
            ("auth.malformed", 2),
            ("auth.identity_mismatch", 2),
            ("auth.throttled", 3),
            ("internal.overload", 3),
            ("internal.store", 3),
        ] {
            assert_eq!(connack(code), expected, "{code}");
        }
    }
}
