//! The phone's session between two commands: one private file in the data folder.

use std::io;
use std::path::PathBuf;

use roadstead_app::api;
use serde::{Deserialize, Serialize};

use super::failed;
use crate::client::{ServerArgs, write_private};
use crate::failure::{Failure, Result};

/// File in the data folder.
const FILE: &str = "app-session.json";

#[derive(Deserialize, Serialize)]
struct Session {
    username: String,
    token: String,
}

/// Keeps the token of a sign-in.
pub(super) fn keep(server: &ServerArgs, username: &str, token: &str) -> Result<()> {
    let path = path(server);
    std::fs::create_dir_all(&server.data_dir)
        .map_err(|error| Failure::file("Making", &server.data_dir, &error))?;
    let session = Session { username: username.to_owned(), token: token.to_owned() };
    let text = serde_json::to_string(&session).map_err(io::Error::from)?;
    write_private(&path, text.as_bytes())
}

/// Returns the signed-in phone.
pub(super) fn open(server: &ServerArgs) -> Result<api::Client> {
    let path = path(server);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Failure::new("client.signed_out", "The phone is not signed in."));
        }
        Err(error) => return Err(Failure::file("Reading", &path, &error)),
    };
    let session: Session = serde_json::from_str(&text).map_err(|error| {
        let message = format!("`{}` is no session file: {error}.", path.display());
        Failure::new("client.signed_out", message)
    })?;
    let phone = api::Client::new(&server.base()?).map_err(|error| failed(&error))?;
    Ok(phone.with_token(&session.token))
}

/// Forgets the token.
pub(super) fn forget(server: &ServerArgs) -> Result<()> {
    let path = path(server);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::file("Removing", &path, &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn path(server: &ServerArgs) -> PathBuf {
    server.data_dir.join(FILE)
}
