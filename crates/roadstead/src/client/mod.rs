//! Client of a running platform's northbound API: finds server and access key, signs each call,
//! turns error bodies into [`Failure`]s. Not an SDK: it knows JSON values, not models.

mod place;
mod sign;

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;

pub(crate) use place::{READY_FILE, ServerArgs, write_private, write_public};
pub(crate) use sign::AccessKey;

use crate::failure::{Failure, Result};
use crate::output::Clock;

/// Wait for a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// Wait for an answer; longer than the longest synchronous command.
const ANSWER_WAIT: Duration = Duration::from_secs(90);
/// Items asked for per page of a list.
const PAGE_ITEMS: usize = 50;
/// Items of one list that are read at the most; narrower filters show the rest.
const LIST_ITEMS_MAX: usize = 10_000;

/// One connection to one server as one user.
pub(crate) struct Client {
    http: reqwest::Client,
    /// `http://HOST:PORT`, no slash at the end.
    base: String,
    host: String,
    key: AccessKey,
    project: String,
}

impl Client {
    /// Finds server and key, and asks the server for the project.
    pub(crate) async fn connect(args: &ServerArgs) -> Result<Self> {
        let base = args.base()?;
        let key = args.key()?;
        Self::open(base, key).await
    }

    /// As [`Client::connect`], but the key of the data folder wins over the environment's.
    pub(crate) async fn connect_with_file(args: &ServerArgs) -> Result<Self> {
        Self::open(args.base()?, args.key_of_folder()?).await
    }

    async fn open(base: String, key: AccessKey) -> Result<Self> {
        let http = http_client(&base)?;
        let host = base.split_once("://").map_or(base.as_str(), |(_, host)| host).to_owned();
        let mut client = Self { http, base, host, key, project: String::new() };
        let answer = client.call(Method::GET, "/v3/projects", &[], None).await?;
        let project = answer["projects"][0]["id"].as_str().ok_or_else(|| {
            Failure::new("client.answer", "The server names no project for this access key.")
        })?;
        client.project = project.to_owned();
        Ok(client)
    }

