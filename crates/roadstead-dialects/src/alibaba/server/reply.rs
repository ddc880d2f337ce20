//! Answers: their kinds, and the text that says where one goes.

use alloc::boxed::Box;
use alloc::format;

/// Before the name of a topic of `/ext/session` in a mark.
pub(super) const COMBINE: &str = "combine/";
/// Between the parts of a mark. An id may hold it: it is the last part.
const SEPARATOR: char = '\u{1f}';

/// What an answer carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Nothing but its outcome.
    Plain,
    /// What did not fit the model.
    Report,
    /// Success also for what was so already.
    Reset,
    /// Desired values.
    Desired,
    /// The shadow, on its own topic; the mark holds the method.
    Shadow,
    /// The time, on its own topic; the mark holds the device's.
    Time,
    /// Remote configuration.
    Config,
    /// How much to log.
    LogLevel,
    /// Keys of local control.
    LocalKey,
    /// The thing model.
    Model,
    /// No firmware version, in the newer form.
    Firmware,
    /// No firmware version, on the topic of the request.
    FirmwareOld,
    /// Names of sub-devices, a list.
    SubList,
    /// Names of one sub-device.
    SubOne,
    /// Secrets of sub-devices, a list.
    SubSecrets,
    /// Secrets of sub-devices, those that got one and those that did not.
    SubSplit,
    /// New devices that are kept, a list.
    Enrollees,
    /// The key of the network's password.
    PasswordKey,
}

impl Kind {
    const ALL: [Self; 18] = [
        Self::Plain,
        Self::Report,
        Self::Reset,
        Self::Desired,
        Self::Shadow,
        Self::Time,
        Self::Config,
        Self::LogLevel,
        Self::LocalKey,
        Self::Model,
        Self::Firmware,
        Self::FirmwareOld,
        Self::SubList,
        Self::SubOne,
        Self::SubSecrets,
        Self::SubSplit,
        Self::Enrollees,
        Self::PasswordKey,
    ];

    /// Returns the kind of a number.
    pub(super) fn parse(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// Where an answer goes, and what it echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark<'a> {
    /// The request's topic behind the names; behind [`COMBINE`] for those of `/ext/session`.
    pub(super) rest: &'a str,
    /// The request's method; empty when it had none.
    pub(super) method: &'a str,
    /// The request's id, untouched (traps 2 and 3).
    pub(super) id: &'a str,
}

impl<'a> Mark<'a> {
    /// Writes the mark.
    pub(super) fn write(&self) -> Box<str> {
        let Self { rest, method, id } = self;
        // A separator in a topic or method is nobody's.
        let method = if method.contains(SEPARATOR) { "" } else { method };
        format!("{rest}{SEPARATOR}{method}{SEPARATOR}{id}").into()
    }

    /// Reads a mark.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (rest, tail) = text.split_once(SEPARATOR)?;
        let (method, id) = tail.split_once(SEPARATOR)?;
        Some(Self { rest, method, id })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_kinds() {
        for (n, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, n);
            assert_eq!(Kind::parse(kind as u8), Some(kind));
        }
        assert_eq!(Kind::parse(18), None);
    }

    proptest! {
        #[test]
        fn marks_read_back(rest in "[a-z/]{1,30}", method in "[a-z.]{0,30}", id in "\\PC{1,40}") {
            let mark = Mark { rest: &rest, method: &method, id: &id };
            let text = mark.write();
            prop_assert_eq!(Mark::parse(&text), Some(mark));
        }
    }
}
