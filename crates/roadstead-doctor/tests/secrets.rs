//! No secret and no control sequence in any answer, however it is planted.

mod common;

use common::{diagnose, labels, sample};
use proptest::prelude::*;
use roadstead_doctor::{Lang, Report};

/// Shapes in which SDKs print secrets; `%` stands for the secret.
const SHAPES: &[&str] = &[
    r#"INF|2026-11-21 00:54:44|comm.c|task(278): Received 98 bytes from <127.0.0.1:50420> msg: {"cmdType":1,"ssid":"lab","password":"%"}"#,
    r#"x {"token":"%"} y"#,
    r#"x {\"token\":\"%\"} y"#,
    r#"{ "deviceSecret" : "%" }"#,
    "STA to connect SSID:lab-home PASSWORD:% CHANNEL:0",
    "ERR|2026-11-21 00:54:44|f.c|g(1): Device secret decode err, secret:%",
    "   DS : %",
    "[inf](1) add_svr_key(247): add_svr_key, key:Xtau, secret:%",
    "INFO passcode:%",
    "DEBUG GAgent passcode :% len=10",
    "passcode=%&mac=0247495A0001&product_key=6f30",
    "WARNING LAN login fail. your passcode:%",
    "INFO Send passcode(%) to client[7]",
    "INFO username: abc password: %",
    "[1795222756.444][LK-0318] %",
    "oc_mqtt_connect:user:dev1 passwd:%",
    "Authorization: Bearer %",
    "GET /x?token=%&a=1 HTTP/1.1",
    "report token:% to cloud",
    "SSID:home,KEY:%",
    "sign:%",
    "Dynamic Register Device Secret: %",
    "state_code: -0x0803, str_msg= report token:% to cloud",
];

fn answers(report: &Report) -> [String; 4] {
    let plain = |_, text: &str| text.to_owned();
    [
        report.to_json().to_string(),
        report.to_text(Lang::En, &plain),
        report.to_text(Lang::Zh, &plain),
        report.to_html(Lang::En),
    ]
}

/// Lines that become evidence and hold the secret again, without a telling key.
fn planted(shape: &str, secret: &str) -> Vec<u8> {
    let lower = secret.to_lowercase();
    format!(
        "{}\n\
         INF|2026-11-21 00:38:13|HAL_TCP_linux.c|HAL_TCP_Connect(111): connected with TCP server: h:1883\n\
         ERR|2026-11-21 00:38:13|mqtt_client.c|IOT_MQTT_Construct(119): mqtt connect with id: YDGnD {secret} failed: -116\n\
         ERR|2026-11-21 00:38:14|a.c|b(1): getaddrinfo({lower}) error: x\n{}\n",
        shape.replace('%', secret),
        shape.replace('%', secret),
    )
    .into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn planted_secrets_never_appear(
        shape in 0..SHAPES.len(),
        secret in "[A-Za-z0-9]{8,40}",
    ) {
        let report = diagnose(&planted(SHAPES[shape], &secret));
        for answer in answers(&report) {
            let found = answer.to_lowercase().contains(&secret.to_lowercase());
            prop_assert!(!found, "{} leaks in {}", SHAPES[shape], answer);
        }
    }

    #[test]
    fn any_bytes_give_a_clean_answer(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut log = b"ERR|2026-11-21 00:38:13|qcloud_a.c|b(1): mqtt connect with id: ".to_vec();
        log.extend_from_slice(&bytes);
        log.extend_from_slice(b"x failed: -116\n");
        let report = diagnose(&log);
        for answer in answers(&report) {
            let control = answer.chars().find(|c| c.is_control() && *c != '\n');
            prop_assert_eq!(control, None);
        }
    }
}

#[test]
fn samples_leak_nothing_in_text_and_page() {
    for label in labels().into_iter().filter(|label| !label.secrets.is_empty()) {
        let report = diagnose(&sample(&label.file));
        for answer in answers(&report) {
            for secret in &label.secrets {
                let found = answer.to_lowercase().contains(&secret.to_lowercase());
                assert!(!found, "{} leaks {secret}", label.file);
            }
        }
    }
}

#[test]
fn control_sequences_do_not_reach_a_terminal() {
    let log = "ERR|2026-11-21 00:38:13|qcloud_a.c|b(1): mqtt connect with id: Y\u{1b}]52;c;aGk=\u{7}\u{1b}[2J\u{9b}31m\u{202e}x failed: -116\n";
    for answer in answers(&diagnose(log.as_bytes())) {
        assert!(!answer.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']), "{answer}");
    }
}

#[test]
fn pages_load_nothing_and_run_nothing() {
    let log = "ERR|2026-11-21 00:38:13|qcloud_a.c|b(1): mqtt connect with id: <script>alert(1)</script><img src=x> failed: -116\n";
    let page = diagnose(log.as_bytes()).to_html(Lang::En);
    assert!(page.contains("default-src 'none'") && page.contains("&lt;script&gt;"), "{page}");
    for part in ["<script", "<img", "http://", "https://", "<link"] {
        assert!(!page.contains(part), "{part}");
    }
}
