//! The device against the recordings of the real firmware: the same messages, in the same order,
//! at nearly the same times.

use super::*;

/// Largest difference between the recorded and our pause before a message, milliseconds.
const TOLERANCE_MS: u64 = 700;

macro_rules! transcript {
    ($name:literal) => {
        include_str!(concat!("../../../../transcripts/tencent/", $name, ".json"))
    };
}

/// What the device said in a recording, from the phone's first datagram on (or the start).
fn recorded(text: &str) -> Vec<Line> {
    let run: Value = serde_json::from_str(text).expect("transcript");
    let mut lines = Vec::new();
    for x in run["exchanges"].as_array().expect("list") {
        if !x["dir"].as_str().is_some_and(|dir| dir.starts_with("dev->")) {
            continue;
        }
        let payload = || plain(x["payload"].as_str().unwrap_or_default().as_bytes());
        let field = |key: &str| x[key].as_str().unwrap_or_default();
        let text = match (field("transport"), field("packet")) {
            ("udp", _) => format!("udp {}", payload()),
            ("http" | "https", _) => format!("http {} {}", field("request"), payload()),
            (transport, "CONNECT") => {
                let tls = if transport == "mqtts" { "psk" } else { "plain" };
                let password = if x["password"].is_string() { " password" } else { "" };
                let keep_alive = &x["keep_alive"];
                format!("CONNECT {tls} {} {keep_alive}{password}", field("client_id"))
            }
            (_, "SUBSCRIBE") => {
                let filter = x["filters"][0][0].as_str().expect("filter");
                format!("SUBSCRIBE {filter} {}", x["filters"][0][1])
            }
            (_, "PUBLISH") => format!("PUBLISH {} {} {}", field("topic"), x["qos"], payload()),
            (_, "DISCONNECT") => "DISCONNECT".to_string(),
            _ => continue,
        };
        let ms = (x["t"].as_f64().expect("time") * 1000.0).round() as u64;
        lines.push(Line { ms, text });
    }
    lines
}

/// Compares texts one by one, and the pauses between them. The sample's last goodbye is its
/// process ending; ours lives on.
fn compare(name: &str, bench: &Bench, expected: Vec<Line>) {
    compare_within(TOLERANCE_MS, name, bench, expected);
}

fn compare_within(tolerance_ms: u64, name: &str, bench: &Bench, mut expected: Vec<Line>) {
    if expected.last().is_some_and(|line| line.text == "DISCONNECT") {
        expected.pop();
    }
    let texts = |lines: &[Line]| lines.iter().map(|l| l.text.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&bench.said), texts(&expected), "{name}");
    for (ours, theirs) in bench.said.windows(2).zip(expected.windows(2)) {
        let pause = |pair: &[Line]| pair[1].ms - pair[0].ms;
        let difference = pause(ours).abs_diff(pause(theirs));
        assert!(difference <= tolerance_ms, "{name}: {} before {:?}", pause(ours), theirs[1]);
    }
}

/// The sample subscribes properties alone.
fn sample(policy: Policy) -> Policy {
    Policy { channels: &[Channel::Property], ..policy }
}

#[test]
fn softap_and_binding_with_a_stored_secret() {
    let mut bench = Bench::new(soft_ap(), sample(Policy::v2()));
    bench.phone(2000, task());
    bench.run(25_000);
    compare("softap-bind-plain", &bench, recorded(transcript!("softap-bind-plain")));
    let stages: Vec<Stage> = bench.stages.clone();
    assert_eq!(
        stages,
        [
            Stage::ProvisioningStarted,
            Stage::CredentialsReceived,
            Stage::DeviceReplied,
            Stage::NetworkJoined,
            Stage::Connecting,
            Stage::Connected,
            Stage::TokenSent,
            Stage::Bound,
            Stage::FirstReport
        ]
    );
    assert_eq!(bench.store.keys().copied().collect::<Vec<_>>(), [store::BOUND, store::WIFI]);
}

