//! Signs of the living-platform and Link Kit C SDKs, their AliOS style, LinkSDK 4 and Python.
//!
//! Source: Alibaba §11 (numbers), §12 (stages), §5 (binding); seeds S0, S1. The same state number
//! means different things in different releases: text first, number second, family before both.

use super::{Act, Hit, Sign, int, json, shared, sign, tls, word};
use crate::Stage as S;
use crate::input::Line;
use crate::tracker::{ABSENCE, CERTAIN, LIKELY, SYMPTOM, Tracker};
use Act::{Boot, Call, Done, Fault, Name, Start, Strong, Weak};

const LIVING: &str = "alibaba-living-1.6";
const KIT3: &str = "alibaba-linkkit-c-3";
const LINK4: &str = "alibaba-linksdk-c-4";
const AOS: &str = "alibaba-aos";
const PYTHON: &str = "alibaba-python";

#[rustfmt::skip] // a table
pub(super) static SIGNS: &[Sign] = &[
    // Recognition.
    sign("state_code:-0x", &[Strong(LIVING)]),
    sign("state_code: -0x", &[Strong(LIVING)]),
    sign("iotx_guider_", &[Strong(LIVING)]),
    sign("guider_print_", &[Strong(AOS)]),
    sign("dev_errcode_handle", &[Strong(LIVING)]),
    sign("iotx_mc_connect(", &[Strong(LIVING)]),
    sign("_FY_1.", &[Strong(LIVING)]),
    sign("_v=sdk-c-", &[Call(version)]),
    sign("wrapper_mqtt_", &[Strong(KIT3)]),
    sign("_mqtt_connect(7", &[Strong(KIT3)]),
    sign("_mqtt_connect(8", &[Strong(KIT3)]),
    sign("IOT_MQTT_Construct(", &[Strong(KIT3)]).without("|"),
    sign("iotx_mc_", &[Weak(AOS)]),
    sign("recvConnackProc error", &[Strong(AOS)]),
    sign("[LK-", &[Strong(LINK4)]),
    sign("aiot_mqtt_connect", &[Strong(LINK4)]),
    sign("core_sysdep_network_establish", &[Weak(LINK4)]),
    sign("LinkKitState.", &[Strong(PYTHON)]),
    sign("|exp-topic|", &[Strong(PYTHON)]),
    sign("kv key:", &[Weak(LIVING)]),
    sign("awss_", &[Weak(AOS)]),
    sign("/thing/awss/", &[Weak(AOS)]),
    sign("dm_client_", &[Weak(KIT3)]),
    sign("IOT_Linkkit_", &[Weak(KIT3)]),
    sign("env prerelease or daily not set ssl hostname", &[Weak(AOS)]),
    sign("MQTT init success!", &[Weak(AOS), Start(S::Dns)]),
    sign("CoAPServer_yield", &[Weak(AOS)]),
    // Start and identity.
    sign("log level set as", &[Boot]),
    sign("iotx_alcs_construct enter", &[Boot]),
    sign("ClientID : ", &[Name(client), Start(S::Dns)]),
    sign("DN : ", &[Call(device_name)]),
    sign("DeviceName : ", &[Call(device_name)]),
    // Credentials and router.
    sign("IOTX_AWSS_START", &[Start(S::ProvisionRadio)]),
    sign("zconfig_init", &[Start(S::ProvisionRadio)]),
    sign("awss_start", &[Start(S::ProvisionRadio)]).without("fail"),
    sign("zconfig done", &[Done(S::ProvisionRadio)]),
    sign("SSID0: [", &[Done(S::ProvisionRadio)]),
    sign("soft AP up", &[Start(S::ProvisionSoftap)]),
    sign("dev ap, len:", &[Start(S::ProvisionSoftap), Call(ap_request)]),
    sign("switch to ap:", &[Call(switch)]),
    sign("ready connect ap", &[Start(S::WifiJoin)]),
    sign("ending message to app:", &[Call(app_answer)]),
    sign("random len err", &[Fault("provision.request_invalid")]).without("ending message"),
    sign("req ssid err", &[Fault("provision.request_invalid")]),
    sign("passwd content err", &[Fault("provision.password_undecryptable")]).without("ending message"),
    sign("not found", &[Call(not_found)]).without("kv key"),
    sign("rssi too low", &[Fault("wifi.weak_signal")]),
    sign("ip addr get fail", &[Fault("dhcp.no_address")]),
    sign("Got ip", &[Done(S::WifiJoin), Done(S::Dhcp)]),
    sign("' success", &[Call(joined)]).needs("connect '"),
    sign("' failed", &[Call(join_failed)]).needs("connect '"),
    sign("err_code ", &[Call(err_code)]),
    // Name and transport.
    sign("\"regionContent\"", &[Call(region)]).anywhere(),
    sign("\"regionId\"", &[Call(region)]).anywhere(),
    sign("establish tcp connection with server(host='", &[Start(S::Tcp), Call(target)]),
    sign("network_establish host ", &[Start(S::Tcp), Call(target)]),
    sign("success to establish tcp", &[Done(S::Tcp), Call(tcp_up)]),
    sign("fail to establish tcp", &[Call(tcp_failed)]),
    sign("TCP or TLS Connection failed", &[Call(tcp_failed)]),
    sign("getaddrinfo error", &[Call(|t, hit| t.attempt_fault("dns.unresolved", hit.line))]),
    sign("fail to get addr", &[Call(|t, hit| t.attempt_fault("dns.unresolved", hit.line))]),
    sign("Connecting to /", &[Start(S::Tcp), Call(|t, _| t.memo.secure = true)]),
    sign("net_connect returned ", &[Call(tls_number)]),
    // TLS.
    sign("Setting up the SSL/TLS structure", &[Done(S::Tcp), Call(tls_start)]),
    sign("Performing the SSL/TLS handshake", &[Start(S::Tls)]),
    sign("mbedtls_ssl_handshake returned ", &[Call(tls_number)]),
    sign("certificate verification result: 0x00", &[Done(S::Tls), Call(tls_up)]),
    // Registration and address.
    sign("Now We Need Dynamic Register", &[Start(S::Dynreg)]),
    sign("Dynamic Register Code:", &[Call(register_code)]),
    sign("Dynamic Register Message:", &[Call(register_text)]),
    sign("Dynamic Register Device Secret", &[Done(S::Dynreg)]),
    sign("/auth/bootstrap", &[Start(S::Dispatch)]),
    sign("set dyna mqtt:", &[Done(S::Dispatch), Call(given)]),
    sign("dyna url:", &[Done(S::Dispatch), Call(given)]),
    sign("\"code\":", &[Call(http_code)]).anywhere(),
    sign("ret_code = ", &[Call(dispatch_code)]),
    sign("guider auth fail", &[Call(dispatch_refused)]),
    sign("Request MQTT URL failed", &[Call(dispatch_refused)]),
    sign("httpclient_recv_response is error", &[Call(http_silent)]),
    // Log-in.
    sign("recvConnackProc error,result = ", &[Call(connack)]),
    sign("wait connack timeout", &[Call(|t, hit| { t.start(S::MqttConnack, hit.line); shared::connack_missing(t, hit.line); })]),
    sign("readPacket error,result", &[Call(closed)]),
    sign("wait connect ACK timeout", &[Call(generic)]),
    sign("received reject ACK", &[Call(generic)]),
    sign("send connect packet failed", &[Call(generic)]),
    sign("iotx_mc_connect failed", &[Call(generic)]),
    sign("mqtt connect failed", &[Call(generic)]),
    sign("DM Start Failed", &[Call(generic)]),
    sign("mqtt connect success", &[Call(up)]),
    sign("MQTT connect success", &[Call(up)]),
    sign("network is reconnected!", &[Call(up_again)]),
    sign("network is disconnected!", &[Call(|t, hit| t.drop_session(hit.line))]),
    sign("state_code:", &[Call(state)]),
    sign("[LK-0313]", &[Start(S::MqttConnack), Call(|t, hit| t.count_connect(hit.line))]).needs("connect"),
    sign("[LK-0315]", &[Call(|t, hit| shared::connack_missing(t, hit.line))]),
    sign("[LK-0316] MQTT authorize fail", &[Call(|t, hit| t.memo.message = format!("{}\t{}", hit.line.number, hit.line.text))]),
    sign("[LK-030B]", &[Call(up)]),
    sign("aiot_mqtt_connect failed:", &[Call(link4)]),
    sign("enter from wrong state", &[Call(python)]).needs("CONNECTING"),
    sign("LinkKitState.CONNECTED", &[Call(up)]).without("wrong state"),
    // Subscriptions.
    sign("mqtt subscribe packet sent", &[Start(S::Subscribe)]),
    sign("Granted QoS[", &[Call(granted)]),
    sign("ack code is 0x80", &[Fault("subscribe.refused")]),
    sign("cloud auto subscribe topic", &[Done(S::Subscribe)]),
    // Binding.
    sign("report token:{", &[Call(token)]),
    sign("report token res:", &[Call(token_sent)]),
    sign("awss_report_token_reply", &[Call(token_reply)]),
    sign("report token success", &[Call(token_reply)]),
    sign("report token timeout", &[Call(token_timeout)]),
    sign("times fail", &[Call(token_timeout)]).needs("try "),
    sign("Topic Name : ", &[Call(|t, hit| t.memo.topic = hit.rest().chars().take(200).collect())]),
    sign("NO matching any topic", &[Call(unmatched)]),
    sign("topic be matched", &[Weak(AOS), Call(|t, _| t.memo.topic.clear())]),
    sign("topic:/sys/device/info/notify", &[Start(S::LanNotify)]),
    sign("send notify success", &[Done(S::LanNotify)]),
    sign("send notify fail", &[Call(notify_failed)]),
    sign("CoAP transport write failed", &[Call(notify_failed)]),
    sign("device/info/get", &[Call(query)]).needs("Request path is"),
    sign("isn't found", &[Fault("lan.coap_register_failed")]).needs("device/info/get"),
    sign("coap register fail", &[Fault("lan.coap_register_failed")]),
    sign("recv get dev info fail", &[Call(no_token)]),
    // Regions.
    sign("thing/bootstrap/notify", &[Call(migrate)]).needs("Downstream Topic"),
    sign("thing/bootstrap/notify", &[Call(migrate)]).needs("Topic Name"),
    sign("Cloud Redirect", &[Start(S::RegionMigrate)]),
    // Life.
    sign("thing/event/property/post", &[Done(S::Report)]).needs("Upstream Topic"),
    sign("thing/service/property/set", &[Done(S::Command)]).needs("Downstream Topic"),
    sign("mqtt keepalive", &[Done(S::Online)]),
];

