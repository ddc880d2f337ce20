//! Every topic of the vendor as one type; parses and prints. Both halves use it.
//!
//! Not here: who may use a topic; the session compares the names in it with itself.
//!
//! Source: Tencent §3.6, §7 to §12; `transcripts/tencent`.

use core::fmt;

/// A topic name, or a filter: it always ends with a product and a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Topic<'a> {
    /// What it is for.
    pub(crate) verb: Verb<'a>,
    /// ProductId it speaks for.
    pub(crate) product: &'a str,
    /// DeviceName it speaks for.
    pub(crate) node: &'a str,
}

/// What a topic is for. `Up` is published by devices, `Down` by the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb<'a> {
    /// `$thing/up/…`
    ThingUp(Thing),
    /// `$thing/down/…`
    ThingDown(Thing),
    /// `$sys/operation`
    SysUp,
    /// `$sys/operation/result`
    SysDown,
    /// `$log/operation`
    LogUp,
    /// `$log/operation/result`
    LogDown,
    /// `$ota/report`
    OtaUp,
    /// `$ota/update`
    OtaDown,
    /// `$gateway/operation`
    GatewayUp,
    /// `$gateway/operation/result`
    GatewayDown,
    /// `$config/operation`
    ConfigUp,
    /// `$config/operation/result`
    ConfigDown,
    /// `$resource/up/service`
    ResourceUp,
    /// `$resource/down/service`
    ResourceDown,
    /// `$shadow/operation`
    ShadowUp,
    /// `$shadow/operation/result`
    ShadowDown,
    /// `$broadcast/rxd`
    BroadcastDown,
    /// `$rrpc/txd/P/D/<process>`
    RrpcUp(&'a str),
    /// `$rrpc/rxd/P/D/<process>`; `+` in a filter
    RrpcDown(&'a str),
    /// `P/D/<rest>`: a topic of the product's own
    Custom(&'a str),
}

/// The five channels of the thing model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    /// Properties.
    Property,
    /// Events.
    Event,
    /// Actions.
    Action,
    /// Binding and everything later SDKs added.
    Service,
    /// Opaque bytes.
    Raw,
}

/// Every fixed prefix. The longer ones of two that share a start come first.
const PREFIXES: [(&str, Verb<'static>); 25] = [
    ("$thing/up/property/", Verb::ThingUp(Thing::Property)),
    ("$thing/up/event/", Verb::ThingUp(Thing::Event)),
    ("$thing/up/action/", Verb::ThingUp(Thing::Action)),
    ("$thing/up/service/", Verb::ThingUp(Thing::Service)),
    ("$thing/up/raw/", Verb::ThingUp(Thing::Raw)),
    ("$thing/down/property/", Verb::ThingDown(Thing::Property)),
    ("$thing/down/event/", Verb::ThingDown(Thing::Event)),
    ("$thing/down/action/", Verb::ThingDown(Thing::Action)),
    ("$thing/down/service/", Verb::ThingDown(Thing::Service)),
    ("$thing/down/raw/", Verb::ThingDown(Thing::Raw)),
    ("$sys/operation/result/", Verb::SysDown),
    ("$sys/operation/", Verb::SysUp),
    ("$log/operation/result/", Verb::LogDown),
    ("$log/operation/", Verb::LogUp),
    ("$ota/report/", Verb::OtaUp),
    ("$ota/update/", Verb::OtaDown),
    ("$gateway/operation/result/", Verb::GatewayDown),
    ("$gateway/operation/", Verb::GatewayUp),
    ("$config/operation/result/", Verb::ConfigDown),
    ("$config/operation/", Verb::ConfigUp),
    ("$resource/up/service/", Verb::ResourceUp),
    ("$resource/down/service/", Verb::ResourceDown),
    ("$shadow/operation/result/", Verb::ShadowDown),
    ("$shadow/operation/", Verb::ShadowUp),
    ("$broadcast/rxd/", Verb::BroadcastDown),
];
/// Prefixes of the two topics that end with a process id.
const RRPC_UP: &str = "$rrpc/txd/";
const RRPC_DOWN: &str = "$rrpc/rxd/";

impl<'a> Topic<'a> {
    /// Parses a topic name or filter; `None` when it is not this vendor's.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        if !text.starts_with('$') {
            let (product, node, rest) = names_and_rest(text)?;
            return Some(Self { verb: Verb::Custom(rest), product, node });
        }
        if let Some(names) = text.strip_prefix(RRPC_UP) {
            let (product, node, process) = names_and_rest(names)?;
            return is_level(process).then_some(Self {
                verb: Verb::RrpcUp(process),
                product,
                node,
            });
        }
        if let Some(names) = text.strip_prefix(RRPC_DOWN) {
            let (product, node, process) = names_and_rest(names)?;
            let fits = is_level(process) || process == "+";
            return fits.then_some(Self { verb: Verb::RrpcDown(process), product, node });
        }
        let found = |&(prefix, verb): &(&str, Verb<'static>)| {
            text.strip_prefix(prefix).map(|names| (verb, names))
        };
        let (verb, names) = PREFIXES.iter().find_map(found)?;
        let (product, node) = names.split_once('/')?;
        (is_level(product) && is_level(node)).then_some(Self { verb, product, node })
    }

    /// Returns the same names with another verb.
    pub(crate) const fn with(self, verb: Verb<'a>) -> Self {
        Self { verb, product: self.product, node: self.node }
    }
}

