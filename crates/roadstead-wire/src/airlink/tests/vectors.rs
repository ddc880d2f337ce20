//! The fixed vectors: what the vendors' own senders send.

use super::super::{Destination, airkiss, esptouch, esptouch2, simpleconfig, smartconfig};
use super::*;

#[test]
fn airkiss_words_are_the_vendors() {
    for file in ["airkiss_plain.json", "airkiss_aes.json"] {
        for vector in load(file)["vectors"].as_array().unwrap() {
            let (ssid, password) = (bytes(&vector["ssid_hex"]), bytes(&vector["password_hex"]));
            let mut request = request(&ssid, &password);
            request.random[0] = vector["random"].as_u64().unwrap() as u8;
            let key = text(&vector["key_utf8"]);
            request.key = (!key.is_empty()).then_some(key.as_bytes());
            let words = airkiss::words(&request).unwrap();
            assert_eq!(words.magic[..], lengths(&vector["magic"]), "{}", vector["id"]);
            assert_eq!(words.prefix[..], lengths(&vector["prefix"]), "{}", vector["id"]);
            let sequences = vector["sequences"].as_array().unwrap();
            let sequences: Vec<_> = sequences.iter().map(lengths).collect();
            assert_eq!(words.sequences, sequences, "{}", vector["id"]);
            reads_back(Scheme::AirKiss, &request, &vector["id"]);
        }
    }
}

#[test]
fn esptouch_lengths_are_the_vendors() {
    for vector in load("esptouch_v1.json")["vectors"].as_array().unwrap() {
        let (ssid, password) = (bytes(&vector["ssid_hex"]), bytes(&vector["password_hex"]));
        let mut request = request(&ssid, &password);
        request.bssid = mac(&vector["bssid"]);
        let ip = lengths(&vector["phone_ip"]);
        request.phone_ip = core::array::from_fn(|at| ip[at] as u8);
        let datum = esptouch::datum(&request).unwrap();
        let order: Vec<u16> = datum.order.iter().map(|index| (*index).into()).collect();
        assert_eq!(order, lengths(&vector["datum_order"]), "{}", vector["id"]);
        assert_eq!(datum.lengths, lengths(&vector["data_lengths"]), "{}", vector["id"]);
        request.multicast = true;
        let round = Scheme::EspTouch.encode(&request).unwrap();
        let groups: Vec<_> = round.packets.chunks(4).map(|it| it[0].destination).collect();
        for group in vector["multicast"].as_array().unwrap() {
            let at = group["group"].as_u64().unwrap() as usize;
            let n = at as u8 + 1;
            assert_eq!(text(&group["address"]), alloc::format!("234.{n}.{n}.{n}"));
            assert_eq!(groups[at], Destination::Group([234, n, n, n]));
        }
        reads_back(Scheme::EspTouch, &request, &vector["id"]);
        request.multicast = false;
        reads_back(Scheme::EspTouch, &request, &vector["id"]);
    }
}

#[test]
fn esptouch2_lengths_are_the_vendors() {
    for vector in load("esptouch_v2.json")["vectors"].as_array().unwrap() {
        if vector["segments"].is_null() {
            continue;
        }
        let (ssid, password) = (bytes(&vector["ssid_hex"]), bytes(&vector["password_hex"]));
        let extra = bytes(&vector["reserved_hex"]);
        let key = vector["aes_key_hex"].as_str().map(|key| hex::decode(key).unwrap());
        // Where the app left the SSID out, the vector does too.
        let mut request = request(if ssid.is_empty() { b"seen" } else { &ssid }, &password);
        request.omit_ssid = ssid.is_empty();
        request.bssid = mac(&vector["bssid"]);
        request.extra = &extra;
        request.key = key.as_deref();
        request.zero_iv = vector["security"] == 1;
        request.port_mark = vector["app_port_mark"].as_u64().unwrap() as u8;
        if let Some(iv) = vector["iv20_hex"].as_str() {
            hex::decode_to_slice(iv, &mut request.random).unwrap();
        }
        let ours = esptouch2::segments(&request).unwrap();
        assert_eq!(ours.head[..], bytes(&vector["head_hex"]), "{}", vector["id"]);
        let theirs = vector["segments"].as_array().unwrap().iter().skip(1);
        let theirs: Vec<_> = theirs.filter(|it| !bytes(&it["hex"]).is_empty()).collect();
        let ours: Vec<_> = ours.segments.iter().filter(|(it, _)| !it.is_empty()).collect();
        assert_eq!(ours.len(), theirs.len(), "{}", vector["id"]);
        for ((bytes_ours, per_group), theirs) in ours.iter().zip(&theirs) {
            assert_eq!(*per_group as u64, theirs["group"].as_u64().unwrap(), "{}", vector["id"]);
            let padded = bytes(&theirs["hex"]);
            // The vendor pads with random bytes; ours are zero.
            let used = bytes_ours.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
            assert_eq!(bytes_ours.len(), padded.len(), "{}", vector["id"]);
            assert_eq!(bytes_ours[..used], padded[..used], "{}", vector["id"]);
        }
        let round = Scheme::EspTouch2.encode(&request).unwrap();
        let sent: Vec<u16> = round.packets.iter().map(|packet| packet.length).collect();
        let theirs = lengths(&vector["packet_lengths"]);
        assert_eq!(sent.len(), theirs.len(), "{}", vector["id"]);
        // Up to the first group that may hold padding.
        assert_eq!(sent[..12], theirs[..12], "{}", vector["id"]);
        reads_back(Scheme::EspTouch2, &request, &vector["id"]);
        // And the vendor's own lengths, padding and all, are read.
        let mut theirs_round = round.clone();
        for (packet, length) in theirs_round.packets.iter_mut().zip(theirs) {
            packet.length = length;
        }
        reads(Scheme::EspTouch2, &theirs_round, &request, &vector["id"]);
    }
}

