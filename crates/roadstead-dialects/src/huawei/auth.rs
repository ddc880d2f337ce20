//! Names and proofs: client id, password, group key. Both halves use them.
//!
//! The client id is read from the right, because device ids may hold `_` and digits (T4):
//!
//! ```text
//! device   {device_id}_0_{sign}_{stamp}
//! node id  {node_id}_2_{sign}_{stamp}
//! bridge   {bridge_id}_3_{sign}_{stamp}
//! group    {device_id}_0_{scope_id}_{sign}_{stamp}     with the group's secret
//! group    {device_id}_0_{scope_id}                    with a certificate
//! ```
//!
//! Not here: which proof a device needs (the cloud half decides).
//!
//! Source: Huawei §2.2, §4; T2 to T4; vectors recomputed from SDK runs.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use roadstead_core::{Secret, Timestamp};
use sha2::Sha256;
use sm3::Sm3;
use subtle::ConstantTimeEq as _;

use super::time;

/// Digits of a time stamp, `YYYYMMDDHH`.
const STAMP_LEN: usize = 10;
/// Last hour number that is taken: 24 to 26 mean the next day (T3, C SDK 1.2.1).
const HOUR_MAX: i64 = 26;
/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

/// How the password was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// HMAC-SHA256; the time stamp is an opaque key.
    Sha256,
    /// HMAC-SHA256; the time stamp must lie near the platform's clock.
    Sha256Checked,
    /// HMAC-SM3.
    Sm3,
}

impl Sign {
    fn parse(digit: &str) -> Option<Self> {
        match digit {
            "0" => Some(Self::Sha256),
            "1" => Some(Self::Sha256Checked),
            "2" => Some(Self::Sm3),
            _ => None,
        }
    }

    /// Returns the sign type of a number of a bridge's log-in.
    pub(crate) fn of_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Sha256),
            1 => Some(Self::Sha256Checked),
            2 => Some(Self::Sm3),
            _ => None,
        }
    }

    /// Returns the digit of the client id.
    pub(crate) const fn digit(self) -> char {
        match self {
            Self::Sha256 => '0',
            Self::Sha256Checked => '1',
            Self::Sm3 => '2',
        }
    }

    fn mac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 | Self::Sha256Checked => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
                mac.update(message);
                mac.finalize().into_bytes().to_vec()
            }
            Self::Sm3 => {
                let mut mac = Hmac::<Sm3>::new_from_slice(key).expect("HMAC takes any key");
                mac.update(message);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }
}

/// What kind of log-in a client id announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// A device by its device id.
    Device,
    /// A device by its node id, legacy.
    Node,
    /// A bridge.
    Bridge,
    /// A member of the registration group with this scope id.
    Group(&'a str),
}

/// A client id taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientId<'a> {
    /// Device id, node id or bridge id.
    pub(crate) name: &'a str,
    /// Kind of log-in.
    pub(crate) kind: Kind<'a>,
    /// Sign type and time stamp; `None` for a group's log-in by certificate.
    pub(crate) proof: Option<(Sign, &'a str)>,
}

impl<'a> ClientId<'a> {
    /// Takes a client id apart. The user name says where the name ends; without one, or with one
    /// that is no part of it, only the forms that end in a proof are recognised.
    pub(crate) fn parse(client_id: &'a str, user: Option<&str>) -> Option<Self> {
        let named = user.and_then(|user| client_id.strip_prefix(user)?.strip_prefix('_'));
        match named {
            Some(rest) => {
                // The lengths add up: name, `_`, rest.
                let name = client_id.get(..client_id.len() - rest.len() - 1)?;
                Self::of_rest(name, rest)
            }
            None => Self::from_right(client_id),
        }
        .filter(|id| !id.name.is_empty())
    }

    fn of_rest(name: &'a str, rest: &'a str) -> Option<Self> {
        if let Some((head, sign, stamp)) = split_proof(rest)
            && let Some(kind) = plain_kind(head)
        {
            return Some(Self { name, kind, proof: Some((sign, stamp)) });
        }
        let scope = rest.strip_prefix("0_").filter(|scope| !scope.is_empty())?;
        if let Some((scope, sign, stamp)) = split_proof(scope) {
            let kind = Kind::Group(scope);
            return Some(Self { name, kind, proof: Some((sign, stamp)) });
        }
        Some(Self { name, kind: Kind::Group(scope), proof: None })
    }

    fn from_right(client_id: &'a str) -> Option<Self> {
        let (head, sign, stamp) = split_proof(client_id)?;
        let (name, kind) = head.rsplit_once('_')?;
        Some(Self { name, kind: plain_kind(kind)?, proof: Some((sign, stamp)) })
    }
}

