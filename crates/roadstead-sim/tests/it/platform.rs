//! A platform of its own for each test: temporary folder, free ports.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use roadstead_core::Secret;
use roadstead_server::config::{Address, Config};
use roadstead_server::{Server, StartOptions};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::api::Api;

/// Password of the user `admin` in every test platform.
pub(crate) const ADMIN_PASSWORD: &str = "correct horse battery staple";
/// A product id of the vendor's shape.
pub(crate) const PRODUCT: &str = "L4WG9V9M2M";
/// The product secret of the seed's log.
pub(crate) const PRODUCT_SECRET: &str = "XoezQjzzMedF4lAr2CqCkVYK";
/// The device secret of the seed's log.
pub(crate) const DEVICE_SECRET: &str = "MLvMHde65nKPk0Lx+ZThaA==";

/// A folder that disappears with its owner.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("roadstead-it-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&path).expect("temporary folder");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Settings of a test platform: every port free, everything on loopback.
pub(crate) fn config(data_dir: &Path) -> Config {
    let overrides: Vec<String> = ["mqtt", "mqtts", "http", "vendor_http", "vendor_https"]
        .iter()
        .map(|name| format!("listen.{name}=127.0.0.1:0"))
        .collect();
    let mut config =
        roadstead_server::config::load(None, std::iter::empty(), &overrides).expect("settings");
    config.data_dir = data_dir.to_owned();
    config
}

/// A running platform in this process.
pub(crate) struct Platform {
    addresses: BTreeMap<String, String>,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<()>>,
    pub(crate) folder: Folder,
    pub(crate) api: Api,
}

impl Platform {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = Folder::new();
        let mut config = config(folder.path());
        change(&mut config);
        Self::start_on(folder, config).await
    }

    /// Stops in order and starts again on the same folder and the same ports.
    pub(crate) async fn restart(self) -> Self {
        let addresses = self.addresses.clone();
        let folder = self.stop().await;
        let mut config = config(folder.path());
        let address = |name: &str| Address(addresses.get(name).and_then(|at| at.parse().ok()));
        config.listen.mqtt = address("mqtt");
        config.listen.mqtts = address("mqtts");
        config.listen.http = address("http");
        config.listen.vendor_http = address("vendor_http");
        config.listen.vendor_https = address("vendor_https");
        Self::start_on(folder, config).await
    }

    async fn start_on(folder: Folder, config: Config) -> Self {
        let options =
            StartOptions { admin_password: Some(Secret::from(ADMIN_PASSWORD)), http: None };
        let server = Server::start(config, options).await.expect("the platform starts");
        let addresses = server.addresses();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run_until(async {
            drop(stopped.await);
        }));
        let api = Api::sign_in(&addresses["http"]).await;
        Self { addresses, stop: Some(stop), running: Some(running), folder, api }
    }

    /// The bound address of a listener, by the last word of its setting.
    pub(crate) fn address(&self, listener: &str) -> &str {
        &self.addresses[listener]
    }

    /// Imports the lamp product and these devices (`None`: pre-registered).
    pub(crate) async fn import(&self, devices: &[(&str, Option<&str>)]) {
        let report = self.api.import(fleet(devices)).await;
        assert_eq!(report["errors"], json!([]), "{report}");
    }

    /// Stops in order and waits for it.
    pub(crate) async fn stop(mut self) -> Folder {
        drop(self.stop.take());
        if let Some(running) = self.running.take() {
            running.await.expect("the platform ends in order");
        }
        std::mem::replace(&mut self.folder, Folder::new())
    }
}

/// A fleet of lamps.
pub(crate) fn fleet(devices: &[(&str, Option<&str>)]) -> Value {
    let rows: Vec<Value> = devices
        .iter()
        .map(|(device, secret)| {
            json!({"dialect": "tencent", "product": PRODUCT, "device": device, "secret": secret})
        })
        .collect();
    json!({
        "version": 1,
        "products": [{
            "dialect": "tencent",
            "product": PRODUCT,
            "name": "Lamp",
            "secret": PRODUCT_SECRET,
            "auth": "secret",
            "dynamic_registration": "open",
            "model": lamp_model(),
        }],
        "devices": rows,
    })
}

/// The vendor's document of the lamp that the recorded firmware speaks.
pub(crate) fn lamp_model() -> Value {
    json!({
        "version": "1.0",
        "properties": [
            {"id": "power_switch", "name": "Power", "desc": "", "required": true, "mode": "rw",
             "define": {"type": "bool", "mapping": {"0": "off", "1": "on"}}},
            {"id": "color", "name": "Colour", "desc": "", "required": false, "mode": "rw",
             "define": {"type": "enum", "mapping": {"0": "Red", "1": "Green", "2": "Blue"}}},
            {"id": "brightness", "name": "Brightness", "desc": "", "required": false, "mode": "rw",
             "define": {"type": "int", "min": "0", "max": "100", "start": "1", "step": "1", "unit": "%"}},
            {"id": "name", "name": "Name", "desc": "", "required": false, "mode": "r",
             "define": {"type": "string", "min": "0", "max": "64"}}
        ],
        "events": [
            {"id": "low_voltage", "name": "Low voltage", "desc": "", "type": "alert", "required": false,
             "params": [{"id": "voltage", "name": "Voltage",
                         "define": {"type": "float", "min": "0", "max": "24", "start": "1", "step": "1", "unit": "V"}}]}
        ],
        "actions": [
            {"id": "light_blink", "name": "Blink", "desc": "", "required": false,
             "input": [
                {"id": "time", "name": "Times", "define": {"type": "int", "min": "0", "max": "100", "start": "1", "step": "1", "unit": ""}},
                {"id": "color", "name": "Colour", "define": {"type": "int", "min": "0", "max": "2", "start": "0", "step": "1", "unit": ""}},
                {"id": "total_time", "name": "Total", "define": {"type": "int", "min": "0", "max": "100", "start": "1", "step": "1", "unit": "s"}}
             ],
             "output": [
                {"id": "err_code", "name": "Result", "define": {"type": "int", "min": "0", "max": "10", "start": "0", "step": "1", "unit": ""}}
             ]}
        ],
        "profile": {"ProductId": PRODUCT, "CategoryId": "1"}
    })
}
