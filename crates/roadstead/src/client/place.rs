//! Where the server is and which key opens it: arguments, environment, data folder.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use roadstead_core::Secret;
use serde::Deserialize;

use super::sign::AccessKey;
use crate::failure::{Failure, Result};

/// File in the data folder that holds the bound addresses of a running server.
pub(crate) const READY_FILE: &str = "ready.json";
/// File in the data folder that holds the administrator's access key.
const KEY_FILE: &str = "admin-aksk.json";
/// Where a server with default settings listens.
const DEFAULT_BASE: &str = "http://127.0.0.1:8080";

/// Which server to talk to, and as whom.
///
/// The access key comes from ROADSTEAD_ACCESS_KEY and ROADSTEAD_SECRET_KEY, otherwise from
/// `admin-aksk.json` in the data folder.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServerArgs {
    /// Address of the server's API, such as `http://127.0.0.1:8080`.
    #[arg(long, value_name = "URL", env = "ROADSTEAD_SERVER", hide_env_values = true)]
    pub(crate) server: Option<String>,
    /// Data folder of the server; gives its address and the administrator's access key.
    #[arg(
        long,
        value_name = "DIR",
        env = "ROADSTEAD_DATA_DIR",
        hide_env_values = true,
        default_value = "roadstead-data"
    )]
    pub(crate) data_dir: PathBuf,
}

#[derive(Deserialize)]
struct KeyFile {
    access_key: String,
    secret_key: String,
}

impl ServerArgs {
    /// Returns `http://HOST:PORT` of the server.
    pub(crate) fn base(&self) -> Result<String> {
        if let Some(server) = &self.server {
            return web_address(server);
        }
        let path = self.data_dir.join(READY_FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(DEFAULT_BASE.to_owned());
            }
            Err(error) => return Err(Failure::file("Reading", &path, &error)),
        };
        let addresses: BTreeMap<String, String> = serde_json::from_str(&text)
            .map_err(|error| Failure::file("Reading", &path, &error.into()))?;
        match addresses.get("http") {
            Some(address) => web_address(address),
            None => Ok(DEFAULT_BASE.to_owned()),
        }
    }

    /// Returns the access key of the environment or of the data folder.
    pub(crate) fn key(&self) -> Result<AccessKey> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let given = (variable("ROADSTEAD_ACCESS_KEY"), variable("ROADSTEAD_SECRET_KEY"));
        if let (Some(id), Some(secret)) = given {
            return Ok(AccessKey { id, secret: Secret::from(secret) });
        }
        self.key_of_folder()
    }

    /// Returns the administrator's access key of the data folder.
    pub(crate) fn key_of_folder(&self) -> Result<AccessKey> {
        let path = self.data_dir.join(KEY_FILE);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let shown = path.display();
            let message = format!("There is no access key: reading `{shown}` failed: {error}.");
            Failure::new("client.credential", message)
        })?;
        let file: KeyFile = serde_json::from_str(&text).map_err(|error| {
            let message = format!("`{}` is no access key file: {error}.", path.display());
            Failure::new("client.credential", message)
        })?;
        Ok(AccessKey { id: file.access_key, secret: Secret::from(file.secret_key) })
    }
}

/// Returns `http://HOST:PORT` for `HOST:PORT` or a URL, without a slash at the end.
fn web_address(text: &str) -> Result<String> {
    let (scheme, host) = text.split_once("://").unwrap_or(("http", text));
    let host = host.strip_suffix('/').unwrap_or(host);
    let plain = !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
    match scheme {
        "http" if plain => Ok(format!("http://{host}")),
        _ => Err(Failure::Usage(format!(
            "`{text}` is not the address of a server; write it like `http://127.0.0.1:8080`"
        ))),
    }
}

/// Writes a file that only its owner may read: never half-written, never readable in between.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, bytes, 0o600)
}

/// Writes a file that everybody may read, never half-written.
pub(crate) fn write_public(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, bytes, 0o644)
}

fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let partial = path.with_file_name(name);
    let write = || -> io::Result<()> {
        let _ = std::fs::remove_file(&partial);
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(mode).open(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)
    };
    write().map_err(|error| {
        let _ = std::fs::remove_file(&partial);
        Failure::file("Writing", path, &error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_normalised() {
        for text in ["127.0.0.1:8080", "http://127.0.0.1:8080", "http://127.0.0.1:8080/"] {
            assert_eq!(web_address(text).expect(text), "http://127.0.0.1:8080");
        }
        for bad in ["", "http://", "https://x", "ftp://x", "http://x/y", "http://u@x"] {
            assert!(matches!(web_address(bad), Err(Failure::Usage(_))), "{bad}");
        }
    }
}
