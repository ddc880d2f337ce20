//! Output of the tools that support asks for: `telnet`, `nslookup`, `openssl`, `curl`, the access
//! log of a web server, and the subscription that they are to explain.
//!
//! Source: seed S4, chapters 3, 7, 11 and 14, which name these tools step by step. An address
//! alone proves nothing: what is tested must be the callback of a subscription, or the platform's
//! own name, seen in the same text.

use super::{Hit, int, json, platform::TEXT, word};
use crate::tracker::Tracker;

/// A callback as a subscription names it.
struct Callback<'a> {
    secure: bool,
    host: &'a str,
    port: Option<i64>,
    path: &'a str,
}

fn callback(url: &str) -> Option<Callback<'_>> {
    let (scheme, rest) = url.split_once("://")?;
    let (place, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) => (host, int(port)),
        None => (place, None),
    };
    let known = matches!(scheme, "http" | "https") && !host.is_empty();
    known.then_some(Callback { secure: scheme == "https", host, port, path })
}

/// Returns true for addresses that no cloud can reach.
fn is_private(host: &str) -> bool {
    let Ok(address) = host.parse::<std::net::Ipv4Addr>() else { return host == "localhost" };
    address.is_private() || address.is_loopback() || address.is_link_local()
}

/// The callback of a subscription: `http(s)://host:port/path`, all three (S4 ch11). Kept for what
/// follows: host in `host`, port in `port`, path in `topic`.
pub(super) fn subscription(tracker: &mut Tracker, hit: &Hit<'_>) {
    let line = hit.line.text;
    let given = ["callbackUrl", "callbackurl", "callback_url"];
    let Some(url) = given.iter().find_map(|key| json(line, key)) else { return };
    let Some(callback) = callback(url) else { return };
    tracker.prove(TEXT);
    if callback.port.is_none() || callback.path.is_empty() {
        tracker.fault("push.callback_url_invalid", hit.line);
    } else if is_private(callback.host) {
        // A platform of one's own may reach it.
        tracker.side("push.private_address", hit.line);
    }
    let port = callback.port.or(Some(if callback.secure { 443 } else { 80 }));
    let (host, path) = (callback.host.to_owned(), callback.path.to_owned());
    tracker.memo.host = host;
    tracker.memo.port = port;
    tracker.memo.topic = path;
    tracker.memo.set("callback");
    if matches!(json(line, "notifyType"), Some("messageConfirm" | "commandRsp")) {
        tracker.memo.set("confirm");
        cellular_kind(tracker, hit);
    }
    if let Some(name) = json(line, "cn_name").filter(|name| !name.is_empty()) {
        tracker.memo.region = name.to_owned();
    }
}

/// The protocol of a product: cellular ones have two kinds of notification less (S4 ch11).
pub(super) fn protocol(tracker: &mut Tracker, hit: &Hit<'_>) {
    let line = hit.line.text;
    let kind = json(line, "protocolType").or_else(|| json(line, "protocol_type"));
    if kind.is_some_and(|kind| matches!(kind.to_ascii_uppercase().as_str(), "LWM2M" | "COAP")) {
        tracker.memo.set("lwm2m");
        cellular_kind(tracker, hit);
    }
}

fn cellular_kind(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.memo.has("confirm") && tracker.memo.has("lwm2m") {
        tracker.prove(TEXT);
        tracker.fault("push.nb_type_unsupported", hit.line);
    }
}

/// Parts of names that only the platform's own addresses have.
const PLATFORM_NAMES: &[&str] = &["iotda", "iot-mqtts", "iot-coaps", "iot-api"];

fn is_platform(name: &str) -> bool {
    PLATFORM_NAMES.iter().any(|part| name.contains(part))
}

/// `telnet host port`, as it is typed.
pub(super) fn telnet(tracker: &mut Tracker, hit: &Hit<'_>) {
    let mut words = hit.rest().split_ascii_whitespace();
    let (Some(host), Some(_)) = (words.next(), words.next().and_then(int)) else { return };
    tracker.memo.ssid = host.to_owned();
}

/// `Trying 203.0.113.9...`: the address that is tested now.
pub(super) fn trying(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.memo.token_quote =
        Some((hit.line.number, hit.rest().trim().trim_end_matches('.').to_owned()));
}

/// A port that does not open: the callback's, or the platform's.
pub(super) fn closed(tracker: &mut Tracker, hit: &Hit<'_>) {
    let memo = &tracker.memo;
    let tried = memo.token_quote.as_ref().map_or("", |(_, address)| address);
    let target = memo.ssid.as_str();
    let addresses: Vec<&str> = memo
        .commands
        .iter()
        .filter_map(|(key, .., address)| (key == "address").then_some(address.as_str()))
        .collect();
    let listed = addresses.contains(&tried);
    let several = addresses.len() > 1;
    let own = memo.has("callback") && (target == memo.host || tried == memo.host || listed);
    let code = match () {
        () if own && several && listed => "push.dns_multi_ip",
        () if own => "push.port_closed",
        () if is_platform(target) => "api.unreachable",
        () => return,
    };
    tracker.prove(TEXT);
    tracker.fault(code, hit.line);
}

