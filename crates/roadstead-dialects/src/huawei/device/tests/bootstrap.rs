//! Certificates and the provisioning service: the device half against the cloud half.

use std::boxed::Box;
use std::string::ToString as _;
use std::vec::Vec;

use roadstead_core::device::Fingerprint;
use roadstead_core::product::{Auth, Model, Product};

use super::*;
use crate::cloud::{Account, Cloud};
use crate::device::Tls as Link;
use crate::huawei::device::bootstrap::ANSWER_WAIT;
use crate::huawei::tests::{GROUP_SECRET, PRODUCT, vouched};

const DESK: &str = "iot-bs.example";
const PLATFORM: &str = "iot-mqtts.example";

/// The provisioning service and the platform behind it.
struct Desk {
    cloud: Box<dyn Cloud>,
    account: Account,
}

impl Desk {
    fn new(auth: Auth) -> Self {
        let settings = json!({
            "address": "iot-mqtts.example:8883",
            "groups": {"scope_1234": PRODUCT},
            "policies": [{"keyword": "east", "keyword_from": "payload", "address": "e.example:1883"}],
        });
        let mut account = account(DEVICE, Model::default());
        account.product = Product { auth, ..Product::clone(&account.product) }.into();
        Self { cloud: cloud(settings), account }
    }

    /// Checks a log-in as the listener would.
    fn admit(&self, login: &Login, is_member: bool) -> Result<(), &'static str> {
        let tls = seen(&login.tls);
        let hello = hello(login, &tls);
        assert!(self.cloud.recognizes(&hello));
        let admitted = match is_member {
            true => self.cloud.admit_member(&hello, &self.account.product, NOW),
            false => self.cloud.admit(&hello, &self.account, NOW),
        };
        admitted.map_err(|refusal| refusal.code)
    }

    /// Answers the question that a logged-in device asked.
    fn answer(&self, login: &Login, question: &Bytes) -> Message {
        let tls = seen(&login.tls);
        let session = self.cloud.session_of(&hello(login, &tls), &self.account, RANDOM);
        let mut wire = Wire::of(self.account.clone(), session);
        let heard = wire.hear_bytes(&wire.topic("sys/bootstrap/up"), question);
        wire.answer(&heard[0].1, &Answer::Done).remove(0)
    }
}

/// What the listener sees of a connection.
fn seen(link: &Link) -> Tls {
    match link {
        Link::Off | Link::Psk { .. } => Tls::None,
        Link::Server => Tls::Server,
        Link::Certificate { .. } => Tls::Certificate {
            sha1: Fingerprint::Sha1([1; 20]),
            sha256: Fingerprint::Sha256([2; 32]),
            common_name: None,
            authority: vouched(),
        },
    }
}

fn hello<'a>(login: &'a Login, tls: &'a Tls) -> Hello<'a> {
    Hello {
        level: 4,
        client_id: &login.client_id,
        user: login.user.as_deref(),
        password: login.password.as_ref().map(Secret::expose),
        keep_alive_s: login.keep_alive.as_secs() as u16,
        tls,
    }
}

fn certificate() -> Link {
    Link::Certificate { chain: Box::from(&b"chain"[..]), key: Secret::from("key") }
}

fn device(bootstrap: Option<Bootstrap>, change: impl FnOnce(&mut Config)) -> Device {
    let mut config = Config::new(PRODUCT, "dev1");
    config.device_id = DEVICE.into();
    config.tls = Link::Server;
    config.bootstrap = bootstrap;
    change(&mut config);
    Device::new(config)
}

fn feed(device: &mut Device, input: Input, now: Tick) -> Vec<Output> {
    let mut out = Vec::new();
    device.handle(input, now, &mut out);
    out
}

fn start(device: &mut Device, stored: &[(&str, &str)]) -> Vec<Output> {
    let stored = stored.iter().map(|(key, value)| ((*key).into(), Secret::from(*value))).collect();
    feed(device, Input::Start { stored, clock: Some(NOW) }, Tick::ZERO)
}

/// Returns the log-in among outputs.
fn login(out: Vec<Output>) -> Box<Login> {
    let found = out.into_iter().find_map(|output| match output {
        Output::Mqtt(MqttAction::Connect(login)) => Some(login),
        _ => None,
    });
    found.expect("a log-in")
}

