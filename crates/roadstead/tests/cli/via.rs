//! Two processes and the simulated air between them, `device run --via X` and `app provision --via
//! X`, for every dialect that has phones; and the QR code.

use std::path::PathBuf;

use serde_json::Value;

use crate::journey::{Speaker, document};
use crate::server::Server;
use crate::session::{Folder, roadstead};

const TENCENT: [&str; 6] = [
    "--product",
    "L4WG9V9M2M",
    "--product-secret",
    "XoezQjzzMedF4lAr2CqCkVYK",
    "--dialect",
    "tencent",
];
const ALIBABA: [&str; 6] =
    ["--product", "a1RsKq9ZxTb", "--product-secret", "pS9dK2mQ7xWv4LtZ", "--dialect", "alibaba"];
const GIZWITS: [&str; 4] =
    ["--product", "6f3074fe43894547a4f1314bd7e3ae0b", "--dialect", "gizwits"];

/// A platform that knows a product of each dialect, and a signed-in user.
struct Scene {
    folder: Folder,
    server: Server,
}

impl Scene {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        for (from, to) in [
            ("tests/golden/files/lamp.json", "lamp.json"),
            ("src/cmd/demo/alibaba/lamp.json", "alibaba.json"),
            ("../roadstead-sim/tests/clients/gizwits_pet_house.json", "pet.json"),
        ] {
            std::fs::copy(root.join(from), folder.path().join(to)).expect("fixture");
        }
        let row = |dialect: &str, id: &str, secret: &str, model: &str| {
            format!(
                "  - {{dialect: {dialect}, product: {id}, name: P, {secret}auth: secret, \
                 dynamic_registration: open, model: {model}}}\n"
            )
        };
        let fleet = format!(
            "version: 1\nproducts:\n{}{}{}devices: []\n",
            row("tencent", TENCENT[1], &format!("secret: {}, ", TENCENT[3]), "lamp.json"),
            row("alibaba", ALIBABA[1], &format!("secret: {}, ", ALIBABA[3]), "alibaba.json"),
            row("gizwits", GIZWITS[1], "", "pet.json"),
        );
        std::fs::write(folder.path().join("fleet.yaml"), fleet).expect("fleet");
        let server = Server::start(folder.path());
        document(&folder, &["import", "fleet.yaml"]);
        document(&folder, &["app", "sign-up", "--username", "ann"]);
        Self { folder, server }
    }

    /// Returns a loopback address of this process's own.
    fn lan(host: u8) -> String {
        let process = std::process::id().to_be_bytes();
        format!("127.{}.{}.{host}", process[2] | 1, process[3])
    }

    fn device(&self, facts: &[&str], lan: &str, more: &[&str]) -> Speaker {
        let (mqtt, vendor_http) = (self.server.address("mqtt"), self.server.address("vendor_http"));
        let is_module = facts.contains(&"gizwits");
        let mut command = roadstead(self.folder.path());
        command.args(["device", "run", "--json", "--lan", lan, "--data-dir", lan]);
        command.args(["--server", if is_module { &vendor_http } else { &mqtt }]);
        if !is_module {
            command.args(["--vendor-http", &vendor_http]);
        }
        Speaker::start(command.args(facts).args(more))
    }

    fn phone(&self, lan: &str, password: &str, more: &[&str]) -> Speaker {
        let mut command = roadstead(self.folder.path());
        command.args(["app", "provision", "--json", "--lan", lan, "--ssid", "Zuhause 5"]);
        Speaker::start(command.args(["--password", password]).args(more))
    }

    /// One onboarding from two processes; returns the device's id.
    fn comes_home(&self, facts: &[&str], name: &str, via: &str, host: u8, more: &[&str]) -> String {
        let lan = Self::lan(host);
        let mut device = self.device(facts, &lan, &["--device", name, "--via", via]);
        device.wait("stage", "provisioning_started");
        let mut arguments = vec!["--via", via, "--loss", "20"];
        arguments.extend_from_slice(more);
        let mut phone = self.phone(&lan, "correct horse", &arguments);
        let bound = phone.wait("event", "bound");
        device.wait("stage", "online");
        device.stop();
        let bindings = document(&self.folder, &["app", "bindings"]);
        let id = bound["device_id"].as_str().expect("device").to_owned();
        let list = bindings["bindings"].as_array().expect("bindings");
        assert!(list.iter().any(|binding| binding["device_id"] == id.as_str()), "{bindings}");
        let attempt = bound["attempt_id"].as_str().expect("attempt");
        let attempt = document(&self.folder, &["app", "attempt", attempt]);
        assert_eq!(attempt["result"], "success", "{attempt}");
        id
    }
}