/// Returns the SDK id.
pub(super) fn sdk(tracker: &Tracker) -> &'static str {
    let strong = |sdk| tracker.proved(sdk);
    let version = tracker.version.as_deref().unwrap_or_default();
    if strong(LINK4) || version.starts_with('4') {
        LINK4
    } else if strong(PYTHON) {
        PYTHON
    } else if strong(LIVING) {
        LIVING
    } else if strong(KIT3) || version.starts_with('3') {
        KIT3
    } else {
        AOS
    }
}

fn version(tracker: &mut Tracker, hit: &Hit<'_>) {
    let version = hit.rest().split([',', '|', ' ']).next().unwrap_or_default();
    let sdk = match version.as_bytes().first() {
        Some(b'4') => LINK4,
        Some(b'3') => KIT3,
        _ => LIVING,
    };
    tracker.prove(sdk);
    tracker.version = Some(version.to_owned());
}

fn client(hit: &Hit<'_>) -> Option<String> {
    let id = word(hit.rest());
    Some(id.split('|').next()?.replacen('.', "/", 1))
}

fn device_name(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.name.is_none() {
        tracker.name = Some(word(hit.rest()).to_owned());
    }
}

fn ap_request(tracker: &mut Tracker, hit: &Hit<'_>) {
    if let Some(ssid) = json(hit.rest(), "ssid") {
        tracker.memo.ssid = ssid.to_owned();
    }
}

