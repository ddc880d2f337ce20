//! Topics: parse and write.
//!
//! ```text
//! $oc/devices/{device}/sys/{leaf}            platform topics of a device
//! $oc/devices/{device}/user/{rest}           custom topics of a product
//! $oc/bridges/{bridge}/devices/{device}/sys/{leaf}
//! /huawei/v1/devices/{device}/data/{json|binary}   reports of v3 firmware (§16)
//! ```
//!
//! A request id is everything behind `request_id=`, whatever it holds: firmware sends whole JSON
//! documents there (T12). Device SDKs match by substring, so no part is ever renamed.
//!
//! Source: Huawei §3, §3.9, §16.

use core::fmt;

use super::is_id;

const DEVICES: &str = "$oc/devices/";
const BRIDGES: &str = "$oc/bridges/";
const V3: &str = "/huawei/v1/devices/";
const GZIP: &str = "?encoding=gzip";
const RID: &str = "request_id=";

/// A topic of this vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic<'a> {
    /// A topic of a device.
    Device {
        /// Device id.
        device: &'a str,
        /// Which.
        leaf: Leaf<'a>,
    },
    /// A topic of a device behind a bridge.
    Bridged {
        /// Bridge id.
        bridge: &'a str,
        /// Device id.
        device: &'a str,
        /// Which.
        leaf: Leaf<'a>,
    },
    /// A report of v3 firmware.
    V3 {
        /// Device id.
        device: &'a str,
        /// JSON or opaque.
        is_json: bool,
    },
}

