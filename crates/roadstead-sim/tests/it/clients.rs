//! The vendors' published packages against the platform.
//!
//! They need a Python with the packages of `tests/clients/requirements.txt`:
//! `ROADSTEAD_TEST_PYTHON` names it, `python3` otherwise. Where the packages are missing the test
//! says so and passes, unless `ROADSTEAD_TEST_CLIENTS=required`.

use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::huawei;
use crate::platform::{ADMIN_PASSWORD, DEVICE_SECRET, PRODUCT, PRODUCT_SECRET, Platform};

/// Longest wait for a script's next line, or its end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running script.
pub(crate) struct Script {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    seen: Vec<Value>,
    /// Those of `seen` that nobody waited for yet.
    pending: Vec<Value>,
}

/// Returns the Python to use, `None` (with a printed reason) when a package is missing.
pub(crate) async fn python(module: &str) -> Option<String> {
    let python = std::env::var("ROADSTEAD_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let check = Command::new(&python).args(["-c", &format!("import {module}")]).output().await;
    if check.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let required = std::env::var("ROADSTEAD_TEST_CLIENTS").is_ok_and(|value| value == "required");
    assert!(!required, "`{python}` has no module `{module}`; see tests/clients/requirements.txt");
    println!("SKIPPED: `{python}` has no module `{module}`; see tests/clients/requirements.txt");
    None
}

impl Script {
    pub(crate) fn start(python: &str, name: &str, args: &[&str]) -> Self {
        let path = format!("{}/tests/clients/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(python);
        command.arg("-u").arg(path).args(args);
        Self::run(command)
    }

    /// Starts a command whose standard input stays open until [`Script::ends_well`].
    pub(crate) fn run(mut command: Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the script starts");
        let stdout = process.stdout.take().expect("piped");
        Self {
            process,
            lines: BufReader::new(stdout).lines(),
            seen: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// Waits for an event; the package's own log lines are passed over.
    ///
    /// An event that came before one which was waited for earlier is not lost.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        self.event_within(name, PATIENCE).await
    }

    /// The same with more patience, for a script that is silent while it works.
    async fn event_within(&mut self, name: &str, patience: Duration) -> Value {
        if let Some(at) = self.pending.iter().position(|event| event["event"] == name) {
            return self.pending.remove(at);
        }
        loop {
            let line = timeout(patience, self.lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("no `{name}` in time: {:#?}", self.seen));
            let Some(line) = line.expect("output") else {
                panic!("the script ended before `{name}`: {:#?}", self.seen);
            };
            let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
            self.seen.push(event.clone());
            assert_ne!(event["event"], "timeout", "{:#?}", self.seen);
            if event["event"] == name {
                return event;
            }
            self.pending.push(event);
        }
    }

    /// Tells it the next step, one JSON line.
    pub(crate) async fn tell(&mut self, step: &Value) {
        use tokio::io::AsyncWriteExt as _;
        let stdin = self.process.stdin.as_mut().expect("piped");
        stdin.write_all(format!("{step}\n").as_bytes()).await.expect("the script reads");
    }

    pub(crate) async fn ends_well(mut self) {
        drop(self.process.stdin.take());
        let end = async {
            while self.lines.next_line().await.expect("output").is_some() {}
            self.process.wait().await.expect("exit status")
        };
        let status = timeout(PATIENCE, end).await.expect("the script ends in time");
        assert!(status.success(), "{status}: {:#?}", self.seen);
    }
}

/// Dynamic registration, log-in (MQTT 3.1, HMAC-SHA1), report, control and action.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tencents_python_package_registers_reports_and_obeys() {
    let Some(python) = python("explorer.explorer").await else { return };
    let platform = Platform::start().await;
    platform.import(&[]).await;
    let args = [
        ["--mqtt", platform.address("mqtt")],
        ["--http", platform.address("vendor_http")],
        ["--product", PRODUCT],
        ["--device", "PY1"],
        ["--product-secret", PRODUCT_SECRET],
    ];
    let mut script = Script::start(&python, "tencent_sdk.py", &args.concat());
    assert_eq!(script.event("registered").await["code"], 0);
    let ready = script.event("ready").await;
    assert_eq!(ready["reply"]["code"], 0, "{ready}");

    let device = format!("{PRODUCT}_PY1");
    let wanted = json!({"services": [{"service_id": "default",
        "properties": {"power_switch": false, "color": "Blue", "brightness": 66}}]});
    let path = format!("/devices/{device}/properties");
    let (status, body) = platform.api.call(Method::PUT, &path, Some(wanted)).await;
    assert_eq!((status, &body["response"]["result_code"]), (200, &json!(0)), "{body}");

    let blink = json!({"service_id": "default", "command_name": "light_blink",
        "paras": {"time": 5, "color": 1, "total_time": 30}});
    let path = format!("/devices/{device}/commands");
    let (status, body) = platform.api.call(Method::POST, &path, Some(blink)).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["response"]["paras"], json!({"err_code": 0}), "{body}");
    script.ends_well().await;

    let shadow = platform.api.get(&format!("/devices/{device}/shadow")).await;
    let reported = &shadow["shadow"][0]["reported"]["properties"];
    assert_eq!(reported["brightness"], 66, "{shadow}");
    assert_eq!(reported["color"], "Blue", "{shadow}");
    assert_eq!(reported["power_switch"], false, "{shadow}");
    platform.stop().await;
}

/// Plain MQTT 3.1 and 3.1.1 with an HMAC-SHA256 password.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paho_reports_and_obeys() {
    let Some(python) = python("paho.mqtt.client").await else { return };
    let platform = Platform::start().await;
    platform.import(&[("PAHO", Some(DEVICE_SECRET))]).await;
    let (host, port) = platform.address("mqtt").rsplit_once(':').expect("host and port");
    for protocol in ["3.1", "3.1.1"] {
        let args = [
            ["--host", host],
            ["--port", port],
            ["--product", PRODUCT],
            ["--device", "PAHO"],
            ["--secret", DEVICE_SECRET],
            ["--protocol", protocol],
        ];
        let mut script = Script::start(&python, "paho_device.py", &args.concat());
        assert_eq!(script.event("connected").await["rc"], 0);
        assert_eq!(script.event("ready").await["code"], 0);
        let wanted =
            json!({"services": [{"service_id": "default", "properties": {"brightness": 55}}]});
        let path = format!("/devices/{PRODUCT}_PAHO/properties");
        let (status, body) = platform.api.call(Method::PUT, &path, Some(wanted)).await;
        assert_eq!((status, &body["response"]["result_code"]), (200, &json!(0)), "{body}");
        script.ends_well().await;
        let shadow = platform.api.get(&format!("/devices/{PRODUCT}_PAHO/shadow")).await;
        assert_eq!(shadow["shadow"][0]["reported"]["properties"]["brightness"], 55, "{shadow}");
    }
    platform.stop().await;
}