fn switch(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.memo.ssid = hit.rest().trim().trim_matches('\'').to_owned();
    // A refused request is followed by a switch without credentials.
    let refused = tracker.has_fault("provision.request_invalid")
        || tracker.has_fault("provision.password_undecryptable");
    if !refused {
        tracker.done(S::ProvisionSoftap, hit.line);
        tracker.start(S::WifiJoin, hit.line);
    }
}

/// The answer to the phone: a token, or the code of a refused request (Alibaba §7.3).
fn app_answer(tracker: &mut Tracker, hit: &Hit<'_>) {
    let text = hit.rest();
    match json(text, "code").and_then(int) {
        Some(-3) => tracker.fault("provision.password_undecryptable", hit.line),
        Some(..=-1) => tracker.fault("provision.request_invalid", hit.line),
        Some(200) if text.contains("deviceName") => {
            tracker.done(S::LanQuery, hit.line);
            tracker.memo.sends = 0;
            tracker.heal("bind.no_token_available");
        }
        Some(_) | None => {}
    }
}

/// `<ssid> not found`: the scan did not see the network.
fn not_found(tracker: &mut Tracker, hit: &Hit<'_>) {
    let before = hit.line.text.get(..hit.at).unwrap_or_default().trim_end();
    let ssid = tracker.memo.ssid.as_str();
    let named = ssid.len() >= 2 && before.trim_end_matches('\'').ends_with(ssid);
    if named && tracker.done_at(S::Dhcp) <= tracker.started_at(S::WifiJoin) {
        tracker.fault("wifi.ap_not_found", hit.line);
    }
}

