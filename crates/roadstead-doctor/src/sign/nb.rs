//! Signs of cellular modules on their AT console.
//!
//! Source: seed S4, chapters 3 and 6; Huawei §19. Only the platform's own commands name a vendor.

use super::{Act, Hit, Sign, int, sign};
use crate::Stage as S;
use crate::tracker::{ABSENCE, LIKELY, Tracker};
use Act::{Boot, Call, Done, Fault, Start, Strong, Weak};

const SDK: &str = "nb-at";
const PLATFORM: &str = "platform";

#[rustfmt::skip] // a table
pub(super) static SIGNS: &[Sign] = &[
    sign("AT+NMGS", &[Strong(PLATFORM), Done(S::Report), Call(|t, _| t.memo.set("sending"))]),
    sign("+NNMI:", &[Strong(PLATFORM), Call(downlink)]),
    sign("+QLWEVTIND:", &[Strong(PLATFORM), Call(event)]),
    sign("AT+NCDP", &[Strong(PLATFORM)]),
    sign("AT+QLWULDATA", &[Strong(PLATFORM), Done(S::Report)]),
    sign("AT+NCDP=", &[Call(address)]),
    sign("+NCDP:", &[Call(address)]),
    sign("+NBAND:", &[Call(bands)]),
    sign("+CIMI:", &[Call(card)]),
    sign("+COPS:", &[Call(card)]),
    sign("+CGSN:", &[Call(module)]),
    sign("ep=", &[Call(endpoint)]),
    sign("AT+NQMGS", &[Strong(SDK)]),
    sign("+NMSTATUS:", &[Strong(PLATFORM)]),
    sign("^SIMST", &[Boot]),
    sign("REBOOT_CAUSE", &[Boot]),
    sign("AT+CSQ", &[Weak(SDK), Start(S::NbAttach), Call(echo)]),
    sign("AT+CEREG", &[Weak(SDK), Start(S::NbAttach), Call(echo)]),
    sign("AT+CGATT", &[Weak(SDK), Start(S::NbAttach), Call(echo)]),
    sign("+CSQ:", &[Weak(SDK), Call(signal)]),
    sign("Signal power:", &[Weak(SDK), Call(power)]),
    sign("+CEREG:", &[Weak(SDK), Call(registration)]),
    sign("+CGATT:", &[Weak(SDK), Call(attach)]),
    sign("AT+CGATT=1", &[Call(|t, _| t.memo.set("attaching"))]),
    sign("ERROR", &[Call(error)]),
    sign("+NPING:", &[Call(|t, _| t.memo.set("ping"))]),
    sign("+NPINGERR", &[Fault("nb.platform_unreachable")]),
    sign("MO_DATA_ENABLED", &[Done(S::Lwm2mRegister), Done(S::NbAttach)]),
    sign("PENDING=", &[Call(pending)]),
    sign("513", &[Call(tup)]).needs("+CME ERROR"),
    sign("513", &[Call(tup)]).needs("ERROR:").without("+CME"),
];

/// Returns the vendor: only its own commands show it.
pub(super) fn vendor(tracker: &Tracker) -> Option<&'static str> {
    tracker.proved(PLATFORM).then_some("huawei")
}

/// `AT+NCDP=host,port` or `+NCDP:host,port`: the platform listens on 5683 and 5684.
fn address(tracker: &mut Tracker, hit: &Hit<'_>) {
    let rest = hit.rest().trim().trim_matches('"');
    let (host, port) = rest.split_once(',').unwrap_or((rest, ""));
    let host = host.trim_matches('"');
    let port = int(port);
    let odd = port.is_some_and(|port| !matches!(port, 5683 | 5684));
    if host.is_empty() || host == "0.0.0.0" || odd {
        let _ = tracker.suspect("nb.wrong_address", LIKELY, hit.line);
    } else {
        tracker.heal("nb.wrong_address");
    }
}

/// Bands of NB-IoT by network in China: 460-00/02/07/08 band 8, 460-03/05/11 band 5,
/// 460-01/06/09 bands 3 and 8.
fn wanted(network: &str) -> Option<&'static [i64]> {
    Some(match network.get(..5)? {
        "46000" | "46002" | "46007" | "46008" => &[8],
        "46003" | "46005" | "46011" => &[5],
        "46001" | "46006" | "46009" => &[3, 8],
        _ => return None,
    })
}

