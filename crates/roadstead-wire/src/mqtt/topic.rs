//! Topic names and topic filters: validity, shared subscriptions, matching.
//!
//! A [`Filter`] is a checked string split into share group and filter; a topic name stays a
//! `&str` after [`check_name`], because names are checked once per message and then only
//! compared.
//!
//! Limits: [`TOPIC_BYTES_MAX`], [`LEVELS_MAX`].
//!
//! Source: MQTT 5.0 sections 4.7 (names, filters, `$` topics) and 4.8.2 (shared subscriptions).

/// Longest topic name or filter in bytes: what its length field can say.
pub const TOPIC_BYTES_MAX: usize = 65_535;
/// Most levels of a topic name or filter; bounds the depth of the tries.
pub const LEVELS_MAX: usize = 128;

/// Why a topic name or filter is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// Names and filters have at least one character.
    #[error("topic is empty")]
    Empty,
    /// Above [`TOPIC_BYTES_MAX`].
    #[error("topic is longer than {TOPIC_BYTES_MAX} bytes")]
    TooLong,
    /// Above [`LEVELS_MAX`].
    #[error("topic has more than {LEVELS_MAX} levels")]
    TooDeep,
    /// U+0000.
    #[error("topic contains U+0000")]
    Nul,
    /// A wildcard in a name, `#` before the end, or a wildcard beside other characters.
    #[error("wildcard is not allowed here")]
    Wildcard,
    /// `$share` without group or filter, or a wildcard in the group.
    #[error("shared subscription is incomplete")]
    Share,
}

impl TopicError {
    /// Returns the name, for traces; the platform maps it to a failure code.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Empty => "topic_empty",
            Self::TooLong => "topic_too_long",
            Self::TooDeep => "topic_too_deep",
            Self::Nul => "topic_nul",
            Self::Wildcard => "topic_wildcard",
            Self::Share => "topic_share",
        }
    }
}

/// Checks a topic name.
///
/// # Errors
///
/// The first rule that is broken.
pub fn check_name(name: &str) -> Result<(), TopicError> {
    check_text(name)?;
    if name.as_bytes().iter().any(|byte| matches!(byte, b'+' | b'#')) {
        return Err(TopicError::Wildcard);
    }
    Ok(())
}

/// A valid topic filter, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter<'a> {
    group: Option<&'a str>,
    filter: &'a str,
}

impl<'a> Filter<'a> {
    /// Parses `filter` or `$share/group/filter`.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        check_text(text)?;
        let (group, filter) = match text.strip_prefix("$share/") {
            None if text == "$share" => return Err(TopicError::Share),
            None => (None, text),
            Some(shared) => {
                let (group, filter) = shared.split_once('/').ok_or(TopicError::Share)?;
                if group.is_empty() || filter.is_empty() || group.contains(['+', '#']) {
                    return Err(TopicError::Share);
                }
                (Some(group), filter)
            }
        };
        let mut levels = filter.split('/').peekable();
        while let Some(level) = levels.next() {
            let ok = match level {
                "+" => true,
                "#" => levels.peek().is_none(),
                _ => !level.contains(['+', '#']),
            };
            if !ok {
                return Err(TopicError::Wildcard);
            }
        }
        Ok(Self { group, filter })
    }

    /// Returns the share group of a shared subscription.
    pub fn group(&self) -> Option<&'a str> {
        self.group
    }

    /// Returns the filter without its `$share/group/`.
    pub fn as_str(&self) -> &'a str {
        self.filter
    }

    /// Returns true when the filter has a `+` or `#`.
    pub fn has_wildcard(&self) -> bool {
        self.filter.contains(['+', '#'])
    }

    /// Returns true when `name` matches. A filter that starts with a wildcard does not match a
    /// name that starts with `$` [MQTT-4.7.2-1].
    pub fn matches(&self, name: &str) -> bool {
        if name.starts_with('$') && self.filter.starts_with(['+', '#']) {
            return false;
        }
        let mut levels = name.split('/');
        for wanted in self.filter.split('/') {
            match (wanted, levels.next()) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (wanted, Some(level)) if wanted == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }
}

/// The rules that names and filters share.
fn check_text(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > TOPIC_BYTES_MAX {
        return Err(TopicError::TooLong);
    }
    let mut levels = 1;
    for byte in text.bytes() {
        match byte {
            0 => return Err(TopicError::Nul),
            b'/' => levels += 1,
            _ => {}
        }
    }
    if levels > LEVELS_MAX { Err(TopicError::TooDeep) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    #[test]
    fn names_are_checked() {
        let long = "a".repeat(TOPIC_BYTES_MAX + 1);
        let deep = "/".repeat(LEVELS_MAX);
        let cases: [(&str, &str); 10] = [
            ("a/b", "ok"),
            ("/", "ok"),
            ("$SYS/x", "ok"),
            ("", "topic_empty"),
            (&long, "topic_too_long"),
            (&deep, "topic_too_deep"),
            ("a\0b", "topic_nul"),
            ("a/+", "topic_wildcard"),
            ("a/#", "topic_wildcard"),
            ("a+b", "topic_wildcard"),
        ];
        for (name, expected) in cases {
            let got = check_name(name).map_or_else(|error| error.name(), |()| "ok");
            assert_eq!(got, expected, "{}", name.get(..20).unwrap_or(name));
        }
        assert!(check_name(&deep[1..]).is_ok(), "the limit itself");
    }

    #[test]
    fn filters_are_checked() {
        let cases = [
            ("#", "ok"),
            ("+", "ok"),
            ("+/tennis/#", "ok"),
            ("/+", "ok"),
            ("a//b", "ok"),
            ("a/#/b", "topic_wildcard"),
            ("a#", "topic_wildcard"),
            ("a/b+", "topic_wildcard"),
            ("++", "topic_wildcard"),
            ("", "topic_empty"),
            ("$share/g/a/+", "ok"),
            ("$share/g//", "ok"),
            ("$share/g/", "topic_share"),
            ("$share//a", "topic_share"),
            ("$share/g", "topic_share"),
            ("$share", "topic_share"),
            ("$share/g+/a", "topic_share"),
            ("$shared/g", "ok"),
        ];
        for (filter, expected) in cases {
            let got = Filter::parse(filter).map_or_else(|error| error.name(), |_| "ok");
            assert_eq!(got, expected, "{filter}");
        }
    }

    /// The examples of MQTT 5.0 sections 4.7.1 and 4.7.2.
    #[test]
    fn filters_match_as_the_specification_says() {
        let cases = [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("#", "sport", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/x", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/x", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("a/b", "a/b/c", false),
            ("a/b/c", "a/b", false),
            ("A", "a", false),
            ("$share/g/a/+", "a/b", true),
        ];
        for (filter, name, expected) in cases {
            assert_eq!(Filter::parse(filter).unwrap().matches(name), expected, "{filter} {name}");
        }
    }

    #[test]
    fn a_share_is_split() {
        let filter = Filter::parse("$share/g/a/#").unwrap();
        assert_eq!((filter.group(), filter.as_str()), (Some("g"), "a/#"));
        assert!(filter.has_wildcard());
        let text = String::from("a");
        assert_eq!(Filter::parse(&text).unwrap().group(), None);
    }
}