fn joined(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.done(S::WifiJoin, hit.line);
    tracker.start(S::Dhcp, hit.line);
}

fn join_failed(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.start(S::WifiJoin, hit.line);
    if wifi_known(tracker) {
        return tracker.consequence(hit.line, "wifi.join_failed");
    }
    tracker.fault("wifi.join_failed", hit.line);
}

fn wifi_known(tracker: &Tracker) -> bool {
    ["wifi.ap_not_found", "wifi.auth_failed", "wifi.weak_signal", "dhcp.no_address"]
        .iter()
        .any(|code| tracker.has_fault(code))
}

/// The number given to the phone (Alibaba §11.3); MQTT's own say less than the line above them.
fn err_code(tracker: &mut Tracker, hit: &Hit<'_>) {
    let code = match hit.int() {
        Some(50208 | 50272) => "provision.softap_start_failed",
        Some(50240 | 50274 | 50338) => "provision.radio_timeout",
        Some(50242 | 50275 | 50276 | 50341) => "provision.request_invalid",
        Some(50243 | 50277) => "provision.password_undecryptable",
        Some(50336 | 50337 | 50339 | 50340 | 50342 | 50343) => "provision.ble_failed",
        Some(50400) => "wifi.ap_not_found",
        Some(50401) => "wifi.weak_signal",
        Some(50402) => "wifi.auth_failed",
        Some(50403) if !wifi_known(tracker) => "dhcp.no_address",
        Some(50433) => "dns.unresolved",
        _ => return,
    };
    tracker.fault(code, hit.line);
}

fn target(tracker: &mut Tracker, hit: &Hit<'_>) {
    let rest = hit.rest();
    tracker.memo.host = word(rest).to_owned();
    let port = rest.split_once("port").map(|(_, rest)| rest.trim_start_matches(['=', '[', ' ']));
    tracker.memo.port = port.and_then(int);
    tracker.memo.secure = false;
    tracker.memo.attempt_failed = false;
    other_region(tracker, hit.line);
}

/// Regions by the number that the phone sends (Alibaba §1, living platform order).
const REGIONS: [&str; 6] =
    ["cn-shanghai", "ap-southeast-1", "ap-northeast-1", "us-east-1", "eu-central-1", "us-west-1"];

/// The region in the phone's message: a number or a host.
fn region(tracker: &mut Tracker, hit: &Hit<'_>) {
    let text = hit.line.text;
    let Some(value) = json(text, "regionContent").or_else(|| json(text, "regionId")) else {
        return;
    };
    let number = value.parse::<usize>().ok().and_then(|number| REGIONS.get(number));
    let named = || REGIONS.iter().find(|region| value.contains(**region));
    tracker.memo.region =
        number.or_else(named).map_or(String::new(), |region| (*region).to_owned());
}

/// The device connects to another region than the phone named. An address that the cloud gave just
/// before is the cloud's mistake, else the stored one is (S1 step 2).
fn other_region(tracker: &mut Tracker, line: &Line<'_>) {
    let host = tracker.memo.host.as_str();
    let Some(found) = REGIONS.iter().find(|region| host.contains(*region)) else { return };
    let asked = tracker.started_at(S::Dispatch) > 0;
    if !host.contains(".iot-as-mqtt.")
        || tracker.memo.region.is_empty()
        || tracker.memo.region == *found
    {
        return;
    }
    let code = if asked { "dispatch.wrong_address" } else { "region.wrong_host" };
    let _ = tracker.suspect(code, LIKELY, line);
}

/// The cloud's answer names no address that a device can use.
fn given(tracker: &mut Tracker, hit: &Hit<'_>) {
    let host = hit.rest().trim_start().split([':', ' ']).next().unwrap_or_default();
    if matches!(host, "" | "0.0.0.0" | "127.0.0.1" | "localhost" | "(null)" | "null") {
        let _ = tracker.suspect("dispatch.wrong_address", LIKELY, hit.line);
    }
}