    /// Reads `path` of the project.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        self.call(Method::GET, &self.path(path), query, None).await
    }

    /// Creates or acts.
    pub(crate) async fn post(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: &Value,
    ) -> Result<Value> {
        self.call(Method::POST, &self.path(path), query, Some(body)).await
    }

    /// Changes.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::PUT, &self.path(path), &[], Some(body)).await
    }

    /// Deletes.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value> {
        self.call(Method::DELETE, &self.path(path), &[], None).await
    }

    /// Reads a list to its end, page by page; `noun` is the name of the array.
    pub(crate) async fn list(
        &self,
        path: &str,
        noun: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>> {
        self.pages(path, noun, query, None).await
    }

    async fn pages(
        &self,
        path: &str,
        noun: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Vec<Value>> {
        let limit = PAGE_ITEMS.to_string();
        let mut items = Vec::new();
        let mut marker: Option<String> = None;
        while items.len() < LIST_ITEMS_MAX {
            let mut query = query.to_vec();
            query.push(("limit", &limit));
            query.extend(marker.as_deref().map(|marker| ("marker", marker)));
            let mut answer = match body {
                Some(body) => self.post(path, &query, body).await?,
                None => self.get(path, &query).await?,
            };
            let Some(Value::Array(page)) = answer.get_mut(noun).map(Value::take) else {
                return Err(unexpected(path, &format!("it has no `{noun}`")));
            };
            let full = page.len() >= PAGE_ITEMS;
            items.extend(page);
            let next = answer["page"]["marker"].as_str().map(str::to_owned);
            if !full || next.is_none() || next == marker {
                break;
            }
            marker = next;
        }
        Ok(items)
    }

    /// Sends a file.
    pub(crate) async fn upload(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        bytes: Vec<u8>,
    ) -> Result<Value> {
        let path = self.path(path);
        let kind = "application/octet-stream";
        let (status, bytes) = self.exchange(method, &path, query, kind, bytes).await?;
        read(&path, status, &bytes)
    }

    /// Reads a file.
    pub(crate) async fn download(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<u8>> {
        let path = self.path(path);
        let (status, bytes) =
            self.exchange(Method::GET, &path, query, "application/json", Vec::new()).await?;
        match status.is_success() {
            true => Ok(bytes),
            false => read(&path, status, &bytes).map(|_| bytes),
        }
    }

    /// Reads a list that is asked for with a body, to its end.
    pub(crate) async fn list_by(&self, path: &str, noun: &str, body: &Value) -> Result<Vec<Value>> {
        self.pages(path, noun, &[], Some(body)).await
    }

    fn path(&self, path: &str) -> String {
        format!("/v5/iot/{}{path}", self.project)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value> {
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let (status, bytes) = self.exchange(method, path, query, "application/json", body).await?;
        read(path, status, &bytes)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Vec<u8>)> {
        let request = sign::Request {
            method: method.as_str(),
            path,
            query,
            host: &self.host,
            project: &self.project,
            date: &Clock::now().basic(),
            content_type,
            body: &body,
        };
        let mut call =
            self.http.request(method.clone(), format!("{}{}", self.base, request.target()));
        for (name, value) in request.headers(&self.key) {
            call = call.header(name, value);
        }
        let answer = call.body(body).send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|error| self.unreachable(&error))?;
        Ok((status, bytes.to_vec()))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        unreachable(&self.base, error)
    }
}

/// Returns the failure of a call that got no answer.
pub(crate) fn unreachable(base: &str, error: &reqwest::Error) -> Failure {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Failure::new("client.unreachable", format!("The server at {base} does not answer: {cause}."))
}

/// Returns an HTTP client. It asks no proxy: the server is the operator's own.
fn http_client(base: &str) -> Result<reqwest::Client> {
    let builder =
        reqwest::Client::builder().connect_timeout(CONNECT_WAIT).timeout(ANSWER_WAIT).no_proxy();
    builder.build().map_err(|error| unreachable(base, &error))
}

/// Reads an answer: a document, nothing, or the error body of the API.
fn read(path: &str, status: StatusCode, bytes: &[u8]) -> Result<Value> {
    if status.is_success() && bytes.is_empty() {
        return Ok(Value::Null);
    }
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else {
        return Err(unexpected(path, &format!("HTTP status {status} without a JSON body")));
    };
    let refused = document.get("error_code").is_some_and(|code| !code.is_null());
    if status.is_success() && !refused {
        return Ok(document);
    }
    Err(refusal(path, status, &document))
}

/// Turns an error body into a failure. v5 bodies carry the vendor's number in `error_code` and
/// the stable code in `code`.
fn refusal(path: &str, status: StatusCode, document: &Value) -> Failure {
    let text = |names: [&str; 2]| names.iter().find_map(|name| document.get(*name)?.as_str());
    let Some(code) = text(["code", "error_code"]) else {
        return unexpected(path, &format!("HTTP status {status} without an error code"));
    };
    let message = text(["error_msg", "message"]).unwrap_or("The server refused.");
    match text(["remedy", "hint"]) {
        Some(remedy) => Failure::with_remedy(code, sentence(message), remedy),
        None => Failure::new(code, sentence(message)),
    }
}

fn unexpected(path: &str, what: &str) -> Failure {
    Failure::new("client.answer", format!("The answer to `{path}` makes no sense: {what}."))
}

/// Returns the text in sentence case with a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut chars = text.chars();
    let head: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{head}{}{end}", chars.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failure(status: u16, body: &Value) -> (String, String) {
        let status = StatusCode::from_u16(status).expect("status");
        match read("/p", status, body.to_string().as_bytes()) {
            Err(Failure::Failed { code, message, .. }) => (code, message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn error_bodies_become_failures() {
        let body = json!({
            "error_code": "IOTDA.014000", "error_msg": "no such device", "code": "api.not_found",
        });
        assert_eq!(failure(404, &body), ("api.not_found".into(), "No such device.".into()));
        let body = json!({ "error_code": "IOTDA.014111", "error_msg": "timed out." });
        assert_eq!(failure(200, &body), ("IOTDA.014111".into(), "Timed out.".into()));
        let (code, message) = failure(502, &json!({}));
        assert_eq!(code, "client.answer");
        assert!(message.contains("502"), "{message}");
        assert_eq!(read("/p", StatusCode::NO_CONTENT, b"").expect("empty"), Value::Null);
        assert_eq!(read("/p", StatusCode::OK, b"{}").expect("document"), json!({}));
    }
}
