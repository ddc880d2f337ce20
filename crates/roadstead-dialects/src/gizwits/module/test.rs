//! The production test.
//!
//! ```text
//! Looking --a test router is heard--> Testing --"test finished"--> own access point
//!    '-- 3 min without one --> off, as if nothing had been
//! ```
//! The cloud is not used while testing; binding is open.
//!
//! Source: seed §5; GizWits §7.5; transcript prodtest.

use alloc::boxed::Box;

use roadstead_core::Tick;

use super::Module;
use super::io::{Cx, Level, Network, Output};
use super::mode::Bindable;

/// Part of the names of test routers.
const SSID_PART: &[u8] = b"GIZWITS_TEST_";
/// Their password.
const PASSWORD: &[u8] = b"GIZWITS_TEST_PASS";

/// A running test.
pub(super) struct Test {
    router: Option<Box<[u8]>>,
    until: Tick,
    scan: Tick,
}

impl Test {
    /// Returns the router of the test, once one was heard.
    pub(super) fn network(&self) -> Option<(&[u8], &[u8])> {
        self.router.as_ref().map(|ssid| (&**ssid, PASSWORD))
    }

    pub(super) fn deadline(&self) -> Tick {
        match self.router {
            None => self.until.min(self.scan),
            Some(_) => Tick::from_millis(u64::MAX),
        }
    }
}

impl Module {
    pub(super) fn begin_test(&mut self, cx: &mut Cx<'_>) {
        if self.test.is_some() {
            return;
        }
        self.log(Level::Info, "production test: looking for its router", cx);
        let until = cx.now + self.policy.test_for;
        self.test = Some(Test { router: None, until, scan: cx.now });
    }

    pub(super) fn test_timeout(&mut self, cx: &mut Cx<'_>) {
        let Some(test) = self.test.as_mut().filter(|test| test.router.is_none()) else { return };
        if cx.now >= test.until {
            self.test = None;
            self.log(Level::Info, "production test: no router, back to normal", cx);
        } else if cx.now >= test.scan {
            test.scan = cx.now + self.policy.test_every;
            cx.put(Output::Scan);
        }
    }

    /// Looks for a test router in a scan; true when one was taken.
    pub(super) fn test_scanned(&mut self, networks: &[Network], cx: &mut Cx<'_>) -> bool {
        let Some(test) = self.test.as_mut().filter(|test| test.router.is_none()) else {
            return false;
        };
        let fits = |network: &&Network| {
            network.ssid.windows(SSID_PART.len()).any(|part| part == SSID_PART)
        };
        let count = networks.iter().filter(fits).count();
        let chosen = self.random.below(count as u64) as usize;
        let Some(router) = networks.iter().filter(fits).nth(chosen) else { return false };
        test.router = Some(router.ssid.as_slice().into());
        self.log(Level::Info, "production test: joining its router", cx);
        self.bindable = Bindable::Always;
        self.join(cx);
        true
    }

    /// The test tool has finished (seed §5_6).
    pub(super) fn end_test(&mut self, cx: &mut Cx<'_>) {
        let was_testing = self.test.take().is_some();
        if !was_testing {
            return;
        }
        self.log(Level::Info, "production test finished", cx);
        self.bindable = Bindable::Closed;
        match self.policy.test_opens_softap {
            true => self.open_soft_ap(false, cx),
            false => self.go_nowhere("production test finished: serial line only", cx),
        }
    }
}