fn bands(tracker: &mut Tracker, hit: &Hit<'_>) {
    let set: Vec<String> = hit.rest().split(',').filter_map(int).map(|n| n.to_string()).collect();
    tracker.memo.message = set.join(",");
    tracker.memo.token_quote = Some((hit.line.number, hit.line.text.chars().take(200).collect()));
    band_mismatch(tracker);
}

/// The card's network: `+CIMI:<imsi>` or `+COPS:0,2,"46000",9`.
fn card(tracker: &mut Tracker, hit: &Hit<'_>) {
    let digits = hit.rest().split([',', '"', ' ']).find(|part| part.starts_with("460"));
    if let Some(digits) = digits {
        tracker.memo.region = digits.chars().take(5).collect();
        band_mismatch(tracker);
    }
}

fn band_mismatch(tracker: &mut Tracker) {
    let Some(wanted) = wanted(&tracker.memo.region) else { return };
    let set: Vec<i64> = tracker.memo.message.split(',').filter_map(int).collect();
    if set.is_empty() || set.iter().any(|band| wanted.contains(band)) {
        return tracker.heal("nb.band_mismatch");
    }
    if let Some((number, text)) = tracker.memo.token_quote.clone() {
        let _ = tracker.suspect_quoted("nb.band_mismatch", LIKELY, number, &text);
    }
}

/// Digits of an IMEI.
const IMEI_DIGITS: usize = 15;

fn imei(text: &str) -> Option<&str> {
    let text = text.trim_start_matches([' ', '"']);
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    (end == IMEI_DIGITS).then(|| &text[..end])
}

fn module(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.name = imei(hit.rest()).map(str::to_owned).or(tracker.name.take());
}

/// The name under which the module registers must be its IMEI (S4 ch6).
fn endpoint(tracker: &mut Tracker, hit: &Hit<'_>) {
    let other = match (imei(hit.rest()), &tracker.name) {
        (Some(named), Some(own)) => named != own,
        _ => false,
    };
    if other {
        let _ = tracker.suspect("nb.imei_mismatch", LIKELY, hit.line);
    }
}

fn echo(tracker: &mut Tracker, _: &Hit<'_>) {
    tracker.memo.waits += 1;
}

fn answered(tracker: &mut Tracker) {
    tracker.memo.waits = 0;
}

fn signal(tracker: &mut Tracker, hit: &Hit<'_>) {
    answered(tracker);
    match hit.int() {
        Some(99) => tracker.fault("nb.no_signal", hit.line),
        Some(1..) => tracker.heal("nb.no_signal"),
        Some(_) | None => {}
    }
}

fn power(tracker: &mut Tracker, hit: &Hit<'_>) {
    answered(tracker);
    match hit.rest().trim_start_matches([',', ' ']).trim() {
        "0" => tracker.fault("nb.no_signal", hit.line),
        _ => tracker.heal("nb.no_signal"),
    }
}

/// `+CEREG:<n>,<state>` or `+CEREG:<state>`: 1 home, 5 roaming, 3 denied.
fn registration(tracker: &mut Tracker, hit: &Hit<'_>) {
    answered(tracker);
    let rest = hit.rest();
    let state = rest.split(',').nth(1).and_then(int).or_else(|| int(rest));
    match state {
        Some(1 | 5) => {
            tracker.heal("nb.registration_denied");
            tracker.done(S::NbAttach, hit.line);
        }
        Some(3) if bound_card(rest) => tracker.fault("nb.sim_bound_to_device", hit.line),
        Some(3) => tracker.fault("nb.registration_denied", hit.line),
        Some(_) | None => {}
    }
}

/// Reasons of the network (3GPP TS 24.301, 9.9.3.9) that lie in the card's contract: this device
/// (5, 6) or this place (12, 13, 15) is not in it.
const CARD_REASONS: &[i64] = &[5, 6, 12, 13, 15];

