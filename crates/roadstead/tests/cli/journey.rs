//! Whole journeys over several processes and real sockets; every wait is a blocking read of what a
//! process says, so nothing sleeps and nothing is guessed.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::server::Server;
use crate::session::{Folder, roadstead};

/// A process that says JSON lines.
pub(crate) struct Speaker {
    pub(crate) process: Child,
    lines: BufReader<ChildStdout>,
}

impl Speaker {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("roadstead");
        let lines = BufReader::new(process.stdout.take().expect("stdout"));
        Self { process, lines }
    }

    /// Returns the next line, or `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).expect("a line");
        (read > 0).then(|| serde_json::from_str(&line).expect("a JSON line"))
    }

    /// Waits for a line with this value.
    pub(crate) fn wait(&mut self, field: &str, value: &str) -> Value {
        let mut seen = Vec::new();
        while let Some(line) = self.next() {
            if line[field] == value {
                return line;
            }
            seen.push(line);
        }
        panic!("no `{value}`, only {seen:#?}");
    }

    /// Stops the process in order.
    pub(crate) fn stop(mut self) {
        let pid = self.process.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        assert!(killed.success());
        while self.next().is_some() {}
        assert!(self.process.wait().expect("end").success());
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        let _ = self.process.kill();
    }
}

/// Runs a command to its end and returns its JSON document.
pub(crate) fn document(folder: &Folder, args: &[&str]) -> Value {
    let output = roadstead(folder.path()).args(args).arg("--json").output().expect("roadstead");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    serde_json::from_slice(&output.stdout).expect("a JSON document")
}

#[test]
fn the_demo_brings_every_dialect_through() {
    let folder = Folder::new("demo");
    let mut demo = Speaker::start(roadstead(folder.path()).args(["demo", "--once", "--json"]));
    let ready = demo.wait("event", "ready");
    let dialects: Vec<String> = ready["dialects"]
        .as_array()
        .expect("dialects")
        .iter()
        .map(|dialect| dialect.as_str().expect("name").to_owned())
        .collect();
    assert!(dialects.contains(&"tencent".to_owned()));
    let (mut done, mut end) = (Vec::new(), Value::Null);
    while let Some(line) = demo.next() {
        match line["event"].as_str() {
            Some("step") => {
                assert_eq!(line["ok"], true, "{line}");
                done.push((line["dialect"].clone(), line["stage"].clone()));
            }
            Some("end") => end = line,
            _ => assert_eq!(line["event"], "seen", "{line}"),
        }
    }
    for dialect in dialects {
        for stage in ["provision", "register", "bind", "report", "command"] {
            let step = (Value::from(dialect.as_str()), Value::from(stage));
            assert_eq!(done.iter().filter(|known| **known == step).count(), 1, "{dialect} {stage}");
        }
        assert_eq!(end["dialects"][dialect], true);
    }
    assert_eq!(end["ok"], true);
    assert!(demo.process.wait().expect("end").success());
}

#[test]
fn a_phone_provisions_a_virtual_device() {
    let folder = Folder::new("journey");
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/files");
    for name in ["fleet.yaml", "lamp.json"] {
        std::fs::copy(fixtures.join(name), folder.path().join(name)).expect("fixture");
    }
    let server = Server::start(folder.path());
    let (mqtts, vendor_http) = (server.address("mqtts"), server.address("vendor_http"));
    document(&folder, &["import", "fleet.yaml"]);
    document(&folder, &["app", "sign-up", "--username", "ann"]);

    // Every process has a loopback address of its own, so that tests do not meet.
    let process = std::process::id().to_be_bytes();
    let lan = format!("127.{}.{}.77", process[2] | 1, process[3]);
    let secret = "XoezQjzzMedF4lAr2CqCkVYK";
    let mut device = Speaker::start(roadstead(folder.path()).args([
        "device",
        "run",
        "--json",
        "--dialect",
        "tencent",
        "--product",
        "L4WG9V9M2M",
        "--device",
        "lamp-7",
        "--product-secret",
        secret,
        "--server",
        &mqtts,
        "--tls",
        "psk",
        "--vendor-http",
        &vendor_http,
        "--lan",
        &lan,
        "--data-dir",
        "flash",
    ]));
    device.wait("stage", "provisioning_started");

    let mut phone = Speaker::start(roadstead(folder.path()).args([
        "app",
        "provision",
        "--json",
        "--via",
        "softap",
        "--lan",
        &lan,
        "--ssid",
        "Home",
        "--password",
        "home-password",
    ]));
    let bound = phone.wait("event", "bound");
    assert!(phone.process.wait().expect("end").success());
    let id = bound["device_id"].as_str().expect("device").to_owned();
    assert_eq!(id, "L4WG9V9M2M_lamp-7");
    device.wait("stage", "first_report");

    let answer = document(&folder, &["app", "control", &id, "power_switch=true", "brightness=70"]);
    assert_eq!(answer["code"], 0);
    let set = device.wait("stage", "property_set");
    assert_eq!(set["data"]["brightness"], 70);
    let answer = document(
        &folder,
        &[
            "command",
            "send",
            &id,
            "light_blink",
            "--params",
            r#"{"time":5,"color":"Green","total_time":30}"#,
        ],
    );
    assert_eq!(answer["response"]["result_code"], 0, "{answer}");
    let why = document(&folder, &["why", &id]);
    assert_eq!((&why["state"], &why["code"]), (&"well".into(), &"ok".into()), "{why}");
    let attempts = document(&folder, &["attempt", "list", "--device", &id]);
    assert_eq!(attempts["attempts"][0]["result"], "success", "{attempts}");
    let bindings = document(&folder, &["app", "bindings"]);
    assert_eq!(bindings["bindings"][0]["device_id"], id.as_str());
    document(&folder, &["app", "unbind", &id]);
    device.wait("stage", "unbound");
    device.stop();
}

