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
const CONNACK: [(Code, u8); 7] = [
    ("auth.connect_rate", UNAVAILABLE),
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

/// `code` of an answer about a configuration that does not exist (UNVERIFIED).
pub(super) const NO_CONFIG: i64 = 6713;

/// `code` of answers; 200 is success. The vendor documents 400, 460, 429, 5xx and a group of 6xxx;
/// which of those its cloud sends for each cause is UNVERIFIED.
const REPLY: [(Code, i64); 30] = [
    ("api.quota", 429),
    ("auth.frozen", 6206),
    ("bind.already_used", 6403),
    ("bind.bound_to_other", 6403),
    ("bind.expired", 6403),
    ("bind.other_account", 6403),
    ("bind.other_device", 6403),
    ("bind.other_region", 6403),
    ("bind.other_space", 6403),
    ("bind.unknown_token", 6403),
    ("device.exists", 6289),
    ("device.unknown", 6100),
    ("internal.overload", 429),
    ("internal.store", 500),
    ("model.violation", 6307),
    ("payload.malformed", 460),
    ("register.activated", 6289),
    ("register.bad_request", 460),
    ("register.bad_signature", 6287),
    ("register.off", 6288),
    ("register.unknown_device", 6288),
    ("register.unknown_product", 6200),
    ("subdevice.bad_signature", 6287),
    ("subdevice.bound_elsewhere", 6402),
    ("subdevice.expired", 6287),
    ("subdevice.limit", 6400),
    ("subdevice.not_attached", 6401),
    ("subdevice.sign_method", 460),
    ("subdevice.unknown", 6100),
    ("subdevice.unknown_product", 6200),
];
/// `code` of an answer whose cause has no row.
const REPLY_OTHER: i64 = 400;

/// `code` and `message` of refused HTTP calls. 6288 and 5244 are recorded.
const HTTP: [(Code, (i64, &str)); 12] = [
    ("auth.bad_password", (6287, "sign check failed")),
    ("auth.frozen", (6206, "device is disabled")),
    ("auth.unknown_device", (5244, "device not found")),
    ("auth.unknown_product", (5244, "device not found")),
    ("internal.overload", (429, "try again later")),
    ("internal.store", (500, "internal error")),
    ("register.activated", (6289, "device is active already")),
    ("register.bad_request", (460, "invalid parameter")),
    ("register.bad_signature", (6287, "sign check failed")),
    ("register.off", (6288, "dynamic register is closed")),
    ("register.unknown_device", (6288, "device is not registered")),
    ("register.unknown_product", (6200, "product not found")),
];

/// Returns `code` and `message` of a refused HTTP call.
pub(super) fn http(code: Code) -> (i64, &'static str) {
    find(&HTTP, code).unwrap_or((REPLY_OTHER, "refused"))
}

/// Returns the `code` of an answer that refuses.
pub(super) fn reply(code: Code) -> i64 {
    find(&REPLY, code).unwrap_or(REPLY_OTHER)
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
        assert!(REPLY.is_sorted_by(|a, b| a.0 < b.0));
        assert!(HTTP.is_sorted_by(|a, b| a.0 < b.0));
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
