//! The same runs in other clothes: prefixes, encodings, line ends, ids, noise, several devices and
//! boots. The cause must not depend on any of them.

mod common;

use common::{Label, codes, diagnose, errors, labels, sample};
use roadstead_doctor::{Doctor, Report, Severity, Verdict};

/// Labels of device logs that count.
fn cases() -> Vec<Label> {
    labels().into_iter().filter(|label| label.weight > 0.0 && label.healthy.is_some()).collect()
}

/// Checks every sample after `change`; the change keeps line numbers meaningless on purpose.
fn all_after(what: &str, change: impl Fn(&[u8]) -> Vec<u8>) {
    let mut wrong = Vec::new();
    for label in cases() {
        let report = diagnose(&change(&sample(&label.file)));
        for problem in label.problems(&report) {
            wrong.push(format!("{}: {problem}", label.file));
        }
    }
    assert!(wrong.is_empty(), "{what}: {} problems\n{}", wrong.len(), wrong.join("\n"));
}

fn each_line(bytes: &[u8], change: impl Fn(usize, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    lines.map(|(n, line)| change(n, line)).collect::<Vec<_>>().join(&b'\n')
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn prefixes_of_collectors() {
    all_after("terminal", |b| each_line(b, |_, l| join(&[b"[COM7] ", l])));
    all_after("time and port", |b| {
        each_line(b, |n, l| {
            join(&[format!("[12:00:{:02}.123] [ttyUSB0] ", n / 50 % 60).as_bytes(), l])
        })
    });
    all_after("syslog", |b| each_line(b, |_, l| join(&[b"Nov 21 00:34:19 gw01 app[812]: ", l])));
    all_after("logcat", |b| {
        each_line(b, |_, l| join(&[b"11-21 00:34:19.123  1203  1291 I iot     : ", l]))
    });
    all_after("esp-idf", |b| {
        each_line(b, |n, l| join(&[format!("I ({}) iot: ", 1000 + n).as_bytes(), l]))
    });
    all_after("compose", |b| each_line(b, |_, l| join(&[b"device-1  | ", l])));
    all_after("container", |b| {
        each_line(b, |_, l| {
            let text = String::from_utf8_lossy(l);
            serde_json::json!({"log": format!("{text}\n"), "stream": "stdout", "time": "2026-11-21T00:00:00Z"})
                .to_string()
                .into_bytes()
        })
    });
}

#[test]
fn line_ends_and_terminal_control() {
    all_after("crlf", |b| each_line(b, |_, l| join(&[l, b"\r"])));
    all_after("crcrlf", |b| each_line(b, |_, l| join(&[l, b"\r\r"])));
    all_after("colours", |b| each_line(b, |_, l| join(&[b"\x1b[0m\x1b[1;36m", l, b"\x1b[0m"])));
    all_after("nul", |b| each_line(b, |_, l| join(&[b"\0", l, b"\0\0"])));
}

#[test]
fn encodings() {
    all_after("bom", |b| join(&[b"\xef\xbb\xbf", b]));
    all_after("utf-16", |b| {
        let text = String::from_utf8_lossy(b);
        join(&[b"\xff\xfe", &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()])
    });
    // A Chinese remark in GB18030 before each line, as a serial tool on Windows writes it.
    all_after("gbk", |b| each_line(b, |_, l| join(&[b"\xc9\xe8\xb1\xb8 ", l])));
}

/// A terminal of 80 columns cuts every longer line.
#[test]
fn lines_wrapped_by_a_terminal() {
    for file in [
        "tencent/connack-5.log",
        "tencent/dns-plain.log",
        "tencent/dynreg-sign.log",
        "tencent/wrong-psk.log",
        "huawei/c-sdk-06.log",
        "huawei/python-sdk-03.log",
        "huawei/tiny-mqtt-04.log",
        "alibaba/l16_connack2.log",
        "alibaba/v301_connack5.log",
    ] {
        let log = sample(file);
        let wrapped = each_line(&log, |_, l| l.chunks(80).collect::<Vec<_>>().join(&b'\n'));
        assert_eq!(errors(&diagnose(&wrapped)), errors(&diagnose(&log)), "{file}");
    }
}

#[test]
fn noise_between_the_lines() {
    const NOISE: &[&str] = &[
        "[ 1234.567890] usb 1-1: new full-speed USB device number 4 using xhci_hcd",
        "192.168.1.4 - - [21/Nov/2026:00:34:19 +0000] \"GET /x HTTP/1.1\" 404 153",
        "Nov 21 00:34:19 host CRON[812]: (root) CMD (run-parts /etc/cron.hourly)",
        "mosquitto[1]: Client x disconnected, not authorised.",
        "sensor: temperature=21.5 error=0 timeout=5 refused=false",
        "E (321) camera: Failed to get the frame on time!",
        "\u{1b}]0;title\u{7}\u{1b}[2J\u{1b}[31mred\u{1b}[0m",
        "",
    ];
    all_after("noise", |b| {
        each_line(b, |n, l| {
            // Not inside a printed payload, where a real writer could not interrupt either.
            let inside = l.first().is_some_and(|byte| b" \t\"{}<>".contains(byte)) || l.len() == 80;
            if inside { l.to_vec() } else { join(&[NOISE[n % NOISE.len()].as_bytes(), b"\n", l]) }
        })
    });
}

#[test]
fn other_ids_and_times() {
    all_after("ids", |b| {
        let text = String::from_utf8_lossy(b).into_owned();
        let text = text
            .replace("L4WG9V9M2M", "ZZ99PRODUC")
            .replace("TEST2", "kitchen-7")
            .replace("a1RsKq9ZxTb", "b7QwErTyUiO")
            .replace("lamp-0001", "pump_42")
            .replace("2026-11-21", "1970-01-01")
            .replace("192.168.77.1", "10.20.30.40");
        text.into_bytes()
    });
}

/// Cutting the head keeps the cause as long as its lines are there; cutting the tail never makes a
/// healthy log faulty.
#[test]
fn a_healthy_log_cut_anywhere_is_never_faulty() {
    for label in cases().into_iter().filter(|label| label.healthy == Some(true)) {
        let bytes = sample(&label.file);
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        for tenth in 1..10 {
            let report = diagnose(&lines[..lines.len() * tenth / 10].concat());
            let found = errors(&report);
            let known = found.iter().all(|code| {
                label.acceptable.iter().any(|ok| ok == code)
                    || *code == "command.no_response"
                    || *code == "ota.interrupted"
            });
            assert!(known, "{} cut at {tenth}0 %: {:?}", label.file, codes(&report));
        }
    }
}

#[test]
fn a_cut_head_keeps_the_cause() {
    let mut wrong = Vec::new();
    for label in cases().into_iter().filter(|label| label.healthy == Some(false)) {
        let bytes = sample(&label.file);
        let whole = diagnose(&bytes);
        let Some(line) = whole.findings.first().and_then(|f| f.evidence.first()).map(|e| e.line)
        else {
            continue;
        };
        let from = (line as usize).saturating_sub(12);
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let report = diagnose(&lines[from.min(lines.len())..].concat());
        let ok = errors(&report)
            .first()
            .is_some_and(|first| label.acceptable.iter().any(|code| code == first));
        if !ok && report.verdict != Verdict::Incomplete && report.verdict != Verdict::NotRecognised
        {
            wrong.push(format!("{}: {:?}", label.file, codes(&report)));
        }
    }
    assert!(wrong.len() <= 4, "{} of the cut logs\n{}", wrong.len(), wrong.join("\n"));
}

/// A fault in one boot and a good boot of the same device after it: healthy with a warning.
#[test]
fn a_fault_that_a_later_boot_overcame_is_a_warning() {
    for (bad, good) in [
        ("tencent/connack-5.log", "tencent/ok-mqtt-sample-plain.log"),
        ("tencent/dns-plain.log", "tencent/ok-mqtt-sample-plain.log"),
        ("tencent/wrong-psk.log", "tencent/ok-mqtt-sample-psk.log"),
        ("alibaba/l16_connack4.log", "alibaba/l16_ok.log"),
        ("alibaba/v301_connack5.log", "alibaba/v301_ok.log"),
        ("huawei/tiny-mqtt-01.log", "huawei/tiny-mqtt-08.log"),
        ("huawei/python-sdk-03.log", "huawei/python-sdk-07.log"),
        ("huawei/c-sdk-04.log", "huawei/c-sdk-16.log"),
        ("gizwits/mcu_silent.log", "gizwits/first_boot.log"),
    ] {
        let report = diagnose(&join(&[&sample(bad), b"\n", &sample(good)]));
        assert_eq!(report.verdict, Verdict::Healthy, "{bad} then {good}: {:?}", codes(&report));
        assert!(!report.findings.is_empty(), "{bad} then {good}: no warning");
        let report = diagnose(&join(&[&sample(good), b"\n", &sample(bad)]));
        assert_eq!(report.verdict, Verdict::Fault, "{good} then {bad}: {:?}", codes(&report));
    }
}

/// Two devices of two vendors, line by line, with and without a prefix.
#[test]
fn interleaved_devices_are_told_apart() {
    for (a, b) in [
        ("tencent/connack-5.log", "huawei/python-sdk-08.log"),
        ("alibaba/l16_connack2.log", "gizwits/connack_4.log"),
        ("tencent/ok-mqtt-sample-plain.log", "huawei/tiny-mqtt-04.log"),
        ("tencent/wrong-psk.log", "tencent/ok-ota-plain-ok.log"),
    ] {
        let (one, two) = (sample(a), sample(b));
        let mut mixed = Vec::new();
        let mut left = one.split(|byte| *byte == b'\n');
        let mut right = two.split(|byte| *byte == b'\n');
        loop {
            let (l, r) = (left.next(), right.next());
            if l.is_none() && r.is_none() {
                break;
            }
            l.into_iter().for_each(|l| mixed.extend(join(&[b"[dev-1] ", l, b"\n"])));
            r.into_iter().for_each(|r| mixed.extend(join(&[b"[dev-2] ", r, b"\n"])));
        }
        let report = diagnose(&mixed);
        let alone: Vec<_> = [one, two].iter().flat_map(|log| errors(&diagnose(log))).collect();
        let mut got = errors(&report);
        let mut expected = alone.clone();
        got.sort_unstable();
        expected.sort_unstable();
        assert_eq!(got, expected, "{a} with {b}");
        assert_eq!(report.devices.len(), 2, "{a} with {b}");
    }
}

/// Two devices of two vendors in one log without any prefix: each speaks its own words.
#[test]
fn interleaved_devices_without_a_prefix_are_told_apart() {
    for (a, b) in [
        ("tencent/connack-5.log", "huawei/python-sdk-08.log"),
        ("alibaba/l16_connack2.log", "gizwits/connack_4.log"),
        ("tencent/ok-mqtt-sample-plain.log", "huawei/tiny-mqtt-04.log"),
        ("alibaba/v301_connack5.log", "tencent/ok-ota-plain-ok.log"),
        ("gizwits/wrong_passcode.log", "alibaba/l16_ok.log"),
    ] {
        let (one, two) = (sample(a), sample(b));
        let mut mixed = Vec::new();
        let mut left = one.split(|byte| *byte == b'\n').peekable();
        let mut right = two.split(|byte| *byte == b'\n').peekable();
        while left.peek().is_some() || right.peek().is_some() {
            for line in [left.next(), right.next()].into_iter().flatten() {
                mixed.extend(join(&[line, b"\n"]));
            }
        }
        let report = diagnose(&mixed);
        let mut expected: Vec<_> =
            [one, two].iter().flat_map(|log| errors(&diagnose(log))).collect();
        let mut got = errors(&report);
        got.sort_unstable();
        expected.sort_unstable();
        assert_eq!((got, report.devices.len()), (expected, 2), "{a} with {b}");
    }
}

/// Returns where `yyyy-mm-dd hh:mm:ss` stands in a line.
fn date(line: &[u8]) -> Option<usize> {
    const SHAPE: &[u8] = b"0000-00-00 00:00:00";
    line.windows(SHAPE.len()).position(|part| {
        let same = |(byte, shape): (&u8, &u8)| match shape {
            b'0' => byte.is_ascii_digit(),
            shape => byte == shape,
        };
        part.iter().zip(SHAPE).all(same)
    })
}

/// Replaces each printed date by another shape of the same instant.
fn redated(bytes: &[u8], shape: impl Fn(&str) -> String) -> Vec<u8> {
    each_line(bytes, |_, line| match date(line) {
        Some(at) => {
            let text = String::from_utf8_lossy(&line[at..at + 19]).into_owned();
            join(&[&line[..at], shape(&text).as_bytes(), &line[at + 19..]])
        }
        None => line.to_vec(),
    })
}

#[test]
fn times_of_all_shapes() {
    all_after("iso", |b| redated(b, |text| text.replace(' ', "T")));
    all_after("slashes", |b| redated(b, |text| text.replace('-', "/")));
    all_after("time of day", |b| redated(b, |text| text[11..].to_owned()));
    all_after("month", |b| redated(b, |text| format!("Nov {} {}", &text[8..10], &text[11..])));
}

/// Without any time a log still shows its cause: only what is told by a delay may be missing.
#[test]
fn no_times_at_all() {
    let mut wrong = Vec::new();
    for label in cases() {
        let report = diagnose(&redated(&sample(&label.file), |_| String::new()));
        let by_delay = matches!(label.primary.as_deref(), Some("cloud.throttled"));
        let problems = label.problems(&report);
        if !by_delay && !problems.is_empty() {
            wrong.push(format!("{}: {problems:?}", label.file));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

/// Two devices of one SDK in one log without any prefix: they name themselves.
#[test]
fn devices_that_name_themselves_are_told_apart() {
    let bad = String::from_utf8_lossy(&sample("alibaba/l16_connack4.log")).into_owned();
    let good = String::from_utf8_lossy(&sample("alibaba/l16_ok.log")).into_owned();
    let other = |log: &str| log.replace("lamp-0001", "lamp-0002");
    let report = diagnose(format!("{bad}{}", other(&good)).as_bytes());
    let keys: Vec<&str> = report.devices.iter().map(|device| device.key.as_str()).collect();
    assert_eq!((keys.len(), errors(&report)), (2, vec!["mqtt.bad_credentials"]), "{keys:?}");
    assert_eq!(report.findings[0].device, 0, "the good device does not heal the bad one");
    // The same device again has overcome it.
    let report = diagnose(format!("{bad}{good}").as_bytes());
    assert_eq!((report.devices.len(), errors(&report)), (1, vec![]));
}

/// Words of a failure inside a payload are data.
#[test]
fn texts_in_payloads_do_not_alarm() {
    let decoys = [
        (
            "tencent/ok-mqtt-sample-plain.log",
            "DBG|2026-11-21 00:35:31|mqtt_client_publish.c|qcloud_iot_mqtt_publish(346): publish packetID=0|topicName=$thing/up/property/A/B|payload={\"method\":\"report\",\"params\":{\"text\":\"mqtt connect with id: abcde failed: -116\"}}\n",
        ),
        (
            "tencent/ok-mqtt-sample-plain.log",
            "INF|2026-11-21 00:35:30|mqtt_sample.c|cb(309): Receive Message With topicName:$thing/down/x, payload:Device secret decode err\n",
        ),
        ("alibaba/l16_ok.log", ">     \"text\": \"recvConnackProc error,result = -35\"\n"),
        (
            "huawei/c-sdk-16.log",
            "2026-11-21 00:35:09.303 DEBUG PUBLISH: topic=$oc/devices/d/sys/messages/up, messageId 9, payload is {\"content\":\"MqttBase_OnConnectFailure() error, messageId 0, code 4\"}\n",
        ),
    ];
    for (file, line) in decoys {
        let mut bytes = sample(file);
        bytes.extend_from_slice(line.as_bytes());
        let report = diagnose(&bytes);
        assert!(errors(&report).is_empty(), "{file}: {:?}", codes(&report));
    }
}

#[test]
fn foreign_and_bad_input() {
    let noise: Vec<u8> =
        (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let cases: [(&[u8], &str); 6] = [
        (b"", "input.empty"),
        (b" \n\t\r\n", "input.empty"),
        (&noise, "input.binary"),
        (
            b"mosquitto: Connection Refused: not authorised.\nconnect failed errno 111\n",
            "input.not_recognised",
        ),
        (
            b"I (321) MQTT: transport_base: tcp connect failed\nE (9) esp-tls: -0x7280\n",
            "input.not_recognised",
        ),
        (b"nginx: upstream timed out (110: Connection timed out)\n", "input.not_recognised"),
    ];
    for (bytes, code) in cases {
        let report = diagnose(bytes);
        assert_eq!(report.verdict, Verdict::NotRecognised, "{code}: {:?}", codes(&report));
        assert_eq!(codes(&report), [("info", code)]);
        assert_eq!(report.exit(), 3);
    }
}

#[test]
fn several_files_are_several_devices() {
    let mut doctor = Doctor::new();
    for file in ["tencent/connack-5.log", "huawei/tiny-mqtt-08.log"] {
        doctor.begin(file);
        doctor.feed(&sample(file));
    }
    let report: Report = doctor.finish();
    assert_eq!((report.files.len(), report.devices.len()), (2, 2));
    assert_eq!(errors(&report), ["mqtt.not_authorised"]);
    let first = &report.findings[0];
    assert_eq!((first.severity, first.evidence[0].file), (Severity::Error, 0));
}

#[test]
fn an_explicit_cause_is_told_before_the_end() {
    let mut doctor = Doctor::new();
    doctor.begin("stream");
    doctor.feed(&sample("tencent/connack-5.log"));
    assert_eq!(doctor.news(), [("mqtt.not_authorised", 2)]);
    doctor.feed(b"more\n");
    assert!(doctor.news().is_empty());
}

/// The platform's trace names what the device's log leaves open.
#[test]
fn the_trace_decides_between_causes_that_look_alike() {
    let entry = |code: &str| {
        serde_json::json!({"at": "20261121T003759Z", "hop": "up", "what": "tls", "code": code, "text": "203.0.113.7"})
            .to_string()
    };
    for (log, code, expected) in [
        ("tencent/wrong-psk.log", "auth.psk_mismatch", "tls.psk_mismatch"),
        ("tencent/wrong-psk.log", "auth.unknown_device", "tls.psk_identity_unknown"),
        ("tencent/broker-goes-away.log", "session.taken_over", "mqtt.duplicate_client"),
        ("huawei/tiny-mqtt-01.log", "auth.certificate_mismatch", "tls.fingerprint_mismatch"),
        ("tencent/v3-bind-code.log", "bind.already_used", "bind.token_already_used"),
    ] {
        let mut doctor = Doctor::new();
        doctor.begin("device.log");
        doctor.feed(&sample(log));
        doctor.begin("trace.json");
        doctor.feed(entry(code).as_bytes());
        let report = doctor.finish();
        assert_eq!(errors(&report), [expected], "{log} with {code}");
        let first = &report.findings[0];
        assert!(first.confidence > 0.95 && first.alternatives.is_empty());
        assert!(
            first.evidence.iter().any(|e| e.file == 0)
                && first.evidence.iter().any(|e| e.file == 1)
        );
    }
}

#[test]
fn a_pretty_printed_trace_reads_alike() {
    let trace = serde_json::json!({"device_id": "d", "entries": [
        {"at": "20261121T003759Z", "hop": "up", "what": "login", "code": "auth.frozen", "text": ""},
    ]});
    let report = diagnose(format!("{trace:#}").as_bytes());
    assert_eq!(errors(&report), ["cloud.device_disabled"]);
}