/// `Address: 203.0.113.9` or `name has address 203.0.113.9`: the addresses behind the callback's
/// name. The resolver's own address comes first and with a port.
pub(super) fn resolved(tracker: &mut Tracker, hit: &Hit<'_>) {
    let address = word(hit.rest());
    let is_address = address.parse::<std::net::Ipv4Addr>().is_ok();
    let listed = |known: &(String, u64, Option<i64>, String)| known.3 == address;
    if tracker.memo.has("callback") && is_address && !tracker.memo.commands.iter().any(listed) {
        let row = ("address".to_owned(), hit.line.number, None, address.to_owned());
        tracker.memo.commands.push(row);
        tracker.memo.commands.truncate(ADDRESSES_MAX);
    }
}

/// Addresses remembered behind one name.
const ADDRESSES_MAX: usize = 16;

/// `openssl s_client -connect host:port`: whose certificate is looked at.
pub(super) fn s_client(tracker: &mut Tracker, hit: &Hit<'_>) {
    let Some((_, rest)) = hit.rest().split_once("connect ") else { return };
    tracker.memo.ssid = word(rest).split(':').next().unwrap_or_default().to_owned();
}

/// What OpenSSL says about the certificate of the callback's server.
pub(super) fn verified(tracker: &mut Tracker, hit: &Hit<'_>) {
    let own = tracker.memo.has("callback") && tracker.memo.ssid == tracker.memo.host;
    let bad = hit.int().is_some_and(|number| CERTIFICATE_BAD.contains(&number));
    if own && bad {
        tracker.prove(TEXT);
        tracker.fault("push.cert_invalid", hit.line);
    }
}

/// Results of OpenSSL's verification: not yet valid, expired, self-signed, no issuer.
const CERTIFICATE_BAD: &[i64] = &[9, 10, 18, 19, 20, 21];

/// The name in the certificate of the callback's server, where the subscription checks it.
pub(super) fn subject(tracker: &mut Tracker, hit: &Hit<'_>) {
    let wanted = tracker.memo.region.clone();
    let own = tracker.memo.has("callback") && tracker.memo.ssid == tracker.memo.host;
    if !own || wanted.is_empty() || tracker.memo.has("subject") {
        return;
    }
    let text = hit.rest();
    let Some(name) = ["CN = ", "CN="].iter().find_map(|key| Some(text.split_once(key)?.1)) else {
        return;
    };
    let name = name.split([',', '/', ' ']).next().unwrap_or_default();
    tracker.memo.set("subject");
    if !name.is_empty() && !covers(name, &wanted) {
        tracker.prove(TEXT);
        tracker.fault("push.cname_mismatch", hit.line);
    }
}

/// A name covers itself, a wildcard one label.
fn covers(name: &str, wanted: &str) -> bool {
    let parent = wanted.split_once('.').map_or("", |(_, parent)| parent);
    name.eq_ignore_ascii_case(wanted)
        || name.strip_prefix("*.").is_some_and(|rest| rest.eq_ignore_ascii_case(parent))
}

/// `"POST /path HTTP/1.1" 500`: what the application answered to the platform.
pub(super) fn served(tracker: &mut Tracker, hit: &Hit<'_>) {
    let before = hit.line.text.get(..hit.at).unwrap_or_default().trim_end();
    let Some((_, path)) = before.rsplit_once("POST ") else { return };
    let own = tracker.memo.has("callback") && path.split('?').next() == Some(&tracker.memo.topic);
    if own && hit.int().is_some_and(|status| status != 200) {
        tracker.prove(TEXT);
        tracker.fault("push.no_200", hit.line);
    }
}

/// `curl`, Python's and Java's words for an address that does not answer.
pub(super) fn client(tracker: &mut Tracker, hit: &Hit<'_>) {
    let line = hit.line.text;
    let api = ["/v5/iot", "/iocm/", "/v3/auth/tokens"].iter().any(|path| line.contains(path));
    let answered = line.contains("curl: (22)") || line.contains("curl: (52)");
    if (api || is_platform(line)) && !answered {
        tracker.prove(TEXT);
        tracker.fault("api.unreachable", hit.line);
    }
}

/// `openssl x509 -noout -modulus` and `openssl rsa -noout -modulus`: whose sum follows.
pub(super) fn modulus(tracker: &mut Tracker, hit: &Hit<'_>) {
    let before = hit.line.text.get(..hit.at).unwrap_or_default();
    let key = if before.contains("x509") { "sum of certificate" } else { "sum of key" };
    tracker.memo.message = key.to_owned();
}

/// `(stdin)= <sum>`: certificate and key are a pair when both sums are equal (S4 ch3).
pub(super) fn sum(tracker: &mut Tracker, hit: &Hit<'_>) {
    let of = std::mem::take(&mut tracker.memo.message);
    let sum = word(hit.rest()).to_owned();
    if !of.starts_with("sum of") || sum.is_empty() {
        return;
    }
    let other = |known: &&(String, u64, Option<i64>, String)| {
        known.0.starts_with("sum of") && known.0 != of
    };
    let differs = tracker.memo.commands.iter().find(other).map(|known| known.3 != sum);
    match differs {
        Some(true) => {
            tracker.prove(TEXT);
            tracker.fault("tls.client_key_mismatch", hit.line);
        }
        Some(false) => {}
        None => tracker.memo.commands.push((of, hit.line.number, None, sum)),
    }
}

/// `SSID: "Home", …, Frequency: 5180MHz`: the network that an Android phone is in. Most routers
/// have both bands, so this is a hint, and a cause where the device heard nothing.
pub(super) fn phone(tracker: &mut Tracker, hit: &Hit<'_>) {
    if hit.int().is_some_and(|mhz| (5000..6000).contains(&mhz)) {
        tracker.prove(TEXT);
        tracker.side("provision.band_5ghz", hit.line);
    }
}