/// Returns the question among outputs; the answer's topic is asked for before it.
fn question(out: &[Output]) -> Bytes {
    let [
        Output::Mqtt(MqttAction::Subscribe { filter, .. }),
        Output::Mqtt(MqttAction::Publish { topic, payload, .. }),
    ] = out
    else {
        panic!("a SUBSCRIBE and a question")
    };
    assert!(filter.ends_with("/sys/bootstrap/down") && topic.ends_with("/sys/bootstrap/up"));
    payload.clone()
}

/// What the flash holds after outputs.
fn stored(out: &[Output]) -> Vec<(&'static str, Option<String>)> {
    let kept = out.iter().filter_map(|output| match output {
        Output::Store { key, value } => {
            let text = value.as_ref().and_then(Secret::expose_text);
            Some((*key, text.map(String::from)))
        }
        _ => None,
    });
    kept.collect()
}

#[test]
fn it_shows_a_certificate_and_no_password() {
    let desk = Desk::new(Auth::Certificate);
    let mut device = device(None, |config| config.tls = certificate());
    let login = login(start(&mut device, &[]));
    assert!(login.password.is_none());
    assert_eq!(&*login.client_id, "lab_product_dev1_0_0_2026112100");
    assert_eq!(desk.admit(&login, false), Ok(()));
}

#[test]
fn a_checked_time_stamp_is_taken_by_a_platform_that_checks_it() {
    let desk = Desk::new(Auth::Secret);
    let mut device = device(None, |config| {
        config.secret = Some(Secret::from(SECRET));
        config.is_time_checked = true;
    });
    let login = login(start(&mut device, &[]));
    assert_eq!(&*login.client_id, "lab_product_dev1_0_1_2026112100");
    assert_eq!(desk.admit(&login, false), Ok(()));
}

#[test]
fn without_any_credential_it_says_so_and_waits() {
    let mut device = device(None, |_| {});
    let out = start(&mut device, &[]);
    assert!(matches!(&out[..], [Output::Failed { code: "auth.no_credential", .. }]));
    assert!(device.deadline().is_some());
}

/// The four ways of Huawei §4.
#[test]
fn every_credential_opens_the_provisioning_service() {
    for (scope, has_certificate) in [(false, false), (false, true), (true, false), (true, true)] {
        let auth = if has_certificate { Auth::Certificate } else { Auth::Secret };
        let desk = Desk::new(auth);
        let mut service = Bootstrap::new(DESK, 8883);
        service.tls = if has_certificate { certificate() } else { Link::Server };
        service.scope = scope.then(|| "scope_1234".into());
        service.group_secret = (scope && !has_certificate).then(|| Secret::from(GROUP_SECRET));
        let mut device = device(Some(service), |config| {
            config.secret = (!scope && !has_certificate).then(|| Secret::from(SECRET));
            if has_certificate {
                config.tls = certificate();
            }
        });
        let first = login(start(&mut device, &[]));
        assert_eq!((&*first.host, first.port), (DESK, 8883));
        assert_eq!(first.password.is_none(), has_certificate);
        assert_eq!(desk.admit(&first, scope), Ok(()), "{}", first.client_id);
        let out = feed(&mut device, Input::Mqtt(MqttEvent::Connected), Tick::ZERO);
        let asked = question(&out);
        assert!(asked.is_empty());
        let Message { topic, payload, .. } = desk.answer(&first, &asked);
        let answer = Input::Mqtt(MqttEvent::Message { topic, payload });
        let out = feed(&mut device, answer, Tick::ZERO);
        let own = scope.then(|| SECRET.to_string());
        let kept = [("secret", own), ("server", Some("iot-mqtts.example:8883".to_string()))];
        assert_eq!(stored(&out), kept);
        assert!(out.iter().any(|o| matches!(o, Output::Mqtt(MqttAction::Disconnect))));
        let second = login(out);
        assert_eq!((&*second.host, second.port), (PLATFORM, 8883));
        assert_eq!(desk.admit(&second, false), Ok(()), "{}", second.client_id);
        let out = feed(&mut device, Input::Mqtt(MqttEvent::Connected), Tick::ZERO);
        assert!(matches!(&out[0], Output::App(Event::Online)));
    }
}