fn tcp_up(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.memo.attempt_failed = false;
    if !matches!(tracker.memo.port, Some(80)) {
        tracker.count_connect(hit.line);
        tracker.start(S::MqttConnack, hit.line);
    }
}

fn tcp_failed(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.memo.attempt_failed {
        return tracker.consequence(hit.line, "tcp.connect_failed");
    }
    let wrong = tracker.memo.port.is_some_and(|port| !PORTS.contains(&port));
    tracker.attempt_fault("tcp.connect_failed", hit.line);
    // The cloud itself listens nowhere else; a server of one's own may.
    if wrong && tracker.memo.host.ends_with(".aliyuncs.com") {
        return tracker.rename("tcp.connect_failed", "tcp.wrong_port");
    }
    if wrong && let Some(fault) = tracker.faults.iter_mut().find(|f| f.code == "tcp.connect_failed")
    {
        prefer(&mut fault.alternatives, "tcp.wrong_port");
    }
}

/// Ports that the vendors' clouds use.
const PORTS: &[i64] = &[80, 443, 1883, 8883, 5683, 5684];

/// Puts one alternative first.
pub(super) fn prefer(alternatives: &mut Vec<&'static str>, code: &'static str) {
    alternatives.retain(|known| *known != code);
    alternatives.insert(0, code);
}

fn tls_start(tracker: &mut Tracker, _: &Hit<'_>) {
    tracker.memo.secure = true;
    tracker.memo.attempt_failed = false;
}

fn tls_up(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.count_connect(hit.line);
    tracker.start(S::MqttConnack, hit.line);
}

fn tls_number(tracker: &mut Tracker, hit: &Hit<'_>) {
    let number = hit.hex().unwrap_or(0);
    tls::fault(tracker, number, tls::Proof::Server, tls::Board::Small, hit.line);
}

fn register_code(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.start(S::Dynreg, hit.line);
    match hit.int() {
        Some(200) => tracker.done(S::Dynreg, hit.line),
        Some(_) => registration_refused(tracker, "", hit.line),
        None => {}
    }
}

fn register_text(tracker: &mut Tracker, hit: &Hit<'_>) {
    if !hit.rest().trim().eq_ignore_ascii_case("success") {
        registration_refused(tracker, hit.rest(), hit.line);
    }
}

fn registration_refused(tracker: &mut Tracker, text: &str, line: &Line<'_>) {
    let text = text.to_lowercase();
    let closed = text.contains("closed");
    let Some(fault) = tracker.suspect("dynreg.refused", SYMPTOM, line) else { return };
    if closed {
        prefer(&mut fault.alternatives, "dynreg.disabled");
        prefer(&mut fault.alternatives, "dynreg.signature_rejected");
    } else if text.contains("sign") {
        prefer(&mut fault.alternatives, "dynreg.signature_rejected");
    } else if text.contains("device") && text.contains("not") {
        prefer(&mut fault.alternatives, "dynreg.device_unknown");
    }
}

/// A result code in an HTTP answer that is printed while an answer is awaited.
fn http_code(tracker: &mut Tracker, hit: &Hit<'_>) {
    let dispatch = tracker.started_at(S::Dispatch) > tracker.done_at(S::Dispatch);
    let register = tracker.started_at(S::Dynreg) > tracker.done_at(S::Dynreg);
    if !(dispatch || register) || tracker.memo.connected {
        return;
    }
    let Some(code) = hit.int().or_else(|| json(hit.line.text, "code").and_then(int)) else {
        return;
    };
    let text = json(hit.line.text, "message").unwrap_or_default();
    match code {
        200 => {}
        _ if register && !dispatch => registration_refused(tracker, text, hit.line),
        code => dispatch_fault(tracker, code, text, hit.line),
    }
}

fn dispatch_fault(tracker: &mut Tracker, code: i64, text: &str, line: &Line<'_>) {
    let unknown = code == 5244 || text.to_lowercase().contains("not found");
    let code = if unknown { "dispatch.device_unknown" } else { "dispatch.refused" };
    if code == "dispatch.refused" && tracker.has_fault("dispatch.device_unknown") {
        return tracker.evidence("dispatch.device_unknown", line);
    }
    if unknown {
        tracker.retract("dispatch.refused");
    }
    tracker.attempt_fault(code, line);
}

fn dispatch_code(tracker: &mut Tracker, hit: &Hit<'_>) {
    if let Some(code) = hit.int().filter(|code| *code != 200) {
        dispatch_fault(tracker, code, "", hit.line);
    }
}

