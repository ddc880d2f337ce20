//! The kinds of answers, as numbers in a [`crate::cloud::Reply`].

/// What an answer looks like on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// `report_reply`
    Report,
    /// `report_info_reply`
    ReportInfo,
    /// `get_status_reply`
    GetStatus,
    /// `clear_control_reply`
    ClearControl,
    /// `event_reply`
    Event,
    /// `event_reply` that says that some were left out
    EventPartly,
    /// `app_bind_token_reply`
    Bind,
    /// `unbind_device_reply`
    Unbind,
    /// time of `$sys`
    Time,
    /// `get_log_level`
    LogLevel,
    /// remote configuration
    Config,
    /// `report_version_rsp`
    Version,
    /// gateway: `online`
    SubOnline,
    /// gateway: `offline`
    SubOffline,
    /// gateway: `bind`
    SubBind,
    /// gateway: `unbind`
    SubUnbind,
    /// gateway: `describe_sub_devices`
    SubList,
}

impl Kind {
    const ALL: [Self; 17] = [
        Self::Report,
        Self::ReportInfo,
        Self::GetStatus,
        Self::ClearControl,
        Self::Event,
        Self::EventPartly,
        Self::Bind,
        Self::Unbind,
        Self::Time,
        Self::LogLevel,
        Self::Config,
        Self::Version,
        Self::SubOnline,
        Self::SubOffline,
        Self::SubBind,
        Self::SubUnbind,
        Self::SubList,
    ];

    /// Returns the kind of a number.
    pub(super) fn parse(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kinds() {
        for (n, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, n);
            assert_eq!(Kind::parse(kind as u8), Some(kind));
        }
        assert_eq!(Kind::parse(17), None);
    }
}
