//! Hides who and where in an answer: names of products, devices and networks, addresses.
//!
//! Secrets are masked always (`mask.rs`); this is for reports that leave the house. Each value gets
//! a label of its own, so that one device stays one device. Source: diagnosis model, section 7.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::report::Report;

/// Keys whose values identify: compared at the end of the key, without case, `_` and `-`.
const KEYS: &[(&str, &str)] = &[
    ("bssid", "mac"),
    ("ssid", "network"),
    ("mac", "mac"),
    ("productkey", "name"),
    ("productid", "name"),
    ("productname", "name"),
    ("devicename", "name"),
    ("deviceid", "name"),
    ("clientid", "name"),
    ("nodeid", "name"),
    ("username", "name"),
    ("imei", "name"),
    ("imsi", "name"),
    ("iccid", "name"),
    ("did", "name"),
    ("client", "name"),
    ("user", "name"),
    ("connect with id", "name"),
];

/// Beginnings of topics, and how many of the next segments identify.
const TOPICS: &[(&str, usize)] = &[
    ("$thing/up/property/", 2),
    ("$thing/down/property/", 2),
    ("$thing/up/event/", 2),
    ("$thing/down/event/", 2),
    ("$thing/up/action/", 2),
    ("$thing/down/action/", 2),
    ("$thing/up/service/", 2),
    ("$thing/down/service/", 2),
    ("$thing/up/raw/", 2),
    ("$thing/down/raw/", 2),
    ("$ota/report/", 2),
    ("$ota/update/", 2),
    ("$gateway/operation/result/", 2),
    ("$gateway/operation/", 2),
    ("$log/operation/", 2),
    ("/sys/", 2),
    ("/ext/session/", 2),
    ("/ota/device/inform/", 2),
    ("/ota/device/upgrade/", 2),
    ("$oc/devices/", 1),
    ("app2dev/", 1),
    ("dev2app/", 1),
    ("ser2cli_noti/", 1),
];

/// Shortest value that is hidden, bytes; shorter ones would tear words apart.
const VALUE_BYTES_MIN: usize = 4;
/// Labels of one report.
const LABELS_MAX: usize = 4096;

/// Values and their labels.
#[derive(Default)]
struct Labels {
    known: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, usize>,
}

impl Labels {
    fn add(&mut self, value: &str, kind: &'static str) {
        let value = value.trim();
        let shown = value.contains("***") || value.starts_with('<');
        let number = value.len() < 12 && value.bytes().all(|byte| byte.is_ascii_digit());
        let fits = value.len() >= VALUE_BYTES_MIN && self.known.len() < LABELS_MAX;
        if !fits || shown || number || self.known.contains_key(value) {
            return;
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        self.known.insert(value.to_owned(), format!("<{kind}-{count}>"));
    }

    fn learn(&mut self, text: &str) {
        for word in text.split(|c: char| !(c.is_ascii_hexdigit() || ":.-".contains(c))) {
            let word = word.trim_matches([':', '.', '-']);
            let address = word.split(':').next().unwrap_or_default();
            if address.parse::<Ipv4Addr>().is_ok() {
                self.add(address, "address");
            } else if is_mac(word) {
                self.add(word, "mac");
            } else if word.parse::<Ipv6Addr>().is_ok() {
                self.add(word, "address");
            }
        }
        for (begin, count) in TOPICS {
            for (at, _) in text.match_indices(begin) {
                let rest = &text[at + begin.len()..];
                let end = rest.find(|c: char| c.is_whitespace() || "\"'|,)]".contains(c));
                let rest = &rest[..end.unwrap_or(rest.len())];
                rest.split('/').take(*count).for_each(|name| self.add(name, "name"));
            }
        }
        for (at, _) in text.match_indices([':', '=', ' ']) {
            self.keyed(text, at);
        }
    }

    /// Learns the value behind a telling key that ends before the separator at `at`.
    fn keyed(&mut self, text: &str, at: usize) {
        let before = text[..at].trim_end_matches([' ', '"', '\\', '\'']);
        let skip = |c: char| !matches!(c, '_' | '-');
        let tail: String = before.chars().rev().take(24).filter(|c| skip(*c)).collect();
        let tail = tail.to_ascii_lowercase();
        let ends = |key: &str| {
            key.chars().rev().eq(tail.chars().take(key.len()))
                && !tail
                    .chars()
                    .nth(key.len())
                    .is_some_and(|c| c.is_ascii_alphabetic() && key.len() < 5)
        };
        let blank = text[at..].starts_with(' ');
        let worded = |key: &str| matches!(key, "client" | "user");
        let found = KEYS.iter().find(|(key, _)| ends(key) && worded(key) == blank);
        let Some((_, kind)) = found else { return };
        let value = text[at + 1..].trim_start_matches([' ', '"', '\\', '\'']);
        let stop = |c: char| c.is_whitespace() || ",;&|{}\"'\\()<>[]".contains(c);
        self.add(&value[..value.find(stop).unwrap_or(value.len())], kind);
    }

    fn apply(&self, text: &str) -> String {
        let mut values: Vec<(&String, &String)> = self.known.iter().collect();
        values.sort_by_key(|(value, _)| core::cmp::Reverse(value.len()));
        values.iter().fold(text.to_owned(), |text, (value, label)| text.replace(*value, label))
    }
}

/// Returns true for six pairs of hexadecimal digits.
fn is_mac(word: &str) -> bool {
    let parts: Vec<&str> = word.split([':', '-']).collect();
    parts.len() == 6
        && parts.iter().all(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Returns true for tags of ports, which identify nobody.
fn is_tag(name: &str) -> bool {
    ["COM", "tty"].iter().any(|head| name.starts_with(head))
}

impl Report {
    /// Replaces names of products, devices and networks, and addresses, by labels.
    pub fn redact_ids(&mut self) {
        let mut labels = Labels::default();
        for device in &self.devices {
            labels.learn(&device.key);
            let names = device.key.split('/').filter(|name| !is_tag(name));
            names.for_each(|name| labels.add(name, "name"));
        }
        for evidence in self.findings.iter().flat_map(|finding| &finding.evidence) {
            labels.learn(&evidence.text);
        }
        for device in &mut self.devices {
            device.key = labels.apply(&device.key);
        }
        for evidence in self.findings.iter_mut().flat_map(|finding| &mut finding.evidence) {
            evidence.text = labels.apply(&evidence.text);
        }
        for file in &mut self.files {
            file.path = labels.apply(&file.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_become_labels_and_the_rest_stays() {
        let mut labels = Labels::default();
        let lines = [
            "INF|2026-11-21 00:37:59|f.c|g(1): STA to connect SSID:home-net PASSWORD:*** CHANNEL:0",
            "publish topic=$thing/up/service/LABPROD001/lamp-1 to 192.168.1.20:1883",
            "mac 02:00:00:00:00:09, DeviceName: lamp-1, ver 3.2.0",
            r#"{"productKey":"a1Xyz","code":200}"#,
        ];
        lines.iter().for_each(|line| labels.learn(line));
        let shown: Vec<String> = lines.iter().map(|line| labels.apply(line)).collect();
        assert_eq!(
            shown,
            [
                "INF|2026-11-21 00:37:59|f.c|g(1): STA to connect SSID:<network-1> PASSWORD:*** CHANNEL:0",
                "publish topic=$thing/up/service/<name-1>/<name-2> to <address-1>:1883",
                "mac <mac-1>, DeviceName: <name-2>, ver 3.2.0",
                r#"{"productKey":"<name-3>","code":200}"#,
            ]
        );
    }
}