#[test]
fn a_keyword_chooses_the_platform() {
    let desk = Desk::new(Auth::Secret);
    let service = Bootstrap { keyword: Some("far east".into()), ..Bootstrap::new(DESK, 8883) };
    let mut device = device(Some(service), |config| config.secret = Some(Secret::from(SECRET)));
    let first = login(start(&mut device, &[]));
    let asked = question(&feed(&mut device, Input::Mqtt(MqttEvent::Connected), Tick::ZERO));
    let Message { topic, payload, .. } = desk.answer(&first, &asked);
    let answer = Input::Mqtt(MqttEvent::Message { topic, payload });
    let second = login(feed(&mut device, answer, Tick::ZERO));
    assert_eq!((&*second.host, second.port), ("e.example", 1883));
}

/// Refuses every log-in until `count` are refused; returns the hosts tried and what was stored.
fn refuse(device: &mut Device, count: usize) -> (Vec<String>, Vec<(&'static str, Option<String>)>) {
    let (mut hosts, mut kept) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let now = device.deadline().expect("it will try again").0;
        let out = feed(device, Input::Timeout, now);
        hosts.push(login(out).host.to_string());
        kept.extend(stored(&feed(device, Input::Mqtt(MqttEvent::Refused(4)), now)));
    }
    (hosts, kept)
}

#[test]
fn t14_what_the_service_said_is_kept_even_when_it_is_wrong() {
    let told = [("server", "iot-mqtts.example:8883"), ("secret", "wrong-secret-01")];
    for patience in [0, 3] {
        let service = Bootstrap { patience, ..Bootstrap::new(DESK, 8883) };
        let mut device = device(Some(service), |config| config.secret = Some(Secret::from(SECRET)));
        let first = login(start(&mut device, &told));
        assert_eq!(&*first.host, PLATFORM, "the service is not asked");
        let desk = Desk::new(Auth::Secret);
        assert_eq!(desk.admit(&first, false), Err("auth.bad_password"));
        feed(&mut device, Input::Mqtt(MqttEvent::Refused(4)), Tick::ZERO);
        let (hosts, kept) = refuse(&mut device, 20);
        let asks_again = hosts.iter().position(|host| host == DESK);
        match patience {
            0 => assert_eq!((asks_again, kept.len()), (None, 0)),
            // Three refusals, then it asks: the first one came above.
            _ => {
                assert_eq!(asks_again, Some(2), "{hosts:?}");
                assert_eq!(kept[..2], [("server", None), ("secret", None)]);
            }
        }
    }
}

#[test]
fn silence_and_nonsense_of_the_service_are_survived() {
    let service = Bootstrap::new(DESK, 8883);
    let mut device = device(Some(service), |config| config.secret = Some(Secret::from(SECRET)));
    start(&mut device, &[]);
    let mut now = Tick::ZERO;
    feed(&mut device, Input::Mqtt(MqttEvent::Connected), now);
    assert_eq!(device.deadline().expect("a wait").0, now + ANSWER_WAIT);
    // Anything but the answer is not listened to.
    let topic: Box<str> = "$oc/devices/lab_product_dev1/sys/commands/request_id=1".into();
    let payload = Bytes::from_static(b"{}");
    assert!(feed(&mut device, Input::Mqtt(MqttEvent::Message { topic, payload }), now).is_empty());
    now = now + ANSWER_WAIT;
    let out = feed(&mut device, Input::Timeout, now);
    let [Output::Failed { code: "command.timeout", .. }, Output::Mqtt(MqttAction::Disconnect)] =
        &out[..]
    else {
        panic!("it gives up")
    };
    for body in
        ["", "{", "{}", r#"{"address":"host"}"#, r#"{"address":"h:0"}"#, r#"{"address":":1"}"#]
    {
        now = device.deadline().expect("it will try again").0;
        assert_eq!(&*login(feed(&mut device, Input::Timeout, now)).host, DESK);
        feed(&mut device, Input::Mqtt(MqttEvent::Connected), now);
        let topic: Box<str> = "$oc/devices/lab_product_dev1/sys/bootstrap/down".into();
        let payload = Bytes::from_static(body.as_bytes());
        let out = feed(&mut device, Input::Mqtt(MqttEvent::Message { topic, payload }), now);
        assert!(matches!(&out[0], Output::Failed { code: "register.off", .. }), "{body}");
        assert_eq!(stored(&out), []);
    }
}
