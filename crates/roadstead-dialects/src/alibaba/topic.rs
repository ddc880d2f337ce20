//! Every topic of the vendor as one type; parses and prints. Both halves use it.
//!
//! Not here: who may use a topic, and which way; the halves compare the names in it with their own.
//!
//! Source: Alibaba §2 to §9; recordings of six clients.

use core::fmt;

/// A topic name, or a filter whose names are literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic<'a> {
    /// Speaks for one device.
    Device {
        /// ProductKey.
        product: &'a str,
        /// DeviceName.
        node: &'a str,
        /// What it is for.
        verb: Verb<'a>,
    },
    /// `/ext/rrpc/{id}/{topic}`: a call on a topic of the device's own choice; the answer comes
    /// back on the same name. `id` is `+` in a filter.
    ExtRrpc {
        /// The platform's number of the call.
        id: &'a str,
        /// The topic behind it, with its leading slash; empty for none.
        rest: &'a str,
    },
    /// `/broadcast/{product}/{rest}`
    Broadcast {
        /// ProductKey.
        product: &'a str,
        /// The rest, without a leading slash.
        rest: &'a str,
    },
    /// `/ext/register`: the secret of a pre-registered device.
    Register,
    /// `/ext/regnwl`: the token of a device that was not.
    RegisterOpen,
}