#[test]
fn softap_with_registration_plain_and_psk() {
    // The firmware reads the HTTP answer until 2 s of silence.
    let settle = Duration::from_millis(2500);
    for (name, text, proof, settle) in [
        (
            "softap-dynreg-bind-plain-http",
            transcript!("softap-dynreg-bind-plain-http"),
            Proof::Sha1 { tls: false },
            settle,
        ),
        ("softap-dynreg-bind-psk", transcript!("softap-dynreg-bind-psk"), Proof::Psk, settle),
    ] {
        let mut config = soft_ap().with_registrar("127.0.0.1", 80, false, Variant::One);
        config.secret = None;
        config.product_secret = Some(PRODUCT_SECRET.into());
        config.proof = proof;
        let policy = Policy { register_settle: settle, ..sample(Policy::v2()) };
        let mut bench = Bench::new(config, policy);
        bench.phone(2000, task());
        bench.run(25_000);
        compare(name, &bench, recorded(text));
        assert!(bench.store[store::SECRET].matches(SECRET.as_bytes()), "{name}");
    }
}

#[test]
fn protocol_3_with_pair_time() {
    let mut bench = Bench::new(soft_ap(), sample(Policy::v3()));
    bench.phone(2000, task());
    bench.run(25_000);
    let mut expected = recorded(transcript!("v3-softap-bind-plain"));
    // SDK 3.2.1 binds with the 240 s of its template and operates with 120 s.
    for line in &mut expected {
        line.text = line.text.replace(" 240 ", " 120 ");
    }
    compare("v3-softap-bind-plain", &bench, expected);
}

#[test]
fn protocol_3_by_camera() {
    let mut config = soft_ap();
    config.start = Start::Camera;
    // The firmware takes 3 s from code to network.
    let mut bench = Bench::new(config, sample(Policy::v3()));
    let code = r#"{"SSID":"lab-home","password":"lab-pass-1","token":"your_token"}"#;
    bench.after(2980, Due::ToDevice(Input::App(Request::Scanned(code.into()))));
    bench.run(25_000);
    let mut expected = recorded(transcript!("v3-qrcode-bind-plain"));
    for line in &mut expected {
        line.text = line.text.replace(" 240 ", " 120 ");
    }
    let texts = |lines: &[Line]| lines.iter().map(|l| l.text.clone()).collect::<Vec<_>>();
    expected.pop();
    assert_eq!(texts(&bench.said), texts(&expected));
}

#[test]
fn a_refused_token_ends_protocol_3() {
    let mut bench = Bench::new(soft_ap(), sample(Policy::v3()));
    bench.verdict = Verdict::Code(1029, "token invalid");
    bench.phone(2000, task());
    bench.run(10_900);
    let mut expected = recorded(transcript!("v3-bind-code"));
    for line in &mut expected {
        line.text = line.text.replace(" 240 ", " 120 ");
    }
    assert_eq!(bench.said.last().map(|line| &*line.text), Some("DISCONNECT"));
    bench.said.pop();
    compare("v3-bind-code", &bench, expected);
    assert_eq!(bench.failures, ["bind.unknown_token"]);
    assert!(!bench.store.contains_key(store::TOKEN) && !bench.store.contains_key(store::BOUND));
}

#[test]
fn a_lenient_2_0_device_calls_everything_acknowledged_a_success() {
    for (name, text, verdict) in [
        ("bind-no-reply", transcript!("bind-no-reply"), Verdict::Silence),
        ("bind-garbage", transcript!("bind-garbage"), Verdict::Garbage),
    ] {
        let mut bench = Bench::new(soft_ap(), sample(Policy::v2_lenient()));
        bench.verdict = verdict;
        bench.phone(2000, task());
        bench.run(25_000);
        compare(name, &bench, recorded(text));
        assert!(bench.stages.contains(&Stage::Bound), "{name}");
    }
}

