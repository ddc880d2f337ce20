//! The sub-commands, one file each.

pub(crate) mod airlink;
pub(crate) mod app;
pub(crate) mod application;
pub(crate) mod attempt;
pub(crate) mod binding;
pub(crate) mod cert;
pub(crate) mod cert_client;
pub(crate) mod command;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod device;
pub(crate) mod device_access;
mod device_failing;
pub(crate) mod device_module;
mod device_offline;
pub(crate) mod device_run;
pub(crate) mod doctor;
pub(crate) mod errors;
pub(crate) mod group;
pub(crate) mod import;
pub(crate) mod lab;
pub(crate) mod message;
pub(crate) mod policy;
pub(crate) mod product;
pub(crate) mod product_file;
pub(crate) mod runlog;
pub(crate) mod shadow;
pub(crate) mod space;
pub(crate) mod tag;
pub(crate) mod template;
pub(crate) mod trace;
pub(crate) mod up;
pub(crate) mod user;
pub(crate) mod why;

use std::future::Future;

use roadstead_core::Secret;
use serde_json::{Map, Value};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::failure::{Failure, Result};

/// Runs one client's work on this thread.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work)
}

/// Runs a server's work on all cores: devices on all but the one that the store's threads need,
/// and HTTP, whose calls may take long, on threads of its own, which `work` gets. On two cores a
/// second thread for devices costs a quarter more CPU per report and wins nothing.
fn block_on_all_cores<T, F>(work: impl FnOnce(Handle) -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let http = runtime("http", (cores / 2).max(1))?;
    let devices = runtime("devices", (cores - 1).max(1))?;
    let result = devices.block_on(work(http.handle().clone()));
    http.shutdown_timeout(SHUTDOWN_WAIT);
    devices.shutdown_timeout(SHUTDOWN_WAIT);
    result
}

fn runtime(name: &str, threads: usize) -> std::io::Result<Runtime> {
    Builder::new_multi_thread().thread_name(name).worker_threads(threads).enable_all().build()
}

/// Wait for background work after the end.
const SHUTDOWN_WAIT: std::time::Duration = std::time::Duration::from_secs(2);

/// Reads a JSON document from a file.
fn read_json(path: &std::path::Path) -> Result<Value> {
    let text = std::fs::read(path).map_err(|error| Failure::file("Reading", path, &error))?;
    serde_json::from_slice(&text).map_err(|error| {
        let message = format!("`{}` is not a JSON document: {error}.", path.display());
        Failure::new("import.bad_model", message)
    })
}

/// Ends at SIGTERM or SIGINT.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};

    let (Ok(mut term), Ok(mut int)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::warn!("signals cannot be watched; only SIGKILL ends this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// A secret given on the command line; its `Debug` shows nothing.
#[derive(Clone)]
pub(crate) struct SecretArg(Secret);

impl std::str::FromStr for SecretArg {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        Ok(Self(Secret::from(text)))
    }
}

impl std::fmt::Debug for SecretArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

impl SecretArg {
    /// Returns the text, which came from the command line and so is text.
    fn text(&self) -> &str {
        self.0.expose_text().unwrap_or_default()
    }
}

/// One `name=value`. The value is JSON where it reads as such, otherwise text.
#[derive(Clone, Debug)]
pub(crate) struct Pair(String, Value);

impl std::str::FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
                Ok(Self(name.to_owned(), value))
            }
            _ => Err("write it as `name=value`".to_owned()),
        }
    }
}

/// Joins `name=value` pairs and a JSON object given as text; pairs win.
fn object(pairs: &[Pair], json: Option<&str>) -> Result<Map<String, Value>> {
    let mut object = match json.map(serde_json::from_str::<Value>) {
        None => Map::new(),
        Some(Ok(Value::Object(object))) => object,
        Some(_) => return Err(Failure::Usage("the parameters are not a JSON object".to_owned())),
    };
    for Pair(name, value) in pairs {
        object.insert(name.clone(), value.clone());
    }
    Ok(object)
}

/// Returns a text of a document for a table cell: `-` when there is none.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Returns the fields of a document as aligned lines `name  value`; empty ones are left out.
fn fields(out: &crate::output::Out, document: &Value, fields: &[(&str, &str)]) -> String {
    let width = fields.iter().map(|(title, _)| title.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (title, pointer) in fields {
        let value = document.pointer(pointer).unwrap_or(&Value::Null);
        let empty = value.as_array().is_some_and(Vec::is_empty);
        if value.is_null() || value == "" || empty {
            continue;
        }
        let shown = match pointer.ends_with("_time") || pointer.ends_with("_at") {
            true => out.clock().ago(value),
            false => cell(value),
        };
        let title = out.paint().tone(crate::output::Tone::Dim, &format!("{title:width$}"));
        text.push_str(&format!("{title}  {shown}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pairs_are_json_or_text() {
        let pairs: Vec<Pair> = ["on=1", "name=lamp", "deep={\"a\":[1]}", "empty=", "t=\"1\""]
            .iter()
            .map(|text| text.parse().expect(text))
            .collect();
        let object = object(&pairs, Some(r#"{"on":0,"x":true}"#)).expect("object");
        let expected = json!({
            "on": 1, "x": true, "name": "lamp", "deep": {"a": [1]}, "empty": "", "t": "1",
        });
        assert_eq!(Value::Object(object), expected);
        assert!("novalue".parse::<Pair>().is_err() && "=1".parse::<Pair>().is_err());
        assert!(super::object(&[], Some("[1]")).is_err());
    }

    #[test]
    fn secrets_do_not_print() {
        let secret: SecretArg = "hush".parse().expect("infallible");
        assert_eq!(format!("{secret:?} {}", secret.text()), "(secret) hush");
    }
}