/// What a topic of one device is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb<'a> {
    /// `/sys/P/D/{rest}`; see [`sys`]. An optional `ts/` before the rest is dropped (§5.1).
    Sys(&'a str),
    /// `/ota/device/inform/P/D`: the version that runs.
    OtaInform,
    /// `/ota/device/upgrade/P/D`: a version to run.
    OtaUpgrade,
    /// `/ota/device/request/P/D`: asks for one, and the answer.
    OtaRequest,
    /// `/ota/device/progress/P/D`
    OtaProgress,
    /// `/ext/ntp/P/D/request`
    NtpRequest,
    /// `/ext/ntp/P/D/response`
    NtpResponse,
    /// `/ext/error/P/D`
    Error,
    /// `/ext/session/P/D/combine/{rest}`: log-in and log-out of sub-devices, and the answers.
    Combine(&'a str),
    /// `/shadow/update/P/D`
    ShadowUpdate,
    /// `/shadow/get/P/D`
    ShadowGet,
    /// `/P/D/{rest}`: a topic of the product's own, mostly `user/…`
    Custom(&'a str),
}

/// The rests of [`Verb::Sys`] that are spelled in one place. A request's answer is on the same
/// name with [`sys::REPLY`] behind it.
pub(crate) mod sys {
    /// End of every answer's topic.
    pub(crate) const REPLY: &str = "_reply";
    /// Up: property values.
    pub(crate) const PROPERTY_POST: &str = "thing/event/property/post";
    /// Up: property values with times, of LinkSDK 4.
    pub(crate) const PROPERTY_BATCH_POST: &str = "thing/event/property/batch/post";
    /// Up: property values and events of the past, of several devices.
    pub(crate) const PROPERTY_HISTORY_POST: &str = "thing/event/property/history/post";
    /// Down: set property values.
    pub(crate) const PROPERTY_SET: &str = "thing/service/property/set";
    /// Down: ask for property values.
    pub(crate) const PROPERTY_GET: &str = "thing/service/property/get";
    /// Before the name of a service; down.
    pub(crate) const SERVICE: &str = "thing/service/";
    /// Before the name of an event; up, with [`POST`] behind it.
    pub(crate) const EVENT: &str = "thing/event/";
    /// After the name of an event.
    pub(crate) const POST: &str = "/post";
    /// Up: what is desired.
    pub(crate) const DESIRED_GET: &str = "thing/property/desired/get";
    /// Up: forget what is desired.
    pub(crate) const DESIRED_DELETE: &str = "thing/property/desired/delete";
    /// Up: raw bytes.
    pub(crate) const UP_RAW: &str = "thing/model/up_raw";
    /// Down: raw bytes.
    pub(crate) const DOWN_RAW: &str = "thing/model/down_raw";
    /// Up: attributes of the device.
    pub(crate) const INFO_UPDATE: &str = "thing/deviceinfo/update";
    /// Up: forget attributes.
    pub(crate) const INFO_DELETE: &str = "thing/deviceinfo/delete";
    /// Up: the thing model.
    pub(crate) const TSL_GET: &str = "thing/dynamicTsl/get";
    /// Up: the thing model, older name.
    pub(crate) const TEMPLATE_GET: &str = "thing/dsltemplate/get";
    /// Up: remote configuration.
    pub(crate) const CONFIG_GET: &str = "thing/config/get";
    /// Down: remote configuration.
    pub(crate) const CONFIG_PUSH: &str = "thing/config/push";
    /// Up: how much to log.
    pub(crate) const LOG_CONFIG_GET: &str = "thing/config/log/get";
    /// Down: how much to log.
    pub(crate) const LOG_CONFIG_PUSH: &str = "thing/config/log/push";
    /// Up: log records.
    pub(crate) const LOG_POST: &str = "thing/log/post";
    /// Up: the keys of local control (§10).
    pub(crate) const LAN_PREFIX_GET: &str = "thing/lan/prefix/get";
    /// Down: new keys of local control.
    pub(crate) const LAN_PREFIX_UPDATE: &str = "thing/lan/prefix/update";
    /// Down: revoked keys of local control.
    pub(crate) const LAN_BLACKLIST_UPDATE: &str = "thing/lan/blacklist/update";
    /// Down: stop; `enable` and `delete` are its siblings.
    pub(crate) const DISABLE: &str = "thing/disable";
    /// Down: go on.
    pub(crate) const ENABLE: &str = "thing/enable";
    /// Down: the device was deleted.
    pub(crate) const DELETE: &str = "thing/delete";
    /// Up: attach sub-devices.
    pub(crate) const TOPO_ADD: &str = "thing/topo/add";
    /// Up: detach sub-devices.
    pub(crate) const TOPO_DELETE: &str = "thing/topo/delete";
    /// Up: which are attached.
    pub(crate) const TOPO_GET: &str = "thing/topo/get";
    /// Down: attach these (the gateway answers, then sends [`TOPO_ADD`]).
    pub(crate) const TOPO_ADD_NOTIFY: &str = "thing/topo/add/notify";
    /// Down: these were attached or detached.
    pub(crate) const TOPO_CHANGE: &str = "thing/topo/change";
    /// Up: found these.
    pub(crate) const TOPO_FOUND: &str = "thing/list/found";
    /// Down: look for sub-devices.
    pub(crate) const GATEWAY_PERMIT: &str = "thing/gateway/permit";
    /// Up: register sub-devices.
    pub(crate) const SUB_REGISTER: &str = "thing/sub/register";
    /// Up: delete sub-devices.
    pub(crate) const SUB_UNREGISTER: &str = "thing/sub/unregister";
    /// Up: register sub-devices, each proven with its product secret.
    pub(crate) const SUB_PRODUCT_REGISTER: &str = "thing/proxy/provisioning/product_register";
    /// Up: the bind token (§5.1).
    pub(crate) const MATCH: &str = "thing/awss/enrollee/match";
    /// Up: devices that want to be let into the network (§7.5).
    pub(crate) const FOUND: &str = "thing/awss/enrollee/found";
    /// Down: let this one in.
    pub(crate) const CHECKIN: &str = "thing/awss/enrollee/checkin";
    /// Up: the key for one of them.
    pub(crate) const CIPHER_GET: &str = "thing/cipher/get";
    /// Up: its user gave it up (§5.6).
    pub(crate) const RESET: &str = "thing/reset";
    /// Down: ask again where to connect (§4).
    pub(crate) const BOOTSTRAP_NOTIFY: &str = "thing/bootstrap/notify";
    /// Up: asks for a firmware version, newer form (§9).
    pub(crate) const FIRMWARE_GET: &str = "thing/ota/firmware/get";
    /// Down: what became of the bind token, 3.2.0 (§5.5).
    pub(crate) const EVENT_NOTIFY: &str = "_thing/event/notify";
    /// Before the number of a synchronous call; down.
    pub(crate) const RRPC_REQUEST: &str = "rrpc/request/";
    /// Before the number of its answer; up.
    pub(crate) const RRPC_RESPONSE: &str = "rrpc/response/";

    /// Everything the platform publishes as a request; a device may not.
    const DOWN: [&str; 17] = [
        PROPERTY_SET,
        PROPERTY_GET,
        DOWN_RAW,
        CONFIG_PUSH,
        LOG_CONFIG_PUSH,
        LAN_PREFIX_UPDATE,
        LAN_BLACKLIST_UPDATE,
        DISABLE,
        ENABLE,
        DELETE,
        TOPO_ADD_NOTIFY,
        TOPO_CHANGE,
        GATEWAY_PERMIT,
        BOOTSTRAP_NOTIFY,
        EVENT_NOTIFY,
        CHECKIN,
        "thing/awss/device/switchap",
    ];

    /// Everything a device publishes as a request, beside events; the platform answers.
    const UP: [&str; 27] = [
        PROPERTY_POST,
        PROPERTY_BATCH_POST,
        PROPERTY_HISTORY_POST,
        DESIRED_GET,
        DESIRED_DELETE,
        UP_RAW,
        INFO_UPDATE,
        INFO_DELETE,
        TSL_GET,
        TEMPLATE_GET,
        CONFIG_GET,
        LOG_CONFIG_GET,
        LOG_POST,
        LAN_PREFIX_GET,
        TOPO_ADD,
        TOPO_DELETE,
        TOPO_GET,
        TOPO_FOUND,
        SUB_REGISTER,
        SUB_UNREGISTER,
        SUB_PRODUCT_REGISTER,
        MATCH,
        FOUND,
        CIPHER_GET,
        RESET,
        FIRMWARE_GET,
        // LinkSDK 4: tags and network state, kept as attributes.
        "thing/deviceinfo/get",
    ];

    /// Which way a rest goes.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Way {
        /// From device to platform.
        Up,
        /// From platform to device.
        Down,
        /// Not known here.
        Unknown,
    }

    /// Returns which way a rest goes: requests by the two lists, answers the other way round.
    pub(crate) fn way(rest: &str) -> Way {
        if rest.starts_with(RRPC_REQUEST) {
            return Way::Down;
        }
        if rest.starts_with(RRPC_RESPONSE) {
            return Way::Up;
        }
        let request = rest.strip_suffix(REPLY);
        let asked = request.unwrap_or(rest);
        let is_event = asked.starts_with(EVENT) && asked.ends_with(POST);
        let way = if UP.contains(&asked) || is_event {
            Way::Up
        } else if DOWN.contains(&asked)
            || asked.strip_prefix(SERVICE).is_some_and(|s| !s.is_empty())
        {
            Way::Down
        } else {
            Way::Unknown
        };
        match (way, request) {
            (Way::Up, Some(_)) => Way::Down,
            (Way::Down, Some(_)) => Way::Up,
            (way, _) => way,
        }
    }
}

/// Prefixes of topics that end with the two names.
const NAMED: [(&str, Verb<'static>); 7] = [
    ("/ota/device/inform/", Verb::OtaInform),
    ("/ota/device/upgrade/", Verb::OtaUpgrade),
    ("/ota/device/request/", Verb::OtaRequest),
    ("/ota/device/progress/", Verb::OtaProgress),
    ("/ext/error/", Verb::Error),
    ("/shadow/update/", Verb::ShadowUpdate),
    ("/shadow/get/", Verb::ShadowGet),
];
/// First levels that are no ProductKey.
const RESERVED: [&str; 5] = ["sys", "ota", "ext", "shadow", "broadcast"];

impl<'a> Topic<'a> {
    /// Parses a topic name or a filter; `None` when it is not this vendor's.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        match text {
            "/ext/register" => return Some(Self::Register),
            "/ext/regnwl" => return Some(Self::RegisterOpen),
            _ => {}
        }
        if let Some(names) = text.strip_prefix("/sys/") {
            let (product, node, rest) = names_and_rest(names)?;
            let rest = rest.strip_prefix("ts/").filter(|rest| !rest.is_empty()).unwrap_or(rest);
            return Some(Self::Device { product, node, verb: Verb::Sys(rest) });
        }
        if let Some(names) = text.strip_prefix("/ext/ntp/") {
            let (product, node, rest) = names_and_rest(names)?;
            let verb = match rest {
                "request" => Verb::NtpRequest,
                "response" => Verb::NtpResponse,
                _ => return None,
            };
            return Some(Self::Device { product, node, verb });
        }
        if let Some(names) = text.strip_prefix("/ext/session/") {
            let (product, node, rest) = names_and_rest(names)?;
            let rest = rest.strip_prefix("combine/").filter(|rest| !rest.is_empty())?;
            return Some(Self::Device { product, node, verb: Verb::Combine(rest) });
        }
        if let Some(call) = text.strip_prefix("/ext/rrpc/") {
            let at = call.find('/').unwrap_or(call.len());
            let (id, rest) = call.split_at(at);
            return (!id.is_empty() && rest != "/").then_some(Self::ExtRrpc { id, rest });
        }
        if let Some(names) = text.strip_prefix("/broadcast/") {
            let (product, rest) = names.split_once('/')?;
            return (is_level(product) && !rest.is_empty())
                .then_some(Self::Broadcast { product, rest });
        }
        let found =
            NAMED.iter().find_map(|(prefix, verb)| Some((text.strip_prefix(prefix)?, verb)));
        if let Some((names, &verb)) = found {
            let (product, node) = names.split_once('/')?;
            let fits = is_level(product) && is_level(node);
            return fits.then_some(Self::Device { product, node, verb });
        }
        let (product, node, rest) = names_and_rest(text.strip_prefix('/')?)?;
        (!RESERVED.contains(&product)).then_some(Self::Device {
            product,
            node,
            verb: Verb::Custom(rest),
        })
    }

    /// Returns ProductKey and DeviceName, of a topic that has both.
    pub(crate) fn names(self) -> Option<(&'a str, &'a str)> {
        match self {
            Self::Device { product, node, .. } => Some((product, node)),
            Self::ExtRrpc { .. } | Self::Broadcast { .. } | Self::Register | Self::RegisterOpen => {
                None
            }
        }
    }
}

