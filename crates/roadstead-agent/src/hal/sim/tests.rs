//! Whole onboardings in the simulated world, with the phone's dialogue and a small cloud.

use roadstead_core::Value;
use roadstead_dialects::tencent::app::{
    Dialogue, Input as PhoneInput, Output, Policy as Phone, Task,
};
use roadstead_dialects::tencent::device::{Config, Device, Policy, Proof};
use serde_json::json;
use std::sync::Arc;

use super::*;
use crate::app::Lamp;

const TOKEN: &str = "69f978dfbb48ec40cadb6d9af470d0f6";

/// Accepts everything; binds every token.
#[derive(Default)]
struct Generous;

impl Cloud for Generous {
    fn http(&mut self, _: usize, call: &HttpCall) -> Result<HttpReply, Fault> {
        assert!(call.request.starts_with(b"POST /register/dev HTTP/1.1\r\n"));
        let payload = "sf1gANtJCT/PRC4ZHOypfkLnO53otVR/oBAnD3vXhS2m8XkbQ08bTCD+I1Tz5Jjo7vhAnC6QE3RgWWZGg6pWGg==";
        let body = json!({"code": 0, "message": "success", "len": 53, "payload": payload});
        Ok(HttpReply { status: 200, body: body.to_string().into() })
    }

    fn mqtt(&mut self, _: usize, action: MqttAction, out: &mut Vec<(Duration, MqttEvent)>) {
        let soon = Duration::from_millis(20);
        match action {
            MqttAction::Connect(_) => out.push((soon, MqttEvent::Connected)),
            MqttAction::Subscribe { filter, qos } => {
                out.push((soon, MqttEvent::Subscribed { filter, granted: Some(qos) }));
            }
            MqttAction::Publish { topic, payload, mark, qos } => {
                if qos == 1 {
                    out.push((soon, MqttEvent::Published { mark }));
                }
                let body: Value = serde_json::from_slice(&payload).expect("JSON");
                let method = match body["method"].as_str() {
                    Some("app_bind_token") => "app_bind_token_reply",
                    Some("get_status") => "get_status_reply",
                    Some("report") => "report_reply",
                    _ => return,
                };
                let reply = json!({"method": method, "clientToken": body["clientToken"], "code": 0, "status": "", "data": {}});
                let topic = topic.replace("/up/", "/down/").into();
                let payload = reply.to_string().into();
                out.push((soon * 5, MqttEvent::Message { topic, payload }));
            }
            MqttAction::Disconnect => {}
        }
    }
}

/// A phone in the network of the device.
struct Handset {
    dialogue: Dialogue,
    network: String,
    starts_at: Option<Tick>,
}

impl Host for Handset {
    fn network(&self) -> &str {
        &self.network
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([192, 168, 4, 66], 8266))
    }

    fn handle(&mut self, datagram: Option<&[u8]>, now: Tick, out: &mut Vec<(SocketAddr, Bytes)>) {
        let input = match (datagram, self.starts_at.take()) {
            (Some(bytes), _) => PhoneInput::Datagram(bytes),
            (None, Some(_)) => PhoneInput::Start,
            (None, None) => PhoneInput::Timeout,
        };
        let mut told = Vec::new();
        self.dialogue.handle(input, now, &mut told);
        for output in told {
            if let Output::Send(bytes) = output {
                out.push((SocketAddr::from((AP_ADDRESS, 8266)), bytes.into()));
            } else if matches!(output, Output::Found { .. }) {
                self.network = "home".into();
            }
        }
    }

    fn deadline(&self) -> Option<Tick> {
        self.starts_at.or_else(|| self.dialogue.deadline().map(|(tick, _)| tick))
    }
}

fn runner(policy: Policy) -> Runner {
    let lamp = Lamp::sample("TEST2");
    let mut config = Config::new("L4WG9V9M2M", "TEST2");
    config.product_secret = Some("XoezQjzzMedF4lAr2CqCkVYK".into());
    config.proof = Proof::Sha1 { tls: false };
    config.model = Some(Arc::new(lamp.model().clone()));
    Runner::new(Box::new(Device::new(config, policy)), Box::new(lamp))
}

fn phone(password: &str) -> Box<Handset> {
    let task = Task::SoftAp { ssid: "home".into(), password: password.into(), token: TOKEN.into() };
    let dialogue = Dialogue::new(task, Phone::default());
    let starts_at = Some(Tick::from_millis(500));
    Box::new(Handset { dialogue, network: "tcloud_TEST2".into(), starts_at })
}

fn stages(world: &World) -> Vec<&'static str> {
    world.events(0).iter().map(|event| event.stage).collect()
}

#[test]
fn a_device_comes_home_through_an_air_that_loses_a_third() {
    for policy in [Policy::v2(), Policy::v3(), Policy::v2().lab(), Policy::v3().lab()] {
        for seed in 0..10 {
            let mut world = World::new(seed, ("home", "secret"), Box::new(Generous));
            world.set_loss(30);
            world.add_device(runner(policy.clone()), BTreeMap::new()).expect("memory");
            world.add_host(phone("secret"));
            world.run(Duration::from_secs(60)).expect("memory");
            let stages = stages(&world);
            for stage in ["registered", "bound", "online", "first_report"] {
                assert!(stages.contains(&stage), "seed {seed}: {stage} is missing in {stages:?}");
            }
        }
    }
}

#[test]
fn a_wrong_password_leaves_its_reason_and_the_device_ready() {
    let mut world = World::new(1, ("home", "secret"), Box::new(Generous));
    world.add_device(runner(Policy::v2()), BTreeMap::new()).expect("memory");
    world.add_host(phone("wrong"));
    world.run(Duration::from_secs(20)).expect("memory");
    let failed = world.events(0).iter().find(|event| event.stage == "failed").expect("failure");
    assert_eq!(failed.code, Some("attempt.network_not_joined"));
    assert_eq!(stages(&world).last(), Some(&"provisioning_started"));
    assert_eq!(world.flash(0).keys().collect::<Vec<_>>(), ["errors"]);
}

#[test]
fn a_bound_device_comes_back_after_a_power_cut_without_a_phone() {
    let mut world = World::new(1, ("home", "secret"), Box::new(Generous));
    world.add_device(runner(Policy::v2()), BTreeMap::new()).expect("memory");
    world.add_host(phone("secret"));
    world.run(Duration::from_secs(30)).expect("memory");
    let flash = world.flash(0);
    let mut world = World::new(2, ("home", "secret"), Box::new(Generous));
    world.add_device(runner(Policy::v2()), flash).expect("memory");
    world.run(Duration::from_secs(10)).expect("memory");
    let stages = stages(&world);
    assert!(stages.contains(&"online") && !stages.contains(&"registered"), "{stages:?}");
    assert!(!stages.contains(&"bound"));
}

#[test]
fn events_serialize_flat() {
    let mut event = AgentEvent::new(Timestamp(5), "connected");
    assert_eq!(
        serde_json::to_value(&event).expect("JSON"),
        json!({"time_ms": 5, "stage": "connected"})
    );
    event.code = Some("bind.expired");
    event.detail = Some("late".into());
    let expected =
        json!({"time_ms": 5, "stage": "connected", "code": "bind.expired", "detail": "late"});
    assert_eq!(serde_json::to_value(&event).expect("JSON"), expected);
}