#[test]
fn tencent_devices_come_by_airkiss_and_bluetooth() {
    let scene = Scene::new("via-tencent");
    let phone = ["--dialect", "tencent"];
    let id = scene.comes_home(&TENCENT, "lamp-1", "airkiss", 31, &phone);
    assert_eq!(id, "L4WG9V9M2M_lamp-1");
    scene.comes_home(&TENCENT, "lamp-2", "ble", 32, &phone);
}

#[test]
fn alibaba_devices_come_by_smartconfig() {
    let scene = Scene::new("via-alibaba");
    let phone = ["--dialect", "alibaba", "--product-secret", ALIBABA[3]];
    let id = scene.comes_home(&ALIBABA, "lamp-1", "smartconfig", 33, &phone);
    assert_eq!(id, "a1RsKq9ZxTb_lamp-1");
}

#[test]
fn gizwits_modules_come_by_their_own_network_and_by_simple_config() {
    let scene = Scene::new("via-gizwits");
    for (mac, via, host) in [("0247495A0021", "softap", 34), ("0247495A0022", "simpleconfig", 35)] {
        let id =
            scene.comes_home(&GIZWITS, mac, via, host, &["--dialect", "gizwits", "--device", mac]);
        assert_eq!(id.len(), 22, "a DID: {id}");
    }
}

#[test]
fn a_phone_with_the_code_sees_why_and_tries_again() {
    let scene = Scene::new("via-qr");
    let lan = Scene::lan(36);
    let only = ["--only-ssid", "Zuhause 5", "--only-password", "correct horse"];
    let arguments = [&["--device", "lamp-3", "--via", "softap"][..], &only].concat();
    let mut device = scene.device(&TENCENT, &lan, &arguments);
    let code = device.wait("stage", "qr_code");
    let code = code["data"]["text"].as_str().expect("text").to_owned();
    device.wait("stage", "provisioning_started");
    let strange = code.replace("&k=", "&k=00").replacen("&at", "x&at", 1);
    let (head, tail) = code.split_once("&k=").expect("a secret");
    let other = format!("{head}&k={}{}", "0".repeat(32), &tail[32..]);
    for (code, password, end) in [
        (strange, "correct horse", "softap.bad_qr"),
        (other, "correct horse", "softap.wrong_device"),
        (code.clone(), "wrong password", "attempt.wifi_password"),
    ] {
        let mut command = roadstead(scene.folder.path());
        command.args(["app", "provision", "--json", "--via", "softap", "--ssid", "Zuhause 5"]);
        command.args(["--password", password, "--qr", &code]);
        let output = command.output().expect("roadstead");
        assert_eq!(output.status.code(), Some(1));
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(end), "{end}: {text}");
    }
    let mut phone = scene.phone(&lan, "correct horse", &["--qr", &code]);
    let mut stages = Vec::new();
    let bound = loop {
        let line = phone.next().expect("a line");
        match line["event"].as_str() {
            Some("bound") => break line,
            _ => stages.push(line["stage"].clone()),
        }
    };
    assert_eq!(bound["device_id"], "L4WG9V9M2M_lamp-3");
    assert!(stages.contains(&Value::from("device_replied")), "{stages:?}");
    device.wait("stage", "first_report");
    device.stop();
}