/// The whole day of a Huawei gateway on paho, over both listeners, without one SUBSCRIBE.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paho_is_a_huawei_gateway_with_two_children() {
    let Some(python) = python("paho.mqtt.client").await else { return };
    for (listener, sign) in [("mqtt", "0"), ("mqtts", "1")] {
        let platform = huawei::with_meter(|_| {}).await;
        let (host, port) = platform.address(listener).rsplit_once(':').expect("host and port");
        let ca = platform.folder.path().join("tls/ca.pem");
        let mut args = vec!["--host", host, "--port", port, "--sign", sign];
        args.extend(["--product", huawei::PRODUCT, "--device", huawei::DEVICE]);
        args.extend(["--secret", huawei::SECRET]);
        if listener == "mqtts" {
            args.extend(["--ca", ca.to_str().expect("text")]);
        }
        let mut script = Script::start(&python, "huawei_device.py", &args);
        assert_eq!(script.event("connected").await["rc"], 0);
        let shadow = script.event("shadow").await;
        let meter = &shadow["body"]["shadow"][0];
        assert_eq!(meter["reported"]["properties"], json!({"level": 3}), "{shadow}");
        let time = script.event("time").await;
        assert_eq!(time["body"]["device_send_time"], 1_795_221_679_169_i64, "{time}");
        let statuses = script.event("statuses").await;
        assert_eq!(statuses["body"]["failed_devices"], json!([]), "{statuses}");
        script.event("ready").await;
        obeys(&platform).await;
        let set = script.event("set").await;
        assert_eq!(set["body"]["services"][0]["properties"], json!({"level": 9}), "{set}");
        let command = script.event("command").await;
        assert_eq!(command["body"]["command_name"], "turn", "{command}");
        let message = script.event("message").await;
        assert_eq!(message["body"]["content"], "hello device", "{message}");
        script.ends_well().await;

        for (level, node) in ["c1", "c2"].iter().enumerate() {
            let child = format!("/devices/{}_{node}", huawei::PRODUCT);
            let shown = platform.api.get(&child).await;
            assert_eq!(
                (&shown["status"], &shown["gateway_id"]),
                (&json!("ONLINE"), &json!(huawei::DEVICE))
            );
            let shadow = platform.api.get(&format!("{child}/shadow")).await;
            let reported = &shadow["shadow"][0]["reported"]["properties"];
            assert_eq!(reported, &json!({ "level": level }), "{shadow}");
        }
        let trace = platform.api.trace(huawei::DEVICE).await;
        for entry in ["logs:ok", "message:ok", "sub_create:ok", "time:ok"] {
            assert!(trace.contains(&entry.to_owned()), "{entry}: {trace:?}");
        }
        platform.stop().await;
    }
}

