//! `roadstead up`: runs the platform until SIGTERM or SIGINT.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use roadstead_core::Secret;
use roadstead_server::config::{self, Address, Config, Listen};
use roadstead_server::{Server, StartOptions};
use serde_json::json;
use tokio::runtime::Handle;

use super::config::config_failure;
use super::{block_on_all_cores, stop_signal};
use crate::client::{READY_FILE, write_public};
use crate::failure::{Failure, Result, chain};
use crate::output::{Out, Tone};

/// Environment variable with the administrator's password for the first start.
const PASSWORD: &str = "ROADSTEAD_ADMIN_PASSWORD";
/// File of the password that the first start made up.
const PASSWORD_FILE: &str = "admin-password";

/// Runs the platform.
///
/// The first start makes the user `admin` with the password of ROADSTEAD_ADMIN_PASSWORD, or with
/// a random one in `admin-password` in the data folder.
#[derive(Args, Debug)]
pub(crate) struct Up {
    /// Settings file, TOML; see `roadstead config template`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of everything the platform keeps.
    #[arg(long, value_name = "DIR", env = "ROADSTEAD_DATA_DIR", hide_env_values = true)]
    data_dir: Option<PathBuf>,
    /// IP address that all listeners bind to, such as `0.0.0.0`; loopback when missing.
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<IpAddr>,
    /// File that gets the bound addresses as JSON once the platform is ready.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Overrides a setting; may be repeated.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    overrides: Vec<String>,
}

impl Up {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        let config = self.load()?;
        block_on_all_cores(|http| serve(out, config, self.ready_file.as_deref(), http))
    }

    /// Joins file, environment and arguments; later wins.
    fn load(&self) -> Result<Config> {
        let mut config = config::load(self.config.as_deref(), std::env::vars(), &self.overrides)
            .map_err(config_failure)?;
        if let Some(folder) = &self.data_dir {
            config.data_dir.clone_from(folder);
        }
        if let Some(host) = self.bind {
            bind(&mut config.listen, host);
        }
        Ok(config)
    }
}

/// Moves every listener that is on to `host`; ports stay.
fn bind(listen: &mut Listen, host: IpAddr) {
    for Address(address) in listeners(listen) {
        if let Some(address) = address {
            address.set_ip(host);
        }
    }
}

fn listeners(listen: &mut Listen) -> [&mut Address; 8] {
    let Listen { mqtt, mqtts, mqtts_legacy, shared, http, vendor_http, vendor_https, push } =
        listen;
    [mqtt, mqtts, mqtts_legacy, shared, http, vendor_http, vendor_https, push]
}

async fn serve(
    out: &Out,
    mut config: Config,
    ready_file: Option<&Path>,
    http: Handle,
) -> Result<()> {
    let folder = config.data_dir.clone();
    let open = exposed(&mut config.listen);
    let server = start(config, http).await?;
    let addresses: BTreeMap<String, String> =
        server.addresses().iter().map(|(name, at)| (name.to_string(), at.to_string())).collect();
    let ready = Ready::write(&folder, ready_file, &addresses)?;
    out.event(&json!({ "event": "ready", "addresses": addresses, "data_dir": folder }))?;
    out.text(&banner(out, &folder, &addresses))?;
    if !open.is_empty() {
        tracing::warn!(
            addresses = %open.join(", "),
            "listening beyond this machine; plain listeners carry secrets in clear text"
        );
    }
    server.run_until(stop_signal()).await;
    drop(ready);
    out.event(&json!({ "event": "stopped" }))?;
    out.text("Stopped.\n")
}

/// Starts the platform with the password of the environment.
pub(super) async fn start(config: Config, http: Handle) -> Result<Server> {
    let admin_password =
        std::env::var(PASSWORD).ok().filter(|text| !text.is_empty()).map(Secret::from);
    start_with(config, admin_password, http).await
}

/// Starts the platform with a password for its administrator.
pub(super) async fn start_with(
    config: Config,
    admin_password: Option<Secret>,
    http: Handle,
) -> Result<Server> {
    Server::start(config, StartOptions { admin_password, http: Some(http) }).await.map_err(
        |error| {
            Failure::new(error.code(), format!("The platform did not start: {}.", chain(&error)))
        },
    )
}

/// Returns the addresses that are reachable from other machines.
fn exposed(listen: &mut Listen) -> Vec<String> {
    listeners(listen)
        .into_iter()
        .filter_map(|address| address.0)
        .filter(|address| !address.ip().is_loopback())
        .map(|address| address.to_string())
        .collect()
}

/// The files that tell others where the platform listens; the one in the data folder goes away
/// with it.
struct Ready(PathBuf);

impl Ready {
    fn write(
        folder: &Path,
        ready_file: Option<&Path>,
        addresses: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let text = format!("{}\n", json!(addresses));
        let own = Self(folder.join(READY_FILE));
        write_public(&own.0, text.as_bytes())?;
        if let Some(path) = ready_file {
            write_public(path, text.as_bytes())?;
        }
        Ok(own)
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn banner(out: &Out, folder: &Path, addresses: &BTreeMap<String, String>) -> String {
    let paint = out.paint();
    let mut text = format!("{} is up.\n", paint.tone(Tone::Strong, "Roadstead"));
    let mut line = |title: &str, value: &str| {
        let title = paint.tone(Tone::Dim, &format!("{title:12}"));
        text.push_str(&format!("  {title}  {value}\n"));
    };
    if let Some(http) = addresses.get("http") {
        line("console", &paint.tone(Tone::Name, &format!("http://{http}/")));
    }
    for (title, name) in [
        ("MQTT", "mqtt"),
        ("MQTT + TLS", "mqtts"),
        ("MQTT legacy", "mqtts_legacy"),
        ("Shared", "shared"),
        ("vendor HTTP", "vendor_http"),
        ("vendor HTTPS", "vendor_https"),
        ("pushed events", "push"),
    ] {
        if let Some(address) = addresses.get(name) {
            line(title, address);
        }
    }
    let file = folder.join(PASSWORD_FILE);
    let password = match file.exists() {
        true => format!("user admin, password in {}", file.display()),
        false => format!("user admin, password as given in {PASSWORD}"),
    };
    line("sign in", &password);
    line("data", &folder.display().to_string());
    text.push_str("Stop with Ctrl-C.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bind_moves_hosts_and_keeps_ports() {
        let mut listen = Listen::default();
        assert!(exposed(&mut listen).is_empty());
        bind(&mut listen, "0.0.0.0".parse().expect("address"));
        assert_eq!(listen.mqtt.0, "0.0.0.0:1883".parse().ok());
        assert_eq!(listen.mqtts_legacy, Address(None));
        assert_eq!(exposed(&mut listen).len(), 5);
    }
}
