//! What the first start leaves in the data folder for its operator.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use roadstead_core::Secret;
use serde_json::json;

use super::StartError;
use crate::config::Config;
use crate::service::FirstStart;

/// File of the password that the first start made up.
const PASSWORD_FILE: &str = "admin-password";
/// File of the administrator's access key.
const ACCESS_KEY_FILE: &str = "admin-aksk.json";

/// Makes the data folder, readable by its owner alone.
pub(super) fn prepare_folder(folder: &Path) -> Result<(), StartError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(at(folder))
}

/// Writes what nobody could find out otherwise: password and access key.
pub(super) fn write_credentials(config: &Config, first: &FirstStart) -> Result<(), StartError> {
    if let Some(password) = &first.password {
        write(&config.data_dir.join(PASSWORD_FILE), password)?;
    }
    if let Some(key) = &first.access_key {
        let text = json!({
            "access_key": key.id,
            "secret_key": key.secret.expose_text(),
            "region": config.north.region,
        });
        write(&config.data_dir.join(ACCESS_KEY_FILE), &Secret::from(text.to_string()))?;
    }
    Ok(())
}

/// Writes a file that only its owner reads; it is on disk before this returns.
fn write(path: &Path, content: &Secret) -> Result<(), StartError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(at(path))?;
    file.write_all(content.expose()).map_err(at(path))?;
    file.write_all(b"\n").map_err(at(path))?;
    file.sync_all().map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> StartError {
    let path = path.to_owned();
    |source| StartError::File { path, source }
}