impl fmt::Display for Topic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, product, node } = *self;
        let (head, tail) = if let Verb::RrpcUp(process) = verb {
            (RRPC_UP, Some(process))
        } else if let Verb::RrpcDown(process) = verb {
            (RRPC_DOWN, Some(process))
        } else if let Verb::Custom(rest) = verb {
            ("", Some(rest))
        } else {
            (PREFIXES.iter().find(|row| row.1 == verb).map_or("", |row| row.0), None)
        };
        write!(f, "{head}{product}/{node}")?;
        tail.map_or(Ok(()), |tail| write!(f, "/{tail}"))
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

    #[test]
    fn every_prefix_parses_and_prints_back() {
        for (prefix, verb) in PREFIXES {
            let text = std::format!("{prefix}L4WG9V9M2M/TEST2");
            let topic = Topic::parse(&text).expect(prefix);
            assert_eq!((topic.verb, topic.product, topic.node), (verb, "L4WG9V9M2M", "TEST2"));
            assert_eq!(topic.to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_topic_is_refused() {
        for text in [
            "",
            "$thing/up/property/L4WG9V9M2M",
            "$thing/up/property/L4WG9V9M2M/",
            "$thing/up/property//TEST2",
            "$thing/up/property/L4WG9V9M2M/TEST2/more",
            "$thing/up/+/L4WG9V9M2M/TEST2",
            "$thing/up/property/L4WG9V9M2M/#",
            "$thing/sideways/property/L4WG9V9M2M/TEST2",
            "$rrpc/txd/L4WG9V9M2M/TEST2",
            "$rrpc/txd/L4WG9V9M2M/TEST2/+",
            "$rrpc/rxd/L4WG9V9M2M/TEST2/#",
            "$oc/devices/x/sys/properties/report",
            "L4WG9V9M2M/TEST2",
            "+/TEST2/data",
        ] {
            assert_eq!(Topic::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn topics_round_trip(
            row in 0usize..28,
            product in "[A-Z0-9]{1,10}",
            node in "[A-Za-z0-9_.:@-]{1,48}",
            rest in "[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,2}",
        ) {
            let process = rest.split('/').next().unwrap_or("x");
            let verb = match row {
                25 => Verb::RrpcUp(process),
                26 => Verb::RrpcDown(process),
                27 => Verb::Custom(&rest),
                _ => PREFIXES[row].1,
            };
            let topic = Topic { verb, product: &product, node: &node };
            let text = topic.to_string();
            prop_assert_eq!(Topic::parse(&text), Some(topic));
        }

        #[test]
        fn what_parses_prints_back(text in "(\\$(thing|rrpc|ota|sys)/)?[a-z$/+#]{0,40}") {
            if let Some(topic) = Topic::parse(&text) {
                prop_assert_eq!(topic.to_string(), text);
            }
        }
    }
}
