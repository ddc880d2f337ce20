//! The running log: what `cmdType` 3 reads, and how a phone makes it fit to be seen.
//!
//! Source: Tencent §5.4; `qcloud_wifi_config_log_handle.c`.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::Tick;

/// Lines a device keeps; the oldest is dropped.
pub const LINES_MAX: usize = 10;
/// Longest line, bytes, its CR LF included.
pub const LINE_BYTES_MAX: usize = 127;

/// The lines a device keeps.
#[derive(Clone, Debug, Default)]
pub struct LogQueue(VecDeque<String>);

impl LogQueue {
    /// Adds `<ms>|<function>(<line>): <message>`; a long line is cut. The caller leaves secrets
    /// out: unlike the SDK, this device never writes password or token.
    pub fn push(&mut self, now: Tick, function: &str, line: u32, message: &str) {
        let mut text = alloc::format!("{}|{function}({line}): {message}", now.as_millis());
        let mut end = text.len().min(LINE_BYTES_MAX - 2);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("\r\n");
        if self.0.len() == LINES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(text);
    }

    /// Returns the datagram; `None` while there is nothing to tell.
    pub fn text(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.iter().map(String::as_str).collect())
    }
}

/// Splits a log datagram into lines with password and token masked.
pub fn lines(datagram: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(datagram);
    text.split("\r\n").filter(|line| !line.trim().is_empty()).map(mask).collect()
}

/// Masks what follows `PSW:`, `PASSWORD:` and `TOKEN:` in one line.
pub fn mask(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((start, end)) = next_secret(rest) {
        out.push_str(rest.get(..start).unwrap_or_default());
        out.push_str("***");
        rest = rest.get(end..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Returns where the next secret starts and ends. A password may hold any character, so it ends
/// only where the SDK's own next member begins, or with the line.
fn next_secret(text: &str) -> Option<(usize, usize)> {
    let upper = text.to_ascii_uppercase();
    let find = |mark: &str| upper.find(mark).map(|at| at + mark.len());
    let start = ["PSW:", "PASSWORD:", "TOKEN:"].into_iter().filter_map(find).min()?;
    let tail = upper.get(start..).unwrap_or_default();
    let stops = ["|TOKEN:", "|PSW:", "|SSID:", " CHANNEL:", " TOKEN:"];
    let len = stops.into_iter().filter_map(|stop| tail.rfind(stop)).min().unwrap_or(tail.len());
    Some((start, start + len))
}
