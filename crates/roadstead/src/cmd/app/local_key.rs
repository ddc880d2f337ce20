//! Keys of local control: fetched from the platform while it is there, kept in one private file
//! of the data folder for the time when it is away.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use roadstead_app::api::LocalKey;
use roadstead_core::{DeviceId, Secret};
use roadstead_dialects::alibaba::alcs::AccessKey;
use serde::{Deserialize, Serialize};

use super::{failed, session};
use crate::client::{ServerArgs, write_private};
use crate::failure::{Failure, Result};

/// File in the data folder.
const FILE: &str = "app-local-keys.json";

/// One kept key.
#[derive(Deserialize, Serialize)]
struct Kept {
    access_key: String,
    access_token: String,
}

/// A key, and whether the platform was away when it was needed.
pub(super) struct Found {
    pub(super) key: AccessKey,
    pub(super) is_kept: bool,
}

/// Asks the platform for the key of a device; one that was kept does while nobody answers.
pub(super) async fn find(server: &ServerArgs, product: &str, device: &str) -> Result<Found> {
    let phone = session::open(server)?;
    let id = DeviceId::of_node(&product.into(), device);
    match phone.local_key(id.as_str()).await {
        Ok(key) => {
            keep(server, &id, &key)?;
            Ok(Found { key: access_key(key.access_key, &key.access_token), is_kept: false })
        }
        Err(error) if error.code() == "client.unreachable" => {
            let kept = read(server)?.remove(id.as_str());
            let Some(Kept { access_key: key, access_token }) = kept else {
                let message = format!(
                    "The platform does not answer, and this phone has not kept a key of `{id}` yet."
                );
                return Err(Failure::new("local.no_key", message));
            };
            Ok(Found { key: access_key(key, &access_token), is_kept: true })
        }
        Err(error) => Err(failed(&error)),
    }
}

fn access_key(key: String, token: &str) -> AccessKey {
    AccessKey { key: key.into(), token: Secret::from(token) }
}

fn keep(server: &ServerArgs, id: &DeviceId, key: &LocalKey) -> Result<()> {
    let mut all = read(server)?;
    let LocalKey { access_key, access_token } = key;
    let known = all.get(id.as_str());
    if known.is_some_and(|k| k.access_key == *access_key && k.access_token == *access_token) {
        return Ok(());
    }
    let new = Kept { access_key: access_key.clone(), access_token: access_token.clone() };
    all.insert(id.as_str().to_owned(), new);
    let text = serde_json::to_string(&all).map_err(io::Error::from)?;
    write_private(&path(server), text.as_bytes())
}

fn read(server: &ServerArgs) -> Result<BTreeMap<String, Kept>> {
    let path = path(server);
    match std::fs::read_to_string(&path) {
        // A damaged file is written anew: the platform has every key.
        Ok(text) => Ok(serde_json::from_str(&text).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(Failure::file("Reading", &path, &error)),
    }
}

fn path(server: &ServerArgs) -> PathBuf {
    server.data_dir.join(FILE)
}