/// Sets a property, commands and writes to the gateway, which answers.
async fn obeys(platform: &Platform) {
    let path = |end: &str| format!("/devices/{}/{end}", huawei::DEVICE);
    let wanted = json!({"services": [{"service_id": "meter", "properties": {"level": 9}}]});
    let (status, body) = platform.api.call(Method::PUT, &path("properties"), Some(wanted)).await;
    assert_eq!((status, &body["response"]["result_code"]), (200, &json!(0)), "{body}");
    let turn = json!({"service_id": "meter", "command_name": "turn", "paras": {"to": "on"}});
    let (status, body) = platform.api.call(Method::POST, &path("commands"), Some(turn)).await;
    assert_eq!((status, &body["response"]["paras"]), (200, &json!({"at": "on"})), "{body}");
    let hello = json!({"message": "hello device"});
    let (status, body) = platform.api.call(Method::POST, &path("messages"), Some(hello)).await;
    assert_eq!(status, 201, "{body}");
}

/// Fewest calls that count as the tour.
const TOUR_CALLS: u64 = 60;

/// Spaces, products, devices, tags, groups, certificates, policies, commands, messages, shadow:
/// signed with an access key both ways and with a token, against a device that answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn huaweis_northbound_package_makes_its_tour() {
    let Some(python) = python("huaweicloudsdkiotda.v5").await else { return };
    let platform = Platform::start().await;
    let file = std::fs::read(platform.folder.path().join("admin-aksk.json")).expect("key file");
    let key: Value = serde_json::from_slice(&file).expect("JSON");
    let text = |name: &str| key[name].as_str().expect("text").to_owned();
    let endpoint = format!("http://{}", platform.address("http"));
    let args = [
        ["--endpoint", &endpoint],
        ["--mqtt", platform.address("mqtt")],
        ["--project", platform.api.project()],
        ["--access-key", &text("access_key")],
        ["--secret-key", &text("secret_key")],
        ["--password", ADMIN_PASSWORD],
    ];
    let mut script = Script::start(&python, "huawei_north.py", &args.concat());
    let done = script.event("done").await;
    assert!(done["calls"].as_u64() >= Some(TOUR_CALLS), "{done}");
    script.ends_well().await;
    platform.stop().await;
}

/// The calls that the package really made, sent again; its own model classes read the answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn huaweis_recorded_calls_are_answered_in_its_own_models() {
    let Some(python) = python("huaweicloudsdkiotda.v5").await else { return };
    let platform = Platform::start().await;
    let endpoint = format!("http://{}", platform.address("http"));
    let recording = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../roadstead-server/tests-data/northbound-python-sdk-basic-aksk.json"
    );
    let args = [
        ["--endpoint", &endpoint],
        ["--mqtt", platform.address("mqtt")],
        ["--project", platform.api.project()],
        ["--password", ADMIN_PASSWORD],
    ];
    let mut args = args.concat();
    args.push(recording);
    let mut script = Script::start(&python, "huawei_recorded.py", &args);
    let done = script.event("done").await;
    assert_eq!(done["parsed"], 29, "{done}");
    // Batch tasks, forwarding and packages have no handlers yet.
    assert_eq!(done["later"].as_array().map(Vec::len), Some(9), "{done}");
    script.ends_well().await;
    platform.stop().await;
}

/// Requests made from the committed OpenAPI document: no 5xx, and a refused one changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_no_call_that_breaks_or_half_works() {
    let Some(python) = python("schemathesis").await else { return };
    let platform = Platform::start().await;
    let endpoint = format!("http://{}", platform.address("http"));
    let args = [
        ["--endpoint", &endpoint],
        ["--project", platform.api.project()],
        ["--password", ADMIN_PASSWORD],
        ["--document", concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/roadstead.json")],
        ["--examples", "3"],
    ];
    let mut script = Script::start(&python, "api_fuzz.py", &args.concat());
    let done = script.event_within("done", 15 * PATIENCE).await;
    assert!(done["operations"].as_u64() >= Some(100), "{done}");
    assert!(done["refused"].as_u64() >= Some(100), "{done}");
    script.ends_well().await;
    platform.stop().await;
}
