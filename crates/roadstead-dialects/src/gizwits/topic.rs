//! The topics of a module, both ways.
//!
//! Source: GizWits §3.4, §3.5.

/// Longest client id in a topic, characters (GizWits §3.5).
const CLIENT_ID_MAX: usize = 23;

/// What a module publishes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Up<'a> {
    /// `dev2app/{did}`, and with the one who asked.
    App {
        /// Of whom.
        did: &'a str,
        /// For whom; `None` for all.
        client: Option<&'a str>,
    },
    /// `cli2ser_req`: to the platform.
    Server,
    /// `dev2ser/{did}` or `ser2cli_req/{did}`: newer devices, payload not known.
    Other {
        /// Of whom.
        did: &'a str,
    },
}

impl<'a> Up<'a> {
    /// Returns `None` for a topic that is not a module's to publish.
    pub(super) fn parse(topic: &'a str) -> Option<Self> {
        if topic == "cli2ser_req" {
            return Some(Self::Server);
        }
        let (kind, rest) = topic.split_once('/')?;
        if kind == "dev2app" {
            let (did, client) = match rest.split_once('/') {
                Some((did, client)) => (did, Some(client)),
                None => (rest, None),
            };
            let is_client =
                |text: &str| (1..=CLIENT_ID_MAX).contains(&text.len()) && !text.contains('/');
            return client.is_none_or(is_client).then_some(Self::App { did, client });
        }
        let is_other = ["dev2ser", "ser2cli_req"].contains(&kind) && !rest.contains('/');
        is_other.then_some(Self::Other { did: rest })
    }
}

/// Returns whether a module may subscribe `filter`.
pub(super) fn is_granted(filter: &str, product: &str, did: &str) -> bool {
    match filter.split_once('/') {
        Some(("ser2cli_noti", rest)) => rest == product,
        Some(("ser2cli_res", rest)) => rest == did,
        Some(("app2dev" | "app2module", rest)) => {
            rest.strip_prefix(did).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        Some(_) | None => false,
    }
}

/// Returns whether controls reach a device that subscribed `filter`.
pub(super) fn hears_controls(filter: &str, did: &str) -> bool {
    let rest = filter.strip_prefix("app2dev/").and_then(|rest| rest.strip_prefix(did));
    rest.is_some_and(|rest| ["/#", "/+"].contains(&rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DID: &str = "GzwDemo0123456789ABCDE";

    #[test]
    fn topics_of_the_recordings_and_others() {
        let app = |client| Some(Up::App { did: DID, client });
        for (topic, expected) in [
            ("dev2app/GzwDemo0123456789ABCDE", app(None)),
            ("dev2app/GzwDemo0123456789ABCDE/appclient0001", app(Some("appclient0001"))),
            ("cli2ser_req", Some(Up::Server)),
            ("dev2ser/GzwDemo0123456789ABCDE", Some(Up::Other { did: DID })),
            ("ser2cli_req/GzwDemo0123456789ABCDE", Some(Up::Other { did: DID })),
            ("dev2app/GzwDemo0123456789ABCDE/", None),
            ("dev2app/GzwDemo0123456789ABCDE/a/b", None),
            ("dev2app/GzwDemo0123456789ABCDE/012345678901234567890123", None),
            ("app2dev/GzwDemo0123456789ABCDE/x", None),
            ("ser2cli_res/GzwDemo0123456789ABCDE", None),
            ("dev2app", None),
            ("", None),
        ] {
            assert_eq!(Up::parse(topic), expected, "{topic}");
        }
    }

    #[test]
    fn nobody_hears_another_ones_controls() {
        let (key, other) = ("6f3074fe43894547a4f1314bd7e3ae0b", "GzwDemo0123456789ABCDF");
        for (filter, granted, hears) in [
            ("ser2cli_noti/6f3074fe43894547a4f1314bd7e3ae0b", true, false),
            ("ser2cli_res/GzwDemo0123456789ABCDE", true, false),
            ("app2dev/GzwDemo0123456789ABCDE/#", true, true),
            ("app2dev/GzwDemo0123456789ABCDE/+", true, true),
            ("app2module/GzwDemo0123456789ABCDE/#", true, false),
            ("app2dev/#", false, false),
            ("app2dev/+/#", false, false),
            ("app2dev/GzwDemo0123456789ABCDEF/#", false, false),
            ("ser2cli_noti/+", false, false),
            ("#", false, false),
        ] {
            assert_eq!(is_granted(filter, key, DID), granted, "{filter}");
            assert_eq!(hears_controls(filter, DID), hears, "{filter}");
            assert!(!is_granted(filter, key, other) || filter.starts_with("ser2cli_noti"));
        }
    }
}