fn plain_kind(digit: &str) -> Option<Kind<'static>> {
    match digit {
        "0" => Some(Kind::Device),
        "2" => Some(Kind::Node),
        "3" => Some(Kind::Bridge),
        _ => None,
    }
}

/// Splits `{head}_{sign}_{stamp}`.
fn split_proof(text: &str) -> Option<(&str, Sign, &str)> {
    let (rest, stamp) = text.rsplit_once('_')?;
    let (head, sign) = rest.rsplit_once('_')?;
    (is_stamp(stamp) && !head.is_empty()).then_some((head, Sign::parse(sign)?, stamp))
}

/// Returns true for ten digits.
pub(crate) fn is_stamp(text: &str) -> bool {
    text.len() == STAMP_LEN && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Writes the client id of a device.
pub(crate) fn client_id(device: &str, sign: Sign, stamp: &str) -> String {
    alloc::format!("{device}_0_{}_{stamp}", sign.digit())
}

/// Writes the client id of a group's member; without a proof it has a certificate.
pub(crate) fn member_client_id(device: &str, scope: &str, proof: Option<(Sign, &str)>) -> String {
    match proof {
        Some((sign, stamp)) => alloc::format!("{device}_0_{scope}_{}_{stamp}", sign.digit()),
        None => alloc::format!("{device}_0_{scope}"),
    }
}

/// Writes a password: the time stamp is the key, the secret the message.
pub(crate) fn password(sign: Sign, stamp: &str, secret: &[u8]) -> String {
    hex::encode(sign.mac(stamp.as_bytes(), secret))
}

/// Checks a password in constant time. The hex may have either case.
pub(crate) fn password_matches(sign: Sign, stamp: &str, secret: &[u8], claimed: &[u8]) -> bool {
    let Ok(claimed) = hex::decode(claimed) else { return false };
    sign.mac(stamp.as_bytes(), secret).ct_eq(&claimed).into()
}

/// Returns what a refused password was made of instead: the mistakes that firmware writers make.
/// `None` when it is none of them: then the secret or the time stamp differs.
pub(crate) fn mistake(
    stamp: &str,
    secret: &[u8],
    device: &str,
    claimed: &[u8],
) -> Option<&'static str> {
    let claimed = hex::decode(claimed).ok()?;
    let made = |key: &[u8], message: &[u8]| -> bool {
        Sign::Sha256.mac(key, message).ct_eq(&claimed).into()
    };
    let raw = hex::decode(secret).unwrap_or_default();
    let rows: [(bool, &'static str); 4] = [
        (made(secret, stamp.as_bytes()), "key and message are exchanged"),
        (made(device.as_bytes(), secret), "its key is the device id"),
        (made(secret, device.as_bytes()), "it is the HMAC of the device id under the secret"),
        (made(stamp.as_bytes(), &raw), "its message is the secret's bytes, not its text"),
    ];
    rows.into_iter().find_map(|(fits, text)| fits.then_some(text))
}

/// Returns the secret of a group's member: hex of the HMAC of the group's key under the device
/// id. `None` when the group's secret is no base64.
pub(crate) fn member_secret(device: &str, group: &Secret) -> Option<Secret> {
    let key = STANDARD.decode(group.expose()).ok()?;
    let mac = Sign::Sha256.mac(device.as_bytes(), &key);
    (!key.is_empty()).then(|| Secret::from(hex::encode(mac)))
}

/// Returns the time stamp of a date, UTC.
pub(crate) fn stamp(now: Timestamp) -> String {
    let date = time::Civil::of(now);
    alloc::format!("{:04}{:02}{:02}{:02}", date.year, date.month, date.day, date.hour)
}

/// Where a time stamp lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lag {
    /// Whole hours between the stamp's and the platform's, either way.
    pub(crate) hours: u64,
    /// The hour number was 24 or more.
    pub(crate) is_overflow: bool,
}

/// Compares a time stamp with the clock; `None` when it is no date (T2: month 0, month 13).
pub(crate) fn lag(stamp: &str, now: Timestamp) -> Option<Lag> {
    let number = |range: core::ops::Range<usize>| stamp.get(range)?.parse::<i64>().ok();
    let (year, month) = (number(0..4)?, number(4..6)?);
    let (day, hour) = (number(6..8)?, number(8..10)?);
    let midnight = time::date(year, month, day)?;
    if hour > HOUR_MAX {
        return None;
    }
    let stamped = midnight.as_millis() / HOUR_MS + hour;
    let hours = now.as_millis().div_euclid(HOUR_MS).abs_diff(stamped);
    Some(Lag { hours, is_overflow: hour > 23 })
}

