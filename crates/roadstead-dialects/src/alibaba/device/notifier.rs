//! The thirty announcements: of a network that was joined, of a token that was confirmed.
//!
//! The n-th pause is n steps long. An acknowledgement with content (2.05) ends them.
//!
//! Source: Alibaba §5.2, §7; transcripts l16_ok, v301_ackbind, l16_ackbind.

use roadstead_core::Tick;
use roadstead_wire::coap::Key;

use super::policy::Policy;

/// One series.
#[derive(Default)]
pub(super) struct Notifier {
    series: Option<(u8, Tick)>,
    /// The last announcement: which query it is to the LAN.
    last: Option<Key>,
}

impl Notifier {
    /// Begins a series; one under way begins anew.
    pub(super) fn begin(&mut self, policy: &Policy, now: Tick) {
        self.series = Some((0, now + policy.notify_delay));
    }

    /// Ends the series.
    pub(super) fn end(&mut self) {
        self.series = None;
        self.last = None;
    }

    /// Whether an announcement is due.
    pub(super) fn is_due(&self, now: Tick) -> bool {
        self.series.is_some_and(|(_, due)| now >= due)
    }

    /// Notes that one was sent, or could not be.
    pub(super) fn sent(&mut self, key: Option<Key>, policy: &Policy, now: Tick) {
        let Some((sent, _)) = self.series else { return };
        self.last = key.or(self.last);
        let sent = sent + 1;
        let due = now + policy.notify_step * u32::from(sent);
        self.series = (sent < policy.notifies).then_some((sent, due));
    }

    /// Whether a query is the last announcement of this series.
    pub(super) fn is_own(&self, key: Key) -> bool {
        self.last == Some(key)
    }

    /// Returns when to wake up.
    pub(super) fn deadline(&self) -> Option<(Tick, &'static str)> {
        self.series.map(|(_, due)| (due, "announcement"))
    }
}
