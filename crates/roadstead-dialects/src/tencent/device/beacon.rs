//! Progress broadcasts of protocol 3.0: `cmdType` 7, three copies 1 s apart, a short pause, again.
//!
//! Source: Tencent §5.6; `qcloud_wifi_config_comm_service.c` of SDK 3.2.1.

use core::time::Duration;

use roadstead_core::Tick;

use super::super::comm::{Message, PROGRESS_PORT, Progress, Protocol};
use super::context::Context;
use crate::device::{Output, UdpAction};

/// Copies of one state in a row.
const COPIES: u8 = 3;
/// Pause between two rows.
const ROW_PAUSE: Duration = Duration::from_millis(500);

/// The broadcaster; silent until its first state.
pub(super) struct Beacon {
    state: Progress,
    sent: u8,
    due: Tick,
    is_last: bool,
}

impl Beacon {
    /// Starts a row of a new state at once; a state that ends the attempt is sent for one row.
    /// Devices of protocol 2.0 stay silent.
    pub(super) fn set(slot: &mut Option<Self>, state: Progress, cx: &mut Context<'_>) {
        let is_known = slot.as_ref().is_some_and(|beacon| beacon.state == state);
        if is_known || cx.policy().protocol == Protocol::V2 {
            return;
        }
        let is_last = match state {
            Progress::ConnectFailed | Progress::ReportFailed | Progress::Reported => true,
            Progress::Joining | Progress::Connecting | Progress::Reporting => false,
        };
        let mut beacon = Self { state, sent: 0, due: cx.now, is_last };
        beacon.send(cx);
        *slot = Some(beacon);
    }

    /// Wakes up; empties the slot after the last copy of a last state.
    pub(super) fn timeout(slot: &mut Option<Self>, cx: &mut Context<'_>) {
        let Some(beacon) = slot else { return };
        if cx.now < beacon.due {
            return;
        }
        beacon.send(cx);
        if beacon.is_last && beacon.sent == 0 {
            *slot = None;
        }
    }

    /// Returns when to wake up.
    pub(super) fn deadline(&self) -> (Tick, &'static str) {
        (self.due, "progress broadcast")
    }

    fn send(&mut self, cx: &mut Context<'_>) {
        let message = Message::Progress {
            product: (&*cx.memory.config.product).into(),
            device: (&*cx.memory.config.device).into(),
            state: self.state,
        };
        let bytes = message.emit(cx.policy().protocol).into();
        cx.out.push(Output::Udp(UdpAction::Broadcast { port: PROGRESS_PORT, bytes }));
        self.sent += 1;
        let gap = if self.sent == COPIES { ROW_PAUSE } else { cx.policy().reply_gap };
        self.sent %= COPIES;
        self.due = cx.now + gap;
    }
}