#[test]
fn simple_config_packets_are_the_vendors() {
    for vector in load("realtek_simple_config.json")["vectors"].as_array().unwrap() {
        let (ssid, password) = (bytes(&vector["ssid_hex"]), bytes(&vector["password_hex"]));
        let pin = text(&vector["pin"]);
        let mut request = request(&ssid, &password);
        request.phone_ip = bytes(&vector["phone_ip"]).try_into().unwrap();
        request.phone_mac = mac(&vector["phone_mac"]);
        request.random[..4].copy_from_slice(&bytes(&vector["random_hex"]));
        request.key = (vector["pattern"] == 3).then_some(pin.as_bytes());
        let random = *request.random.first_chunk().unwrap();
        let wrapped = simpleconfig::wrapped(
            &ssid,
            &password,
            request.phone_ip,
            request.phone_mac,
            pin.as_bytes(),
            random,
        );
        assert_eq!(wrapped, bytes(&vector["wrapped_hex"]), "{}", vector["id"]);
        let round = Scheme::SimpleConfig.encode(&request).unwrap();
        let theirs = vector["packets"].as_array().unwrap();
        assert_eq!(round.packets.len(), theirs.len(), "{}", vector["id"]);
        for (ours, theirs) in round.packets.iter().zip(theirs) {
            assert_eq!(ours.destination.mac(), mac(&theirs["dst_mac"]), "{}", vector["id"]);
            assert_eq!(u64::from(ours.length), theirs["udp_payload_len"].as_u64().unwrap());
            let ip = ours.destination.ip().map(|it| alloc::format!("{it}")).join(".");
            assert_eq!(ip, text(&theirs["dst_ip"]), "{}", vector["id"]);
        }
        reads_back(Scheme::SimpleConfig, &request, &vector["id"]);
    }
}

#[test]
fn smartconfig_lengths_are_the_vendors() {
    for vector in load("alibaba_zconfig.json")["vectors"].as_array().unwrap() {
        let (ssid, password) = (text(&vector["ssid_utf8"]), text(&vector["password_utf8"]));
        let secret = text(&vector["product_secret"]);
        let mut request = request(ssid.as_bytes(), password.as_bytes());
        request.key = Some(secret.as_bytes());
        let key = smartconfig::key(secret.as_bytes());
        assert_eq!(key[..], bytes(&vector["aes_key_hex"]), "{}", vector["id"]);
        let message = smartconfig::emit(request.ssid, request.password, key).unwrap();
        assert_eq!(message, bytes(&vector["message_hex"]), "{}", vector["id"]);
        let round = Scheme::SmartConfig.encode(&request).unwrap();
        let sent: Vec<u16> = round.packets.iter().map(|packet| packet.length).collect();
        assert_eq!(sent, lengths(&vector["round_lengths"]), "{}", vector["id"]);
        reads_back(Scheme::SmartConfig, &request, &vector["id"]);
    }
}

/// A receiver of all schemes hears what was encoded and believes exactly that.
fn reads_back(scheme: Scheme, request: &Request<'_>, id: &Value) {
    reads(scheme, &scheme.encode(request).unwrap(), request, id);
}

fn reads(scheme: Scheme, round: &super::super::Round, request: &Request<'_>, id: &Value) {
    let mut hopper = parked(6, &keys_of(scheme, request));
    let found = believed(&mut hopper, &heard(round, request, 4));
    assert!(!found.is_empty(), "{id}: {scheme} was not read: {:?}", hopper.reason());
    for (_, by, credentials) in found {
        assert_eq!(by, scheme, "{id}");
        let ssid = if request.omit_ssid { &[][..] } else { request.ssid };
        assert_eq!(credentials.ssid, ssid, "{id}");
        assert_eq!(credentials.password, request.password, "{id}");
        assert_eq!(credentials.extra, request.extra, "{id}");
        assert_eq!(credentials.ack, round.ack.proof, "{id}");
    }
}

/// The keys of the device that a request is for.
pub(super) fn keys_of(scheme: Scheme, request: &Request<'_>) -> Keys {
    let key = request.key;
    match scheme {
        Scheme::AirKiss => Keys { airkiss: key.and_then(airkiss::pad_key), ..Keys::default() },
        Scheme::EspTouch2 => {
            Keys { esptouch2: key.and_then(|key| key.try_into().ok()), ..Keys::default() }
        }
        Scheme::SimpleConfig => Keys { pin: key.map(<[u8]>::to_vec), ..Keys::default() },
        Scheme::SmartConfig => Keys { product_secret: key.map(<[u8]>::to_vec), ..Keys::default() },
        Scheme::EspTouch => Keys::default(),
    }
}