#[cfg(test)]
mod mistakes {
    use super::*;

    #[test]
    fn a_password_made_of_something_else_is_told() {
        let (stamp, secret, device) = ("2026112100", b"0123456789abcdef", "65_d1");
        let cases: [(&[u8], &[u8], Option<&str>); 4] = [
            (secret, stamp.as_bytes(), Some("key and message are exchanged")),
            (device.as_bytes(), secret, Some("its key is the device id")),
            (secret, device.as_bytes(), Some("it is the HMAC of the device id under the secret")),
            (stamp.as_bytes(), b"another secret", None),
        ];
        for (key, message, told) in cases {
            let made = hex::encode(Sign::Sha256.mac(key, message));
            assert_eq!(mistake(stamp, secret, device, made.as_bytes()), told);
        }
        let raw = hex::decode(secret).expect("hex");
        let made = hex::encode(Sign::Sha256.mac(stamp.as_bytes(), &raw));
        assert!(mistake(stamp, secret, device, made.as_bytes()).is_some());
        assert_eq!(mistake(stamp, secret, device, b"no hex"), None);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_222_800_000); // 2026-11-21 01:00 UTC

    #[test]
    fn t04_client_ids_are_read_from_the_right() {
        let of = |client_id, user| ClientId::parse(client_id, user);
        let id = of("a_b_0_1_c_0_1_2026112100", Some("a_b_0_1_c")).expect("parsed");
        let proof = Some((Sign::Sha256Checked, "2026112100"));
        assert_eq!(id, ClientId { name: "a_b_0_1_c", kind: Kind::Device, proof });
        assert_eq!(of("a_b_0_1_c_0_1_2026112100", None), Some(id));
        // A device whose id looks like the head of a group's client id.
        let id = of("x_0_y_0_0_2026112100", Some("x_0_y")).expect("parsed");
        assert_eq!((id.name, id.kind), ("x_0_y", Kind::Device));
        let id = of("x_0_y_0_0_2026112100", Some("x")).expect("parsed");
        assert_eq!((id.name, id.kind), ("x", Kind::Group("y_0")));
        let id = of("d_0_scope_1234", Some("d")).expect("parsed");
        assert_eq!((id.kind, id.proof), (Kind::Group("scope_1234"), None));
        for (client_id, user) in [
            ("d_0_scope_1234", None),
            ("d_1_0_2026112100", None),
            ("_0_0_2026112100", None),
            ("d_0_3_2026112100", None),
            ("d_0_0_202611210", None),
            ("d_0_", Some("d")),
            ("", Some("")),
            ("_0_s", Some("")),
        ] {
            assert_eq!(of(client_id, user), None, "{client_id}");
        }
    }

    #[test]
    fn t03_hours_beyond_the_day_mean_the_next_one() {
        let hours = |stamp| lag(stamp, NOW).map(|lag| (lag.hours, lag.is_overflow));
        assert_eq!(hours("2026112101"), Some((0, false)));
        assert_eq!(hours("2026112100"), Some((1, false)));
        assert_eq!(hours("2026112024"), Some((1, true)));
        assert_eq!(hours("2026112026"), Some((1, true)));
        assert_eq!(hours("2026112027"), None);
        // T2: the Tiny SDK in November, and in January.
        assert_eq!(hours("2026102101"), Some((31 * 24, false)));
        assert_eq!(hours("2026000100"), None);
        assert_eq!(stamp(NOW), "2026112101");
    }

    proptest! {
        #[test]
        fn client_ids_round_trip(device in "[A-Za-z0-9_-]{1,40}", at in 0_i64..4_000_000_000_000) {
            let stamp = stamp(Timestamp(at));
            for sign in [Sign::Sha256, Sign::Sha256Checked, Sign::Sm3] {
                let id = client_id(&device, sign, &stamp);
                let expected =
                    ClientId { name: &device, kind: Kind::Device, proof: Some((sign, &stamp)) };
                prop_assert_eq!(ClientId::parse(&id, Some(&device)), Some(expected));
                prop_assert_eq!(ClientId::parse(&id, None), Some(expected));
            }
            prop_assert_eq!(lag(&stamp, Timestamp(at)).map(|lag| lag.hours), Some(0));
        }

        #[test]
        fn any_text_is_survived(id in "\\PC{0,60}", user in proptest::option::of("\\PC{0,30}")) {
            if let Some(parsed) = ClientId::parse(&id, user.as_deref()) {
                prop_assert!(id.starts_with(parsed.name));
            }
            let _ = lag(&id, NOW);
        }
    }
}
