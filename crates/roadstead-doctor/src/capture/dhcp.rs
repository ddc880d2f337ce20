//! Requests for an address (RFC 2131): unanswered ones, refusals, leases.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::Notes;

/// Unanswered requests that are reported.
const REQUESTS: u32 = 3;
/// Hardware addresses remembered.
const CLIENTS_MAX: usize = 256;

/// Requests of one hardware address without an answer.
#[derive(Default)]
pub(super) struct Wait {
    count: u32,
    reported: bool,
}

/// Returns true for the ports of DHCP.
pub(super) const fn is_port(from: u16, to: u16) -> bool {
    matches!((from, to), (67 | 68, 67 | 68))
}

/// Takes one message.
pub(super) fn datagram(
    known: &mut BTreeMap<String, Wait>,
    bytes: &[u8],
    notes: &mut Notes<'_>,
) -> Option<()> {
    let mac: Vec<String> = bytes.get(28..34)?.iter().map(|byte| format!("{byte:02x}")).collect();
    let mac = mac.join(":");
    let given: [u8; 4] = bytes.get(16..20)?.try_into().ok()?;
    let given = Ipv4Addr::from(given);
    if !known.contains_key(&mac) && known.len() >= CLIENTS_MAX {
        return None;
    }
    let wait = known.entry(mac.clone()).or_default();
    match kind(bytes)? {
        // DISCOVER and REQUEST.
        1 | 3 => {
            wait.count += 1;
            if wait.count == REQUESTS {
                wait.reported = true;
                let text = format!("dhcp {mac}: no answer to {REQUESTS} requests for an address");
                notes.add(&mac, &text);
            }
        }
        2 => wait.count = 0,
        5 => {
            wait.count = 0;
            notes.add(&given.to_string(), &format!("dhcp {mac}: got the address {given}"));
            if wait.reported {
                notes.add(&mac, &format!("dhcp {mac}: got the address {given}"));
            }
        }
        6 => {
            wait.reported = true;
            notes.add(&mac, &format!("dhcp {mac}: the server refuses an address (NAK)"));
        }
        _ => {}
    }
    Some(())
}

/// Returns option 53, the kind of message.
fn kind(bytes: &[u8]) -> Option<u8> {
    let mut rest = bytes.get(240..)?;
    loop {
        match rest {
            [53, _, kind, ..] => return Some(*kind),
            [0, more @ ..] => rest = more,
            [255, ..] | [] | [_] => return None,
            [_, length, more @ ..] => rest = more.get(usize::from(*length)..)?,
        }
    }
}
