//! Browsers, phones with and without the code, and strangers, over real loopback sockets.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use roadstead_wire::softap::{Phone, Refusal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::http::{Parsed, parse};
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// A flash in memory.
#[derive(Default)]
struct Flash(Vec<(Box<str>, Secret)>);

impl Store for Flash {
    fn load(&mut self) -> Result<Vec<(Box<str>, Secret)>, StoreError> {
        Ok(self.0.clone())
    }

    fn put(&mut self, key: &str, value: Option<&Secret>) -> Result<(), StoreError> {
        self.0.retain(|(known, _)| **known != *key);
        self.0.extend(value.map(|value| (key.into(), value.clone())));
        Ok(())
    }
}

/// An address that nobody else of this machine has.
async fn free() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    listener.local_addr().expect("address")
}

async fn portal(has_page: bool) -> (Portal, mpsc::Receiver<Inbound>, Flash) {
    let (at, dns) = (free().await, free().await);
    let (inbox, results) = mpsc::channel(8);
    let options = PortalOptions {
        at,
        has_page,
        is_sealed: true,
        ap: "lamp-ap".to_owned(),
        dns: has_page.then_some(dns),
        name: "<b>lamp</b>".to_owned(),
    };
    let mut flash = Flash::default();
    let mut portal = Portal::new(options, &mut flash, inbox).expect("memory");
    portal.open().expect("free ports");
    (portal, results, flash)
}

/// Sends a request and returns the whole answer.
async fn ask(portal: &Portal, request: &str, body: &[u8]) -> Vec<u8> {
    let at = portal.shared.options.at;
    let exchange = async {
        let mut stream = TcpStream::connect(at).await.expect("connected");
        let head = format!("{request}\r\nContent-Length: {}\r\n\r\n", body.len());
        // Two segments, as slow phones send.
        stream.write_all(head.replace("HOST", &at.to_string()).as_bytes()).await.expect("sent");
        stream.write_all(body).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("read");
        answer
    };
    timeout(PATIENCE, exchange).await.expect("in time")
}

async fn text(portal: &Portal, request: &str, body: &str) -> String {
    String::from_utf8(ask(portal, request, body.as_bytes()).await).expect("UTF-8")
}

async fn heard(results: &mut mpsc::Receiver<Inbound>) -> Heard {
    match timeout(PATIENCE, results.recv()).await.expect("in time") {
        Some(Inbound::Wifi(WifiEvent::Heard(heard))) => heard,
        _ => panic!("a network"),
    }
}

#[tokio::test]
async fn a_browser_is_led_to_the_page_and_gives_a_network() {
    let (mut portal, mut results, _) = portal(true).await;
    let own = portal.shared.options.at;
    // Probes of Android, iOS, Windows and Firefox.
    for (host, path) in [
        ("connectivitycheck.gstatic.com", "/generate_204"),
        ("captive.apple.com", "/hotspot-detect.html"),
        ("www.msftconnecttest.com", "/connecttest.txt"),
        ("detectportal.firefox.com", "/canonical.html"),
    ] {
        let answer = text(&portal, &format!("GET {path} HTTP/1.1\r\nHost: {host}"), "").await;
        assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
        assert!(answer.contains(&format!("Location: http://{own}/\r\n")), "{answer}");
    }
    let page = text(&portal, "GET / HTTP/1.1\r\nHost: HOST", "").await;
    assert!(page.contains("<html lang=en>") && page.contains("Content-Security-Policy"));
    assert!(page.contains("&lt;b&gt;lamp&lt;/b&gt;") && !page.contains("<b>lamp"), "escaped");
    let chinese = "GET / HTTP/1.1\r\nHost: HOST\r\nAccept-Language: zh-CN,zh;q=0.9";
    let page = text(&portal, chinese, "").await;
    assert!(page.contains("lang=zh-CN") && page.contains("设备配网"), "{page}");
    let page =
        text(&portal, "GET /?lang=en HTTP/1.1\r\nHost: HOST\r\nAccept-Language: zh", "").await;
    assert!(page.contains("<html lang=en>"), "asked for");

    let post = "POST /configure?lang=zh HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST";
    let refused = text(&portal, post, "ssid=Home&password=short").await;
    assert!(refused.contains("密码应为 8 至 63 个字符"), "{refused}");
    let form = "ssid=%3Cscript%3E%26&password=right-password&token=69f978";
    let answer = text(&portal, post, form).await;
    assert!(answer.contains("303") && answer.contains("Location: /status?lang=zh\r\n"), "{answer}");
    let taken = heard(&mut results).await;
    let (ssid, password) = taken.network.expect("network");
    assert_eq!((&*ssid, password.expose_text()), ("<script>&", Some("right-password")));
    assert_eq!(taken.token.as_ref().and_then(Secret::expose_text), Some("69f978"));

    let status = "GET /status HTTP/1.1\r\nHost: HOST";
    let page = text(&portal, status, "").await;
    assert!(page.contains("http-equiv=refresh") && !page.contains("<script"), "{page}");
    for (reason, words) in [
        (Reason::WrongPassword, "The password is wrong."),
        (Reason::NotFound, "The network was not found."),
        (Reason::NoAddress, "The network gave no address."),
    ] {
        portal.set(Progress::Joining, Some(reason));
        let page = text(&portal, status, "").await;
        assert!(page.contains(words) && !page.contains("http-equiv=refresh"), "{page}");
    }
    portal.set(Progress::Joined, None);
    let lost = AgentEvent::of_failure(roadstead_core::Timestamp(0), "tls.handshake", String::new());
    portal.note(&lost);
    assert!(text(&portal, status, "").await.contains("does not reach the platform"));
    portal.note(&AgentEvent::new(roadstead_core::Timestamp(0), "online"));
    portal.note(&AgentEvent::new(roadstead_core::Timestamp(0), "bound"));
    let page = text(&portal, status, "").await;
    assert!(page.contains("Done.") && !page.contains("class=bad"), "{page}");
}