/// A vendor without phones: the provisioning service says where the platform is, the operator says
/// whose the device is.
#[test]
fn a_device_is_sent_to_its_platform_and_given_to_its_owner() {
    let folder = Folder::new("provisioning");
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/cmd/demo/huawei");
    for (from, to) in [("fleet.yaml", "fleet.yaml"), ("lamp.json", "huawei-lamp.json")] {
        std::fs::copy(fixtures.join(from), folder.path().join(to)).expect("fixture");
    }
    // The service must know the address before anything listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr());
    let mqtts = free.expect("a free port").to_string();
    let settings = [
        format!("listen.mqtts={mqtts}"),
        format!("dialect.huawei.address={mqtts}"),
        "dialect.huawei.groups={scope_1234 = \"demo_lamp\"}".to_owned(),
    ];
    let _server = Server::start_with(folder.path(), &settings);
    document(&folder, &["import", "fleet.yaml"]);
    document(&folder, &["app", "sign-up", "--username", "ann"]);
    let secret = "RGVtb0dyb3VwU2VjcmV0MDAwMDAwMDAwMDAwMDAwMDAwMQ==";
    let mut device = Speaker::start(
        roadstead(folder.path())
            .args(["device", "run", "--json", "--dialect", "huawei", "--gzip"])
            .args(["--product", "demo_lamp", "--device", "lamp-7", "--product-secret", secret])
            .args(["--bootstrap", &mqtts, "--scope", "scope_1234"])
            .args(["--tls", "server", "--ca-file", "data/tls/ca.pem", "--data-dir", "flash"]),
    );
    let told = device.wait("stage", "registered");
    assert_eq!(told["detail"], *mqtts);
    device.wait("stage", "online");
    let id = "demo_lamp_lamp-7";
    let given = document(&folder, &["binding", "create", "--device", id, "--user", "ann"]);
    assert_eq!((&given["device_id"], &given["role"]), (&id.into(), &"owner".into()), "{given}");
    let answer = document(&folder, &["app", "control", id, "brightness=70"]);
    assert_eq!(answer["code"], 0, "{answer}");
    let set = device.wait("stage", "property_set");
    assert_eq!(set["data"]["brightness"], 70);
    device.stop();
    // What the service said is kept: the next start goes straight to the platform.
    let mut device = Speaker::start(
        roadstead(folder.path())
            .args(["device", "run", "--json", "--dialect", "huawei"])
            .args(["--product", "demo_lamp", "--device", "lamp-7", "--product-secret", secret])
            .args(["--bootstrap", "127.0.0.1:1", "--scope", "scope_1234"])
            .args(["--tls", "server", "--ca-file", "data/tls/ca.pem", "--data-dir", "flash"]),
    );
    device.wait("stage", "online");
    device.stop();
}

#[test]
fn a_failed_provisioning_names_its_reason() {
    let folder = Folder::new("silent");
    let _server = Server::start(folder.path());
    document(&folder, &["app", "sign-up", "--username", "ann"]);
    // No device is at this address.
    let output = roadstead(folder.path())
        .args(["app", "provision", "--json", "--lan", "127.0.0.99", "--ssid", "Home"])
        .args(["--wait", "0"])
        .output()
        .expect("roadstead");
    assert_eq!(output.status.code(), Some(1));
    let stdout = String::from_utf8_lossy(&output.stdout);
    let last: Value = serde_json::from_str(stdout.lines().last().expect("a line")).expect("JSON");
    // Which reason depends on the neighbours: broadcasts of other virtual devices are heard here.
    let code = last["error"]["code"].as_str().expect("code");
    assert!(code.starts_with("attempt."), "{last}");
    assert!(last["error"]["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()));
}
