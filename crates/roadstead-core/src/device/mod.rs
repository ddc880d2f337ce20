//! A device: identity, credential, state, gateway parent.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::session::Presence;
use crate::{DeviceId, Map, ProductId, Secret, SpaceId, Timestamp, Value};

/// One device, as registered.
#[derive(Clone)]
pub struct Device {
    /// Unique in the instance.
    pub id: DeviceId,
    /// Tenant.
    pub space: SpaceId,
    /// Its product.
    pub product: ProductId,
    /// The vendor's name inside the product: DeviceName, node_id or MAC.
    pub node: Box<str>,
    /// Display name.
    pub name: Box<str>,
    /// Device secret as the vendor shows it; absent while only pre-registered.
    pub secret: Option<Secret>,
    /// Digest of the device's certificate.
    pub fingerprint: Option<Fingerprint>,
    /// The gateway it is attached to.
    pub gateway: Option<DeviceId>,
    /// A frozen device may not log in.
    pub frozen: bool,
    /// What the device told about itself (`fw_version`, hardware, MAC, …).
    pub info: Map<String, Value>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it logged in first.
    pub activated_at: Option<Timestamp>,
    /// Further credentials and terms of its access.
    pub access: Access,
    /// What applications mark it with.
    pub tags: Tags,
    /// Place in the order of creation, counted from 1 over the whole instance; given by the store
    /// and ignored when a device is created or changed.
    pub number: u64,
}

/// Tags of a device: key and value.
pub type Tags = BTreeMap<Box<str>, Box<str>>;

/// Further credentials of a device and terms of its access.
#[derive(Clone, Default)]
pub struct Access {
    /// A second secret with the power of the first, tried after it.
    pub secondary_secret: Option<Secret>,
    /// Digest of a second certificate with the power of the first.
    pub secondary_fingerprint: Option<Fingerprint>,
    /// True when only encrypted connections are meant to be let in.
    pub secure: bool,
    /// Time from creation to the first log-in, seconds, after which the device is deleted;
    /// 0 is for ever.
    pub register_within_s: u32,
}

/// State of a device as the APIs show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Never logged in.
    Inactive,
    /// Has a live session.
    Online,
    /// Had a session.
    Offline,
    /// Of the kind that keeps no connection, and silent for suspiciously long.
    Abnormal,
    /// May not log in.
    Frozen,
}

/// How long a device that keeps no connection may be silent (Huawei §8.1: NB-IoT).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Then it is abnormal.
    pub abnormal_after: Duration,
    /// Then it is off line.
    pub offline_after: Duration,
}

impl Silence {
    /// 25 and 49 hours: one missed daily report, and two.
    pub const DAILY: Self = Self {
        abnormal_after: Duration::from_secs(25 * 3600),
        offline_after: Duration::from_secs(49 * 3600),
    };

    /// Returns the state of a device that was heard last at `heard`.
    pub fn status(&self, heard: Timestamp, now: Timestamp) -> Status {
        match now.since(heard) {
            silent if silent >= self.offline_after => Status::Offline,
            silent if silent >= self.abnormal_after => Status::Abnormal,
            _ => Status::Online,
        }
    }
}

impl Device {
    /// Returns when the device is deleted unless it logs in before; `None` when it never is.
    pub fn register_by(&self) -> Option<Timestamp> {
        let within = u64::from(self.access.register_within_s);
        let waits = within > 0 && self.activated_at.is_none();
        waits.then(|| self.created_at + Duration::from_secs(within))
    }

    /// Returns the state to show.
    pub fn status(&self, presence: &Presence) -> Status {
        match (self.frozen, presence.online, self.activated_at) {
            (true, _, _) => Status::Frozen,
            (false, true, _) => Status::Online,
            (false, false, Some(_)) => Status::Offline,
            (false, false, None) => Status::Inactive,
        }
    }
}

/// SHA-1 (20 bytes) or SHA-256 (32 bytes) of a DER certificate.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Fingerprint {
    /// SHA-1; what older vendor consoles show.
    Sha1([u8; 20]),
    /// SHA-256.
    Sha256([u8; 32]),
}

impl Fingerprint {
    /// Parses 40 or 64 hex digits; case and colons do not matter.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0u8; 32];
        let mut n = 0;
        for digit in text.chars().filter(|&c| c != ':') {
            let digit = digit.to_digit(16)? as u8;
            *bytes.get_mut(n / 2)? |= if n % 2 == 0 { digit << 4 } else { digit };
            n += 1;
        }
        match n {
            40 => Some(Self::Sha1(*bytes.first_chunk()?)),
            64 => Some(Self::Sha256(bytes)),
            _ => None,
        }
    }

    /// Returns the digest.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Sha1(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        }
    }
}

impl core::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl core::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&format!("{self}"))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn device() -> Device {
        Device {
            id: "d".into(),
            space: "s".into(),
            product: "p".into(),
            node: "n".into(),
            name: "n".into(),
            secret: None,
            fingerprint: None,
            gateway: None,
            frozen: false,
            info: Map::new(),
            created_at: Timestamp(0),
            activated_at: None,
            access: Access::default(),
            tags: Tags::new(),
            number: 0,
        }
    }

    #[test]
    fn a_device_goes_through_its_states() {
        let (mut device, mut presence) = (device(), Presence::default());
        assert_eq!(device.status(&presence), Status::Inactive);
        (presence.online, device.activated_at) = (true, Some(Timestamp(1)));
        assert_eq!(device.status(&presence), Status::Online);
        presence.online = false;
        assert_eq!(device.status(&presence), Status::Offline);
        device.frozen = true;
        assert_eq!(device.status(&presence), Status::Frozen);
        device.frozen = false;
        assert_eq!(device.status(&presence), Status::Offline, "thawed");
        device.activated_at = None;
        assert_eq!(device.status(&presence), Status::Inactive, "thawed, never seen");
    }

    #[test]
    fn a_silent_device_is_abnormal_after_25_hours_and_off_line_after_49() {
        let hour = 3_600_000;
        for (ms, expected) in [
            (0, Status::Online),
            (25 * hour - 1, Status::Online),
            (25 * hour, Status::Abnormal),
            (49 * hour - 1, Status::Abnormal),
            (49 * hour, Status::Offline),
        ] {
            assert_eq!(Silence::DAILY.status(Timestamp(0), Timestamp(ms)), expected, "{ms} ms");
        }
    }

    #[test]
    fn fingerprints_ignore_case_and_colons() {
        let sha1 = "AB:cd:".repeat(10);
        let parsed = Fingerprint::parse(sha1.trim_end_matches(':')).expect("sha1");
        assert_eq!(parsed.to_string(), "abcd".repeat(10));
        assert!(Fingerprint::parse(&"0".repeat(64)).is_some());
        for bad in ["", "abc", &"0".repeat(41), &"0".repeat(66), "xyz"] {
            assert_eq!(Fingerprint::parse(bad), None, "{bad}");
        }
    }
}