fn dispatch_refused(tracker: &mut Tracker, hit: &Hit<'_>) {
    let known = [
        "dispatch.device_unknown",
        "dispatch.refused",
        "http.no_response",
        "tcp.connect_failed",
        "dns.unresolved",
    ];
    if known.iter().any(|code| tracker.has_fault(code)) {
        return tracker.consequence(hit.line, "dispatch.refused");
    }
    tracker.fault("dispatch.refused", hit.line);
}

fn http_silent(tracker: &mut Tracker, hit: &Hit<'_>) {
    let register = tracker.started_at(S::Dynreg) > tracker.done_at(S::Dynreg);
    let wanted = register || tracker.started_at(S::Dispatch) > tracker.done_at(S::Dispatch);
    if wanted && let Some(fault) = tracker.suspect("http.no_response", LIKELY, hit.line) {
        fault.stage = Some(if register { S::Dynreg } else { S::Dispatch });
    }
}

/// -34 … -38 for CONNACK 5 … 1 (Alibaba §11.1; -38 UNVERIFIED).
fn connack(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.start(S::MqttConnack, hit.line);
    if let Some(code) = hit.int().and_then(|result| shared::connack(result + 39)) {
        tracker.attempt_fault(code, hit.line);
    }
}

/// The peer closed: before CONNACK it is a cause, later a lost session.
fn closed(tracker: &mut Tracker, hit: &Hit<'_>) {
    let waiting = !tracker.memo.connected
        && tracker.started_at(S::MqttConnack) > tracker.done_at(S::MqttConnack);
    if waiting && !tracker.memo.attempt_failed {
        tracker.attempt_fault("mqtt.closed_before_connack", hit.line);
    }
}

fn generic(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.memo.set("generic");
    let known = tracker.faults.iter().any(|fault| !fault.healed && !fault.side);
    if !known && tracker.memo.message.is_empty() {
        let (number, text) = (hit.line.number, hit.line.text.chars().take(300).collect::<String>());
        tracker.memo.message = format!("{number}\t{text}");
    }
    tracker.consequence(hit.line, "mqtt.connect_failed");
}

fn up(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.session_up(hit.line);
    tracker.memo.message.clear();
    tracker.memo.clear("generic");
    if tracker.memo.has("migrating") {
        tracker.memo.clear("migrating");
        tracker.done(S::RegionMigrate, hit.line);
        tracker.heal("region.migrate_failed");
        tracker.side("region.migrated", hit.line);
    }
}

fn up_again(tracker: &mut Tracker, hit: &Hit<'_>) {
    up(tracker, hit);
}

/// `state_code:-0xNNNN, str_msg=text`: present only where the firmware switches diagnosis on.
fn state(tracker: &mut Tracker, hit: &Hit<'_>) {
    let text = hit.line.text.split_once("str_msg=").map_or("", |(_, text)| text.trim());
    let line = hit.line;
    let Some(number) = hit.hex() else { return };
    match number {
        0x0301..=0x0305 if text.starts_with("mqtt ack") => state_connack(tracker, number, line),
        0x0342 if !tracker.memo.attempt_failed => tracker.attempt_fault("tcp.connect_failed", line),
        0x0344 if !tracker.memo.attempt_failed => shared::connack_missing(tracker, line),
        0x0341 => tracker.fault("tls.server_cert_expired", line),
        0x0443 | 0x0444 => tracker.fault("provision.request_invalid", line),
        0x0445 => tracker.fault("provision.password_undecryptable", line),
        0x0441 => tracker.fault("provision.softap_start_failed", line),
        0x0461 => tracker.fault("wifi.ap_not_found", line),
        0x0462 => tracker.fault("wifi.weak_signal", line),
        0x0463 => tracker.fault("wifi.auth_failed", line),
        0x0464 => tracker.fault("dhcp.no_address", line),
        0x0405 if !wifi_known(tracker) => tracker.fault("wifi.join_failed", line),
        0x0641 => tracker.fault("dns.unresolved", line),
        0x0642 => http_silent(tracker, hit),
        0x0643 => {
            let code = text.split_once("ret_code = ").and_then(|(_, code)| int(code)).unwrap_or(0);
            dispatch_fault(tracker, code, text, line);
        }
        0x0601 | 0x0602 => registration_refused(tracker, text, line),
        0x0804 | 0x0812 if text.contains("timeout") => token_timeout(tracker, hit),
        0x0842 => tracker.fault("bind.token_publish_unacked", line),
        0x080e => tracker.fault("bind.token_expired", line),
        _ => {}
    }
}

