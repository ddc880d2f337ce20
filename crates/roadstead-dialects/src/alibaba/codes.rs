//! Our codes in the vendor's numbers: one table per place where the vendor has a number.
//!
//! Source: Alibaba §2 and §11.1 (CONNACK; trap of LinkSDK 4, which shifts the byte), §8 (replies),
//! §3.3 (6288 is recorded; the others of registration are UNVERIFIED).

use roadstead_core::Code;

/// CONNACK 2: no client id of this vendor.
const CLIENT_ID: u8 = 2;
/// CONNACK 3: come back later.
const UNAVAILABLE: u8 = 3;
/// CONNACK 4: wrong secret or unknown device; what the vendor's cloud sends (`-35`).
const BAD_USER_DATA: u8 = 4;
/// CONNACK 5: disabled, and nothing else (§11.1).
const NOT_AUTHORIZED: u8 = 5;

/// CONNACK return code of the refusals that are not [`BAD_USER_DATA`].
const CONNACK: [(Code, u8); 6] = [
    ("auth.frozen", NOT_AUTHORIZED),
    ("auth.keep_alive", CLIENT_ID),
    ("auth.malformed", CLIENT_ID),
    ("auth.throttled", UNAVAILABLE),
    ("internal.overload", UNAVAILABLE),
    ("internal.store", UNAVAILABLE),
];

/// Returns the CONNACK return code of a refusal.
pub(super) fn connack(code: Code) -> u8 {
    find(&CONNACK, code).unwrap_or(BAD_USER_DATA)
}

fn find<T: Copy>(table: &[(Code, T)], code: Code) -> Option<T> {
    table.binary_search_by(|row| row.0.cmp(code)).ok().map(|at| table[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(CONNACK.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn only_disabled_devices_are_not_authorized() {
        for (code, expected) in [
            ("auth.bad_password", 4),
            ("auth.unknown_device", 4),
            ("auth.unknown_product", 4),
            ("auth.no_credential", 4),
            ("auth.frozen", 5),
            ("auth.malformed", 2),
            ("auth.throttled", 3),
            ("internal.store", 3),
        ] {
            assert_eq!(connack(code), expected, "{code}");
        }
    }
}