#[test]
fn no_puback_repeats_the_token_three_times() {
    let mut bench = Bench::new(soft_ap(), sample(Policy::v2()));
    bench.verdict = Verdict::NoPubAck;
    bench.phone(2000, task());
    bench.run(25_000);
    let tries = |lines: &[Line]| lines.iter().filter(|l| l.text.contains("app_bind_token")).count();
    assert_eq!(tries(&recorded(transcript!("bind-no-puback"))), tries(&bench.said));
    assert_eq!(bench.failures, ["attempt.token_not_reported"]);
}

#[test]
fn the_data_template_sample_says_the_same_on_each_topic() {
    let mut config = soft_ap();
    config.start = Start::Direct;
    config.info = json!({
        "module_hardinfo": "ESP8266", "module_softinfo": "V1.0", "fw_ver": "3.1.5",
        "imei": "11-22-33-44", "lat": "22.546015", "lon": "113.941125",
        "device_label": {"append_info": "your self define info"}
    })
    .as_object()
    .expect("object")
    .clone();
    let channels = &[Channel::Property, Channel::Event, Channel::Action];
    let mut bench = Bench::new(config, Policy { time_sync: false, channels, ..Policy::v2() });
    bench.lamp = json!({
        "power_switch": 1, "color": 1, "brightness": 1, "name": "",
        "position": {"longitude": 1, "latitude": 1}
    });
    bench.status = json!({
        "reported": {"power_switch": 0, "color": 0, "brightness": 10},
        "control": {"power_switch": 1}
    });
    bench.run(3000);
    let control = r#"{"method":"control","clientToken":"clientToken-8a1f0c2d","params":{"power_switch":1,"color":2,"brightness":66}}"#;
    let action = r#"{"method":"action","clientToken":"act-20a4ccfd","actionId":"light_blink","timestamp":1795222640,"params":{"time":5,"color":1,"total_time":30}}"#;
    bench.message(0, "$thing/down/property/L4WG9V9M2M/TEST2", control);
    bench.message(100, "$thing/down/action/L4WG9V9M2M/TEST2", action);
    bench.run(2000);
    let by_topic = |lines: &[Line]| {
        let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in lines {
            let mut words = line.text.splitn(3, ' ');
            let key = (words.next(), words.next());
            map.entry(format!("{key:?}")).or_default().push(words.next().unwrap_or("").into());
        }
        map
    };
    let mut ours = by_topic(&bench.said);
    let mut theirs = by_topic(&recorded(transcript!("data-template-full-plain")));
    // The sample posts its event by a key press that the recording does not hold; it reports the
    // whole state once where this application reports what was set.
    let properties = r#"(Some("PUBLISH"), Some("$thing/up/property/L4WG9V9M2M/TEST2"))"#;
    let mut mine = ours.remove(properties).expect("own reports");
    mine.retain(|text| !text.contains(r#""params":{"power_switch":1}"#));
    let mut kept = theirs.remove(properties).expect("recorded reports");
    mine.sort();
    kept.sort();
    assert_eq!(mine, kept);
    assert_eq!(ours, theirs);
}

#[test]
fn unbinding_both_ways() {
    let mut config = soft_ap();
    config.start = Start::Direct;
    let channels = &[Channel::Property, Channel::Service];
    let policy = Policy { channels, ..Policy::v3() };
    let mut bench = Bench::new(config, policy);
    bench.run(2000);
    let unbind =
        r#"{"method":"unbind_device","clientToken":"clientToken-e1a0","timestamp":1795222289}"#;
    bench.message(0, "$thing/down/service/L4WG9V9M2M/TEST2", unbind);
    bench.run(100);
    bench.after(0, Due::ToDevice(Input::App(Request::Unbind)));
    bench.run(1000);
    // The sample sleeps 1 s after each subscription.
    let expected = recorded(transcript!("v3-mqtt-unbind-plain"));
    compare_within(1010, "v3-mqtt-unbind-plain", &bench, expected);
    assert_eq!(bench.events.iter().filter(|e| **e == Event::Unbound).count(), 2);
}