fn state_connack(tracker: &mut Tracker, number: i64, line: &Line<'_>) {
    let code = match number {
        0x0301 => "mqtt.protocol_refused",
        0x0302 => "mqtt.client_id_rejected",
        0x0303 => "mqtt.server_unavailable",
        0x0304 => "mqtt.not_authorised",
        _ => "mqtt.bad_credentials",
    };
    tracker.attempt_fault(code, line);
}

/// LinkSDK 4 counts CONNACK codes 0, 1, 2, 3, 4 (Alibaba §11.1).
fn link4(tracker: &mut Tracker, hit: &Hit<'_>) {
    let line = hit.line;
    let code = match hit.hex() {
        Some(0x0302) => "mqtt.protocol_refused",
        Some(0x0303) => "mqtt.client_id_rejected",
        Some(0x0304) => "mqtt.server_unavailable",
        Some(0x0305) => "mqtt.bad_credentials",
        Some(0x0306) => "mqtt.not_authorised",
        Some(0x0f10 | 0x0203) if !tracker.memo.attempt_failed => "tcp.connect_failed",
        Some(0x0f0b) => "dns.unresolved",
        Some(0x0f23) if !tracker.memo.attempt_failed => "tls.handshake_closed",
        Some(0x0f18) => "tls.server_cert_untrusted",
        Some(0x0204) => "mqtt.closed_before_connack",
        Some(0x0104..=0x0108) => "identity.missing",
        Some(0x0205 | 0x0315)
            if !tracker.has_fault("mqtt.connack_timeout")
                && !tracker.has_fault("cloud.throttled") =>
        {
            return shared::connack_missing(tracker, line);
        }
        _ => return tracker.consequence(line, "mqtt.connect_failed"),
    };
    if let Some((number, text)) = tracker.memo.message.clone().split_once('\t')
        && code.starts_with("mqtt.")
    {
        let number = number.parse().unwrap_or(line.number);
        let _ = tracker.suspect_quoted(code, CERTAIN, number, text);
    }
    tracker.attempt_fault(code, line);
}

fn python(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.fault("mqtt.connect_failed", hit.line);
}

fn granted(tracker: &mut Tracker, hit: &Hit<'_>) {
    let value = hit.rest().split_once(':').and_then(|(_, value)| int(value));
    match value {
        Some(-128 | 128) => tracker.fault("subscribe.refused", hit.line),
        Some(_) => tracker.done(S::Subscribe, hit.line),
        None => {}
    }
}

fn token(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.start(S::TokenReport, hit.line);
    tracker.prove(AOS);
    tracker.memo.token_quote = Some((hit.line.number, hit.line.text.chars().take(400).collect()));
    tracker.memo.token_ms = hit.line.time().map(|stamp| stamp.ms);
    tracker.memo.token_replied = false;
}

fn token_sent(tracker: &mut Tracker, hit: &Hit<'_>) {
    match hit.int() {
        Some(0..) => {
            tracker.done(S::TokenReport, hit.line);
            tracker.start(S::TokenReply, hit.line);
        }
        Some(_) => tracker.fault("bind.token_publish_unacked", hit.line),
        None => {}
    }
}

fn token_reply(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.prove(AOS);
    tracker.memo.token_replied = true;
    tracker.memo.reply_ms = hit.line.time().map(|stamp| stamp.ms);
    tracker.done(S::TokenReply, hit.line);
    for code in
        ["bind.token_not_acknowledged", "bind.token_reply_unmatched", "bind.token_publish_unacked"]
    {
        tracker.heal(code);
    }
}

fn token_timeout(tracker: &mut Tracker, hit: &Hit<'_>) {
    for cause in ["subscribe.refused", "bind.token_reply_unmatched"] {
        if tracker.has_fault(cause) {
            return tracker.consequence(hit.line, "bind.token_not_acknowledged");
        }
    }
    let _ = tracker.suspect("bind.token_not_acknowledged", CERTAIN, hit.line);
}

fn unmatched(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.memo.topic.contains("enrollee/match_reply") {
        if tracker.has_fault("subscribe.refused") {
            return tracker.evidence("subscribe.refused", hit.line);
        }
        tracker.fault("bind.token_reply_unmatched", hit.line);
    }
    tracker.memo.topic.clear();
}

