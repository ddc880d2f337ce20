//! Reset by the MCU: everything that is the owner's goes, the firmware id stays.
//!
//! ```text
//! ask --one record: DID kept as "former"--> DELETE --answer or 2 s--> restart --> SoftAP
//! ```
//! The record is written before the cloud is asked, so that a power cut at any moment leaves a
//! module that is reset and still owes the deregistration.
//!
//! Source: seed §7.7, §8.3; GizWits §7.8; transcript reset_pk.

use roadstead_core::Tick;

use super::Module;
use super::io::{Cx, Level, RestartReason};

/// A reset under way.
pub(super) struct Reset {
    due: Tick,
}

impl Reset {
    pub(super) fn deadline(&self) -> Tick {
        self.due
    }
}

impl Module {
    pub(super) fn begin_reset(&mut self, cx: &mut Cx<'_>) {
        if self.reset.is_some() {
            return;
        }
        self.log(Level::Info, "reset: network, device id and passcode are cleared", cx);
        let kept = self.flash.clone();
        let did = core::mem::take(&mut self.flash.did);
        let passcode = self.flash.passcode.take();
        if let (false, Some(passcode)) = (did.is_empty(), passcode) {
            self.flash.former = Some((did, passcode));
        }
        self.flash.network = None;
        self.flash.is_fresh = false;
        if !self.save(cx) {
            self.flash = kept;
            return;
        }
        self.reset = Some(Reset { due: cx.now + self.policy.deregister_wait });
        self.go_offline("reset", cx);
        if !self.delete_former(cx) {
            self.restart_now(RestartReason::Reset, cx);
        }
    }

    /// The cloud has answered; true when a reset waited for it.
    pub(super) fn reset_deleted(&mut self, cx: &mut Cx<'_>) -> bool {
        if self.reset.is_none() {
            return false;
        }
        self.restart_now(RestartReason::Reset, cx);
        true
    }

    pub(super) fn reset_timeout(&mut self, cx: &mut Cx<'_>) {
        if self.reset.as_ref().is_some_and(|reset| cx.now >= reset.due) {
            self.log(Level::Warning, "the cloud did not confirm: asked again after the start", cx);
            self.restart_now(RestartReason::Reset, cx);
        }
    }
}