/// `+CEREG:<n>,3,<area>,<cell>,<technology>,0,<reason>`: 0 says that the reason is the network's.
fn bound_card(answer: &str) -> bool {
    let mut fields = answer.split(',').skip(5);
    let network = fields.next().and_then(int) == Some(0);
    network && fields.next().and_then(int).is_some_and(|reason| CARD_REASONS.contains(&reason))
}

/// Times that the same bytes come before they count as one command again and again.
const DOWNLINKS_SAME: u32 = 3;

/// `+NNMI:<length>,<hex>`: a command; the platform repeats it until it is acknowledged (S4 ch10).
fn downlink(tracker: &mut Tracker, hit: &Hit<'_>) {
    let data = hit.rest().trim();
    tracker.start(S::Command, hit.line);
    if data != tracker.memo.topic {
        tracker.memo.topic = data.chars().take(DOWNLINK_CHARS_MAX).collect();
        tracker.memo.pings = 0;
    }
    tracker.memo.pings += 1;
    if tracker.memo.pings >= DOWNLINKS_SAME {
        let _ = tracker.suspect("command.repeated_no_ack", LIKELY, hit.line);
    }
}

/// Characters of a command that are compared.
const DOWNLINK_CHARS_MAX: usize = 2048;

/// Events of the LwM2M client: 3 ready for data, 6 an upgrade begins, 7 it is downloaded.
fn event(tracker: &mut Tracker, hit: &Hit<'_>) {
    match hit.int() {
        Some(3) => {
            tracker.memo.clear("upgrading");
            tracker.done(S::Lwm2mRegister, hit.line);
            tracker.done(S::NbAttach, hit.line);
        }
        Some(6 | 7) => {
            tracker.start(S::Ota, hit.line);
            tracker.memo.clear("sending");
            tracker.memo.set("upgrading");
        }
        Some(_) | None => {}
    }
}

fn attach(tracker: &mut Tracker, hit: &Hit<'_>) {
    answered(tracker);
    match hit.int() {
        Some(0) => {
            let _ = tracker.suspect("nb.not_attached", LIKELY, hit.line);
        }
        Some(1) => {
            tracker.heal("nb.not_attached");
            tracker.done(S::NbAttach, hit.line);
        }
        Some(_) | None => {}
    }
}

fn error(tracker: &mut Tracker, hit: &Hit<'_>) {
    if let Some(count) = hit.line.text.get(hit.at..).and_then(|text| text.strip_prefix("ERROR=")) {
        if int(count).is_some_and(|count| count > 0) {
            tracker.fault("nb.send_error", hit.line);
        }
        return;
    }
    if tracker.memo.has("upgrading") && tracker.memo.has("sending") {
        return tracker.fault("ota.business_paused", hit.line);
    }
    if tracker.memo.has("attaching") {
        tracker.memo.clear("attaching");
        let _ = tracker.suspect("nb.not_attached", LIKELY, hit.line);
    }
}

/// `PENDING=n,SENT=m,ERROR=k`: what is sent is acknowledged by the platform.
fn pending(tracker: &mut Tracker, hit: &Hit<'_>) {
    if let Some(count) = hit.int() {
        if count > 0 {
            tracker.memo.sends += 1;
        } else {
            tracker.memo.sends = 0;
            tracker.heal("nb.send_pending");
        }
        if tracker.memo.sends >= 1 && count > 0 {
            let _ = tracker.suspect("nb.send_pending", LIKELY, hit.line);
        }
    }
    if let Some((_, rest)) = hit.line.text.split_once("ERROR=")
        && int(rest).is_some_and(|count| count > 0)
    {
        tracker.fault("nb.send_error", hit.line);
    }
}

fn tup(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.fault("nb.tup_513", hit.line);
}

/// Commands that come back as an echo without an answer.
const ECHOES: u32 = 3;

/// Decides by absence.
pub(super) fn finish(tracker: &mut Tracker) {
    if tracker.memo.waits >= ECHOES {
        let at = tracker.started_at(S::NbAttach);
        let text = "AT commands echo, and no answer follows";
        let _ = tracker.suspect_quoted("nb.at_not_terminated", ABSENCE, at, text);
    }
}