/// What a topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaf<'a> {
    MessagesUp {
        gzip: bool,
    },
    MessagesDown,
    Report {
        gzip: bool,
    },
    GatewayReport {
        gzip: bool,
    },
    Set(&'a str),
    SetResponse(&'a str),
    Get(&'a str),
    GetResponse(&'a str),
    ShadowGet(&'a str),
    ShadowResponse(&'a str),
    Command(&'a str),
    CommandResponse(&'a str),
    EventsUp,
    EventsDown,
    BootstrapUp,
    BootstrapDown,
    /// Only behind a bridge.
    Login(&'a str),
    LoginResponse(&'a str),
    Logout(&'a str),
    LogoutResponse(&'a str),
    ResetSecret(&'a str),
    ResetSecretResponse(&'a str),
    Disconnect,
    /// `user/…`, with what follows.
    User(&'a str),
}

/// Which way a topic goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
    /// Both: the product's own topics.
    Both,
}

impl<'a> Topic<'a> {
    /// Parses a topic name; a name with wildcards is none.
    pub(crate) fn parse(name: &'a str) -> Option<Self> {
        if let Some(rest) = name.strip_prefix(DEVICES) {
            let (device, rest) = rest.split_once('/').filter(|(device, _)| is_name(device))?;
            return Some(Self::Device { device, leaf: device_leaf(rest)? });
        }
        if let Some(rest) = name.strip_prefix(BRIDGES) {
            let (bridge, rest) = rest.split_once('/')?;
            let (device, rest) = rest.strip_prefix("devices/")?.split_once('/')?;
            if !is_name(bridge) || !is_name(device) {
                return None;
            }
            // The C SDK writes the batch report of a bridge without `sys/`.
            let leaf = match rest.strip_prefix("sys/") {
                Some(rest) => Leaf::parse(rest, true)?,
                None => Leaf::parse(rest, true)
                    .filter(|leaf| matches!(leaf, Leaf::GatewayReport { .. }))?,
            };
            return Some(Self::Bridged { bridge, device, leaf });
        }
        let (device, rest) = name.strip_prefix(V3)?.split_once('/')?;
        let is_json = match rest {
            "data/json" => true,
            "data/binary" => false,
            _ => return None,
        };
        is_name(device).then_some(Self::V3 { device, is_json })
    }
}

fn is_name(text: &str) -> bool {
    is_id(text, super::DEVICE_ID_MAX)
}

fn device_leaf(rest: &str) -> Option<Leaf<'_>> {
    if let Some(rest) = rest.strip_prefix("sys/") {
        return Leaf::parse(rest, false);
    }
    let rest = rest.strip_prefix("user/")?;
    (!rest.is_empty() && !rest.contains(['+', '#'])).then_some(Leaf::User(rest))
}

impl<'a> Leaf<'a> {
    fn parse(rest: &'a str, is_bridged: bool) -> Option<Self> {
        if let Some((head, rid)) = rest.split_once(RID) {
            return Self::with_rid(head, rid, is_bridged);
        }
        let (plain, gzip) = match rest.strip_suffix(GZIP) {
            Some(plain) => (plain, true),
            None => (rest, false),
        };
        Some(match (plain, gzip) {
            ("messages/up", gzip) => Self::MessagesUp { gzip },
            ("properties/report", gzip) => Self::Report { gzip },
            ("gateway/sub_devices/properties/report", gzip) => Self::GatewayReport { gzip },
            (_, true) => return None,
            ("messages/down", _) => Self::MessagesDown,
            ("events/up", _) => Self::EventsUp,
            ("events/down", _) => Self::EventsDown,
            ("bootstrap/up", _) if !is_bridged => Self::BootstrapUp,
            ("bootstrap/down", _) if !is_bridged => Self::BootstrapDown,
            ("disconnect", _) if is_bridged => Self::Disconnect,
            _ => return None,
        })
    }

    fn with_rid(head: &str, rid: &'a str, is_bridged: bool) -> Option<Self> {
        Some(match head {
            "properties/set/" => Self::Set(rid),
            "properties/set/response/" => Self::SetResponse(rid),
            "properties/get/" => Self::Get(rid),
            "properties/get/response/" => Self::GetResponse(rid),
            "shadow/get/" => Self::ShadowGet(rid),
            "shadow/get/response/" => Self::ShadowResponse(rid),
            "commands/" => Self::Command(rid),
            "commands/response/" => Self::CommandResponse(rid),
            "login/" if is_bridged => Self::Login(rid),
            "login/response/" if is_bridged => Self::LoginResponse(rid),
            "logout/" if is_bridged => Self::Logout(rid),
            "logout/response/" if is_bridged => Self::LogoutResponse(rid),
            "reset_secret/" if is_bridged => Self::ResetSecret(rid),
            "reset_secret/response/" if is_bridged => Self::ResetSecretResponse(rid),
            _ => return None,
        })
    }

    /// Returns true for a topic whose whole body is one gzip member.
    pub(crate) fn is_packed(&self) -> bool {
        matches!(
            self,
            Self::MessagesUp { gzip: true }
                | Self::Report { gzip: true }
                | Self::GatewayReport { gzip: true }
        )
    }

    /// Returns which way messages go.
    pub(crate) fn way(&self) -> Way {
        match self {
            Self::MessagesUp { .. }
            | Self::Report { .. }
            | Self::GatewayReport { .. }
            | Self::SetResponse(_)
            | Self::GetResponse(_)
            | Self::ShadowGet(_)
            | Self::CommandResponse(_)
            | Self::EventsUp
            | Self::BootstrapUp
            | Self::Login(_)
            | Self::Logout(_)
            | Self::ResetSecret(_) => Way::Up,
            Self::MessagesDown
            | Self::Set(_)
            | Self::Get(_)
            | Self::ShadowResponse(_)
            | Self::Command(_)
            | Self::EventsDown
            | Self::BootstrapDown
            | Self::LoginResponse(_)
            | Self::LogoutResponse(_)
            | Self::ResetSecretResponse(_)
            | Self::Disconnect => Way::Down,
            Self::User(_) => Way::Both,
        }
    }
}

impl fmt::Display for Leaf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, rid) = match self {
            Self::MessagesUp { gzip } => return write_packed(f, "messages/up", *gzip),
            Self::Report { gzip } => return write_packed(f, "properties/report", *gzip),
            Self::GatewayReport { gzip } => {
                return write_packed(f, "gateway/sub_devices/properties/report", *gzip);
            }
            Self::User(rest) => return write!(f, "user/{rest}"),
            Self::MessagesDown => return f.write_str("sys/messages/down"),
            Self::EventsUp => return f.write_str("sys/events/up"),
            Self::EventsDown => return f.write_str("sys/events/down"),
            Self::BootstrapUp => return f.write_str("sys/bootstrap/up"),
            Self::BootstrapDown => return f.write_str("sys/bootstrap/down"),
            Self::Disconnect => return f.write_str("sys/disconnect"),
            Self::Set(rid) => ("properties/set", rid),
            Self::SetResponse(rid) => ("properties/set/response", rid),
            Self::Get(rid) => ("properties/get", rid),
            Self::GetResponse(rid) => ("properties/get/response", rid),
            Self::ShadowGet(rid) => ("shadow/get", rid),
            Self::ShadowResponse(rid) => ("shadow/get/response", rid),
            Self::Command(rid) => ("commands", rid),
            Self::CommandResponse(rid) => ("commands/response", rid),
            Self::Login(rid) => ("login", rid),
            Self::LoginResponse(rid) => ("login/response", rid),
            Self::Logout(rid) => ("logout", rid),
            Self::LogoutResponse(rid) => ("logout/response", rid),
            Self::ResetSecret(rid) => ("reset_secret", rid),
            Self::ResetSecretResponse(rid) => ("reset_secret/response", rid),
        };
        write!(f, "sys/{name}/{RID}{rid}")
    }
}

fn write_packed(f: &mut fmt::Formatter<'_>, name: &str, gzip: bool) -> fmt::Result {
    write!(f, "sys/{name}{}", if gzip { GZIP } else { "" })
}

impl fmt::Display for Topic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device { device, leaf } => write!(f, "{DEVICES}{device}/{leaf}"),
            Self::Bridged { bridge, device, leaf } => {
                write!(f, "{BRIDGES}{bridge}/devices/{device}/{leaf}")
            }
            Self::V3 { device, is_json } => {
                write!(f, "{V3}{device}/data/{}", if *is_json { "json" } else { "binary" })
            }
        }
    }
}

/// What a subscription is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The platform's and the product's topics of this device.
    Device,
    /// The topics of devices behind this bridge.
    Bridge,
}

/// Returns whose topics a filter asks for: `None` unless it names one device or bridge without a
/// wildcard before it.
pub(crate) fn filter_scope(filter: &str) -> Option<(Scope, &str)> {
    let named = |prefix: &str, scope| {
        let (name, rest) = filter.strip_prefix(prefix)?.split_once('/')?;
        (is_name(name) && !rest.is_empty()).then_some((scope, name))
    };
    named(DEVICES, Scope::Device)
        .or_else(|| named("$oc/m2m/to/", Scope::Device))
        .or_else(|| named(V3, Scope::Device))
        .or_else(|| named(BRIDGES, Scope::Bridge))
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_topic_of_the_table() {
        for (leaf, way) in [
            ("sys/messages/up", Way::Up),
            ("sys/messages/up?encoding=gzip", Way::Up),
            ("sys/messages/down", Way::Down),
            ("user/a/b", Way::Both),
            ("sys/properties/report", Way::Up),
            ("sys/properties/report?encoding=gzip", Way::Up),
            ("sys/gateway/sub_devices/properties/report", Way::Up),
            ("sys/gateway/sub_devices/properties/report?encoding=gzip", Way::Up),
            ("sys/properties/set/request_id=r", Way::Down),
            ("sys/properties/set/response/request_id=r", Way::Up),
            ("sys/properties/get/request_id=r", Way::Down),
            ("sys/properties/get/response/request_id=r", Way::Up),
            ("sys/shadow/get/request_id=$get_device_shadow", Way::Up),
            ("sys/shadow/get/response/request_id=$get_device_shadow", Way::Down),
            ("sys/commands/request_id=r", Way::Down),
            ("sys/commands/response/request_id=r", Way::Up),
            ("sys/events/up", Way::Up),
            ("sys/events/down", Way::Down),
            ("sys/bootstrap/up", Way::Up),
            ("sys/bootstrap/down", Way::Down),
        ] {
            let name = std::format!("$oc/devices/d_1/{leaf}");
            let Some(Topic::Device { device: "d_1", leaf }) = Topic::parse(&name) else {
                panic!("{name}");
            };
            assert_eq!(leaf.way(), way, "{name}");
            assert_eq!(Topic::Device { device: "d_1", leaf }.to_string(), name);
        }
        for leaf in [
            "login/request_id=1",
            "login/response/request_id=1",
            "logout/request_id=",
            "logout/response/request_id=2",
            "reset_secret/request_id=3",
            "reset_secret/response/request_id=3",
            "disconnect",
            "messages/up",
            "gateway/sub_devices/properties/report",
        ] {
            let name = std::format!("$oc/bridges/b/devices/d/sys/{leaf}");
            let topic = Topic::parse(&name).expect("known");
            assert!(matches!(topic, Topic::Bridged { bridge: "b", device: "d", .. }));
            assert_eq!(topic.to_string(), name);
        }
        let short = "$oc/bridges/b/devices/d/gateway/sub_devices/properties/report";
        assert!(Topic::parse(short).is_some());
        for name in [
            "$oc/devices/d/sys/login/request_id=1",
            "$oc/devices/+/sys/messages/up",
            "$oc/devices/d/user/",
            "$oc/devices/d/user/#",
            "$oc/devices/d/sys/commands/#",
            "$oc/devices/d/sys/events/up?encoding=gzip",
            "$oc/bridges/b/devices/d/events/up",
            "$oc/bridges/b/devices/d/sys/bootstrap/up",
            "$oc/devices//sys/messages/up",
            "/huawei/v1/devices/d/data/xml",
            "",
        ] {
            assert_eq!(Topic::parse(name), None, "{name}");
        }
    }

    #[test]
    fn t12_a_request_id_may_hold_anything() {
        let rid = r#"{"name": "n1", "request_id=": "a/b", "content": "hello"}"#;
        let name = std::format!("$oc/devices/d/sys/commands/response/request_id={rid}");
        let leaf = Leaf::CommandResponse(rid);
        assert_eq!(Topic::parse(&name), Some(Topic::Device { device: "d", leaf }));
    }

    #[test]
    fn filters_name_their_device() {
        for (filter, expected) in [
            ("$oc/devices/d/sys/commands/#", Some((Scope::Device, "d"))),
            ("$oc/devices/d/#", Some((Scope::Device, "d"))),
            ("$oc/devices/d/user/wifi", Some((Scope::Device, "d"))),
            ("$oc/m2m/to/d/#", Some((Scope::Device, "d"))),
            ("$oc/bridges/b/devices/+/sys/#", Some((Scope::Bridge, "b"))),
            ("$oc/devices/+/sys/#", None),
            ("$oc/devices/#", None),
            ("#", None),
        ] {
            assert_eq!(filter_scope(filter), expected, "{filter}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_survived(name in "(\\$oc/(devices|bridges)/[a-z]{0,3}/)?\\PC{0,60}") {
            if let Some(topic) = Topic::parse(&name) {
                let short = name.replacen("/gateway/", "/sys/gateway/", 1);
                let written = topic.to_string();
                prop_assert!(written == name || written == short);
            }
            let _ = filter_scope(&name);
        }
    }
}