impl fmt::Display for Topic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (product, node, verb) = match *self {
            Self::Device { product, node, verb } => (product, node, verb),
            Self::ExtRrpc { id, rest } => return write!(f, "/ext/rrpc/{id}{rest}"),
            Self::Broadcast { product, rest } => return write!(f, "/broadcast/{product}/{rest}"),
            Self::Register => return f.write_str("/ext/register"),
            Self::RegisterOpen => return f.write_str("/ext/regnwl"),
        };
        match verb {
            Verb::Sys(rest) => write!(f, "/sys/{product}/{node}/{rest}"),
            Verb::NtpRequest => write!(f, "/ext/ntp/{product}/{node}/request"),
            Verb::NtpResponse => write!(f, "/ext/ntp/{product}/{node}/response"),
            Verb::Combine(rest) => write!(f, "/ext/session/{product}/{node}/combine/{rest}"),
            Verb::Custom(rest) => write!(f, "/{product}/{node}/{rest}"),
            Verb::OtaInform
            | Verb::OtaUpgrade
            | Verb::OtaRequest
            | Verb::OtaProgress
            | Verb::Error
            | Verb::ShadowUpdate
            | Verb::ShadowGet => {
                let prefix = NAMED.iter().find(|row| row.1 == verb).map_or("", |row| row.0);
                write!(f, "{prefix}{product}/{node}")
            }
        }
    }
}