#[tokio::test]
async fn strangers_get_nothing() {
    let (portal, mut results, _) = portal(true).await;
    let form = "ssid=Evil&password=12345678";
    for head in [
        "POST /configure HTTP/1.1\r\nHost: HOST\r\nOrigin: http://evil.example",
        "POST /configure HTTP/1.1\r\nHost: HOST\r\nOrigin: null",
        "POST /configure HTTP/1.1\r\nHost: evil.example",
    ] {
        let answer = text(&portal, head, form).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{head}: {answer}");
    }
    for head in ["PUT / HTTP/1.1\r\nHost: HOST", "nonsense", "GET / HTTP/9.9\r\nHost: HOST"] {
        assert!(text(&portal, head, "").await.starts_with("HTTP/1.1 400 "), "{head}");
    }
    assert!(results.try_recv().is_err());
    let long = [b'x'; 5000];
    assert!(matches!(parse(&long), Parsed::Bad));
    let head = b"POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n";
    assert!(matches!(parse(head), Parsed::Bad));
    let head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(matches!(parse(head), Parsed::Bad));
    let head = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc";
    assert!(matches!(parse(head), Parsed::Partial));
}

#[tokio::test]
async fn a_phone_with_the_code_is_served_without_a_page() {
    let (portal, mut results, mut flash) = portal(false).await;
    let qr = portal.qr().expect("a code").clone();
    let say = async |message: Vec<u8>| {
        let answer = ask(&portal, "POST /provision HTTP/1.1\r\nHost: HOST", &message).await;
        let body = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("a body");
        answer[body + 4..].to_vec()
    };
    let mut phone = Phone::new(*qr.secret, [7; 32]);
    phone.welcome(&say(phone.hello()).await).expect("the device of the code");
    let give = phone.give(b"Home", b"right-password", b"token").expect("fits");
    let answer = say(give.clone()).await;
    assert_eq!(phone.state(&answer), Ok((Progress::Joining, None)));
    assert_eq!(heard(&mut results).await.network.expect("network").0, "Home");
    portal.set(Progress::Joining, Some(Reason::WrongPassword));
    let ask = phone.ask().expect("open");
    let answer = say(ask).await;
    assert_eq!(phone.state(&answer), Ok((Progress::Joining, Some(Reason::WrongPassword))));
    assert_eq!(say(give).await, Device::refusal(Refusal::Replayed), "a recording");
    assert!(results.try_recv().is_err(), "and nothing came of it");
    let mut thief = Phone::new([0; SECRET_SIZE], [8; 32]);
    assert!(thief.welcome(&say(thief.hello()).await).is_err());
    // No form beside the sealed way.
    let page = text(&portal, "GET / HTTP/1.1\r\nHost: HOST", "").await;
    assert!(page.contains("Scan the QR code") && !page.contains("<form"));
    let post = "POST /configure HTTP/1.1\r\nHost: HOST";
    assert!(text(&portal, post, "ssid=Evil").await.starts_with("HTTP/1.1 403 "));
    assert!(results.try_recv().is_err());
    // The code is printed once: its secret outlives the device's restarts.
    assert_eq!(secret(&mut flash).expect("memory"), *qr.secret);
}

#[tokio::test]
async fn every_name_leads_to_the_page() {
    let (portal, _results, _) = portal(true).await;
    let phone = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
    let mut question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    question.extend_from_slice(b"\x05apple\x03com\x00\x00\x01\x00\x01");
    let at = portal.shared.options.dns.expect("on");
    phone.send_to(&question, at).await.expect("sent");
    let mut answer = [0; 512];
    let len = timeout(PATIENCE, phone.recv(&mut answer)).await.expect("in time").expect("answer");
    assert_eq!(answer[len - 4..len], [127, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn the_portal_closes_a_minute_after_the_device_is_on_line() {
    let (mut portal, _results, _) = portal(true).await;
    assert!(portal.tasks.iter().all(|task| !task.is_finished()));
    portal.set(Progress::Joined, None);
    portal.note(&AgentEvent::new(roadstead_core::Timestamp(0), "online"));
    tokio::time::sleep(LINGER / 2).await;
    assert!(portal.tasks.iter().all(|task| !task.is_finished()));
    tokio::time::sleep(LINGER).await;
    assert!(portal.tasks.iter().all(JoinHandle::is_finished));
    portal.open().expect("opens again");
    assert!(portal.tasks.iter().any(|task| !task.is_finished()));
}
