//! Our codes in the vendor's numbers.
//!
//! Source: Huawei §2.3 (CONNACK; the numbers for frozen devices and keep-alives are UNVERIFIED),
//! §3.6 (results about children; the texts are ours, the vendor's list is not public).

use roadstead_core::Code;

/// CONNACK 2: the client id is no client id, or not that of the user name.
const CLIENT_ID: u8 = 2;
/// CONNACK 3: come back later.
const UNAVAILABLE: u8 = 3;
/// CONNACK 4: unknown device, wrong proof.
const BAD_PASSWORD: u8 = 4;
/// CONNACK 5: known, but not allowed.
const NOT_AUTHORIZED: u8 = 5;

/// CONNACK return code of every log-in refusal.
const CONNACK: [(Code, u8); 18] = [
    ("auth.bad_password", BAD_PASSWORD),
    ("auth.certificate_authority", NOT_AUTHORIZED),
    ("auth.certificate_inactive", NOT_AUTHORIZED),
    ("auth.certificate_mismatch", BAD_PASSWORD),
    ("auth.certificate_missing", BAD_PASSWORD),
    ("auth.expired", BAD_PASSWORD),
    ("auth.frozen", NOT_AUTHORIZED),
    ("auth.identity_mismatch", CLIENT_ID),
    ("auth.keep_alive", NOT_AUTHORIZED),
    ("auth.malformed", CLIENT_ID),
    ("auth.no_credential", BAD_PASSWORD),
    ("auth.throttled", UNAVAILABLE),
    ("auth.unknown_device", BAD_PASSWORD),
    ("auth.unknown_product", BAD_PASSWORD),
    ("internal.overload", UNAVAILABLE),
    ("internal.store", UNAVAILABLE),
    ("register.off", NOT_AUTHORIZED),
    ("register.unknown_device", NOT_AUTHORIZED),
];

/// `error_code` and `error_msg` of results about children.
const CHILD: [(Code, &str, &str); 8] = [
    ("api.quota", "IOTDA.014009", "Too many sub-devices."),
    ("device.exists", "IOTDA.014016", "The device already exists."),
    ("payload.malformed", "IOTDA.000006", "Invalid input data."),
    ("subdevice.bound_elsewhere", "IOTDA.014016", "The device belongs to another gateway."),
    ("subdevice.limit", "IOTDA.014009", "Too many sub-devices."),
    ("subdevice.not_attached", "IOTDA.014000", "The device is not a sub-device of the gateway."),
    ("subdevice.unknown", "IOTDA.014000", "The device or its product does not exist."),
    ("subdevice.unknown_product", "IOTDA.013002", "The product does not exist."),
];

/// Returns the CONNACK return code of a refusal.
pub(super) fn connack(code: Code) -> u8 {
    CONNACK.iter().find(|(ours, _)| *ours == code).map_or(NOT_AUTHORIZED, |(_, number)| *number)
}

/// Returns `error_code` and `error_msg` of a result about a child.
pub(super) fn child(code: Code) -> (&'static str, &'static str) {
    let row = CHILD.iter().find(|(ours, ..)| *ours == code);
    row.map_or(("IOTDA.000009", "Internal error."), |(_, number, text)| (number, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_known() {
        assert!(CONNACK.is_sorted_by_key(|(code, _)| *code));
        assert!(CHILD.is_sorted_by_key(|(code, ..)| *code));
        for code in CONNACK.iter().map(|(code, _)| *code).chain(CHILD.iter().map(|row| row.0)) {
            assert!(roadstead_core::code::info(code).is_some(), "{code} has no row");
        }
        assert_eq!((connack("auth.malformed"), connack("auth.unknown_device")), (2, 4));
        assert_eq!(connack("something.else"), 5);
    }
}