fn names_and_rest(text: &str) -> Option<(&str, &str, &str)> {
    let (product, rest) = text.split_once('/')?;
    let (node, rest) = rest.split_once('/')?;
    (is_level(product) && is_level(node) && !rest.is_empty()).then_some((product, node, rest))
}

/// True for one topic level without wildcards.
fn is_level(text: &str) -> bool {
    !text.is_empty() && !text.bytes().any(|byte| matches!(byte, b'/' | b'+' | b'#'))
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use proptest::prelude::*;

    use super::*;

    fn of_lamp(verb: Verb<'_>) -> Topic<'_> {
        Topic::Device { product: "a1RsKq9ZxTb", node: "lamp-0001", verb }
    }

    #[test]
    fn topics_parse_and_print_back() {
        for (text, expected) in [
            ("/sys/a1RsKq9ZxTb/lamp-0001/thing/reset", of_lamp(Verb::Sys(sys::RESET))),
            ("/sys/a1RsKq9ZxTb/lamp-0001/#", of_lamp(Verb::Sys("#"))),
            ("/ota/device/inform/a1RsKq9ZxTb/lamp-0001", of_lamp(Verb::OtaInform)),
            ("/ota/device/upgrade/a1RsKq9ZxTb/lamp-0001", of_lamp(Verb::OtaUpgrade)),
            ("/ota/device/request/a1RsKq9ZxTb/lamp-0001", of_lamp(Verb::OtaRequest)),
            ("/ota/device/progress/a1RsKq9ZxTb/lamp-0001", of_lamp(Verb::OtaProgress)),
            ("/ext/ntp/a1RsKq9ZxTb/lamp-0001/request", of_lamp(Verb::NtpRequest)),
            ("/ext/ntp/a1RsKq9ZxTb/lamp-0001/response", of_lamp(Verb::NtpResponse)),
            ("/ext/error/a1RsKq9ZxTb/lamp-0001", of_lamp(Verb::Error)),
            ("/ext/session/a1RsKq9ZxTb/lamp-0001/combine/login", of_lamp(Verb::Combine("login"))),
            ("/shadow/update/a1RsKq9ZxTb/lamp-0001", of_lamp(Verb::ShadowUpdate)),
            ("/shadow/get/a1RsKq9ZxTb/lamp-0001", of_lamp(Verb::ShadowGet)),
            ("/a1RsKq9ZxTb/lamp-0001/user/get", of_lamp(Verb::Custom("user/get"))),
            ("/ext/rrpc/77/user/get", Topic::ExtRrpc { id: "77", rest: "/user/get" }),
            ("/ext/rrpc/77", Topic::ExtRrpc { id: "77", rest: "" }),
            ("/ext/rrpc/+/#", Topic::ExtRrpc { id: "+", rest: "/#" }),
            (
                "/broadcast/a1RsKq9ZxTb/x/y",
                Topic::Broadcast { product: "a1RsKq9ZxTb", rest: "x/y" },
            ),
            ("/ext/register", Topic::Register),
            ("/ext/regnwl", Topic::RegisterOpen),
        ] {
            assert_eq!(Topic::parse(text), Some(expected), "{text}");
            assert_eq!(expected.to_string(), text);
        }
        let ts = Topic::parse("/sys/a1RsKq9ZxTb/lamp-0001/ts/thing/awss/enrollee/match");
        assert_eq!(ts, Some(of_lamp(Verb::Sys(sys::MATCH))), "the older form of the seed");
    }

    #[test]
    fn what_is_not_a_topic_is_refused() {
        for text in [
            "",
            "/",
            "/sys",
            "/sys/a/b",
            "/sys/a/b/",
            "/sys//b/c",
            "/sys/+/b/thing/reset",
            "/sys/a/#",
            "/ota/device/inform/a",
            "/ota/device/inform/a/b/c",
            "/ota/device/other/a/b",
            "/ext/ntp/a/b/other",
            "/ext/session/a/b/other",
            "/ext/rrpc/",
            "/ext/rrpc/1/",
            "/ext/other",
            "/broadcast/a",
            "/broadcast/+/a",
            "/a/b",
            "$thing/up/property/L4WG9V9M2M/TEST2",
        ] {
            assert_eq!(Topic::parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_rest_knows_its_way() {
        use sys::Way::{Down, Unknown, Up};
        for (rest, expected) in [
            ("thing/event/property/post", Up),
            ("thing/event/property/post_reply", Down),
            ("thing/event/+/post_reply", Down),
            ("thing/event/HardwareError/post", Up),
            ("thing/service/property/set", Down),
            ("thing/service/property/set_reply", Up),
            ("thing/service/a/b", Down),
            ("thing/service/a/b_reply", Up),
            ("thing/service/", Unknown),
            ("thing/service/+", Down),
            ("thing/awss/enrollee/match", Up),
            ("thing/awss/enrollee/match_reply", Down),
            ("rrpc/request/1", Down),
            ("rrpc/request/+", Down),
            ("rrpc/response/1", Up),
            ("thing/disable_reply", Up),
            ("thing/disable", Down),
            ("thing/new/thing", Unknown),
            ("thing/new/thing_reply", Unknown),
        ] {
            assert_eq!(sys::way(rest), expected, "{rest}");
        }
    }

    /// The optional `ts/` is not printed again.
    fn same_without_ts(text: &str, topic: Topic<'_>) {
        let printed = topic.to_string();
        assert!(printed == text || text.replacen("/ts/", "/", 1) == printed, "{text}");
    }

    proptest! {
        #[test]
        fn what_parses_prints_back(
            text in "(/sys|/ota/device/inform|/ext/(ntp|session|rrpc|error)|/shadow/get|/broadcast)?[a-z/+#]{0,40}",
        ) {
            if let Some(topic) = Topic::parse(&text) {
                let is_ts = matches!(topic, Topic::Device { verb: Verb::Sys(_), .. })
                    && text.contains("/ts/");
                if is_ts {
                    same_without_ts(&text, topic);
                    return Ok(());
                }
                prop_assert_eq!(topic.to_string(), text);
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,60}") {
            let _ = Topic::parse(&text).map(|topic| (topic.names(), topic.to_string()));
            let _ = sys::way(&text);
        }
    }
}