fn notify_failed(tracker: &mut Tracker, hit: &Hit<'_>) {
    // Before the reply nothing is announced; a broadcast without a route harms nothing then.
    if tracker.done_at(S::TokenReply) > 0 && tracker.done_at(S::LanNotify) == 0 {
        tracker.fault("lan.notify_send_failed", hit.line);
    }
}

/// Queries of a phone without an answer that count as a failure.
const QUERIES_UNANSWERED: u32 = 3;

fn query(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.start(S::LanQuery, hit.line);
    tracker.memo.sends += 1;
    if tracker.memo.sends >= QUERIES_UNANSWERED {
        let _ = tracker.suspect("bind.no_token_available", ABSENCE, hit.line);
    }
}

fn no_token(tracker: &mut Tracker, hit: &Hit<'_>) {
    let _ = tracker.suspect("bind.no_token_available", LIKELY, hit.line);
}

fn migrate(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.start(S::RegionMigrate, hit.line);
    tracker.memo.set("migrating");
    tracker.memo.moved_ms = hit.line.time().map(|stamp| stamp.ms);
    // The platform asked for this disconnect.
    tracker.memo.connected = false;
}

/// Token reports without an answer are late after this, milliseconds (S0: 30 s, twice).
const REPLY_LATE_MS: i64 = 60_000;

/// The announcement on the LAN follows the reply at once; after this it is missing, milliseconds.
const NOTIFY_LATE_MS: i64 = 30_000;

/// A device that was sent to another region is there after this, milliseconds; lines where none
/// are dated.
const MOVE_LATE_MS: i64 = 60_000;
const MOVE_LATE_LINES: u64 = 200;

/// Decides by absence.
pub(super) fn finish(tracker: &mut Tracker) {
    let open = tracker.memo.token_quote.clone().filter(|_| !tracker.memo.token_replied);
    let late = match (tracker.memo.token_ms, tracker.last_ms) {
        (Some(sent), Some(last)) => last - sent > REPLY_LATE_MS,
        _ => false,
    };
    let known = ["subscribe.refused", "bind.token_reply_unmatched", "bind.token_not_acknowledged"]
        .iter()
        .any(|code| tracker.has_fault(code));
    if let Some((number, text)) = open
        && late
        && !known
    {
        let _ = tracker.suspect_quoted("bind.token_not_acknowledged", ABSENCE, number, &text);
    }
    tracker.token_missing(REPLY_LATE_MS);
    let replied = tracker.done_at(S::TokenReply);
    let silent = tracker.started_at(S::LanNotify) == 0 && tracker.done_at(S::LanQuery) == 0;
    let since = match (tracker.memo.reply_ms, tracker.last_ms) {
        (Some(reply), Some(last)) => last - reply,
        _ => 0,
    };
    if replied > 0 && silent && since > NOTIFY_LATE_MS {
        let text = "the cloud answered the token, and no device.info.notify follows";
        let _ = tracker.suspect_quoted("lan.notify_not_sent", ABSENCE, replied, text);
    }
    let moved_late = match (tracker.memo.moved_ms, tracker.last_ms) {
        (Some(moved), Some(last)) => last - moved > MOVE_LATE_MS,
        _ => tracker.last_line > tracker.started_at(S::RegionMigrate) + MOVE_LATE_LINES,
    };
    if tracker.memo.has("migrating") && moved_late {
        let at = tracker.started_at(S::RegionMigrate);
        let _ =
            tracker.suspect_quoted("region.migrate_failed", ABSENCE, at, "thing/bootstrap/notify");
    }
    // Without a session or an answer there is no token to give: that is the deeper cause.
    let deeper = tracker.faults.iter().any(|fault| {
        let code = fault.code;
        let (family, name) = code.split_once('.').unwrap_or((code, ""));
        let why = family == "mqtt" || (family == "bind" && name.starts_with("token_"));
        !fault.healed
            && !fault.side
            && (why || code == "subscribe.refused" || code == "lan.coap_register_failed")
    });
    if deeper {
        tracker.retract("bind.no_token_available");
    }
    // Only constant final lines: the cause is not in the log.
    let nothing = tracker.faults.iter().all(|fault| fault.side || fault.healed);
    if nothing
        && !tracker.memo.connected
        && tracker.memo.has("generic")
        && let Some((number, text)) = tracker.memo.message.clone().split_once('\t')
    {
        let number = number.parse().unwrap_or(tracker.last_line);
        let _ = tracker.suspect_quoted("mqtt.connect_failed", SYMPTOM, number, text);
    }
}
