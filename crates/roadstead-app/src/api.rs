//! The client of `/app/v1`.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use roadstead_core::attempt::Stage;
use roadstead_core::{Map, Timestamp, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::AppError;

/// Longest time for one request; a synchronous control of a device takes up to 20 s.
const REQUEST_WAIT: Duration = Duration::from_secs(30);

/// One signed-in (or not yet signed-in) phone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// A fresh bind token.
#[derive(Deserialize)]
pub struct BindToken {
    /// 32 hex digits; a secret until it is used.
    pub token: String,
    /// End of its life, RFC 3339.
    pub expires_at: String,
    /// The attempt that starts with it.
    pub attempt_id: String,
}

/// Where a bind token is.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct TokenState {
    /// How far it came.
    pub state: TokenProgress,
    /// The device that reported it.
    #[serde(default)]
    pub device_id: Option<String>,
    /// Why it cannot be used; a code, or an object with one.
    #[serde(default)]
    pub reason: Option<Value>,
}

/// How far a bind token came.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum TokenProgress {
    /// Made, not heard of since.
    New,
    /// A device reported it; it can be bound.
    Reported,
    /// Its device is bound.
    Bound,
    /// Its life is over.
    Expired,
}

/// One binding.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Binding {
    /// Its id.
    pub binding_id: String,
    /// Its device.
    pub device_id: String,
    /// `owner` or `guest`.
    #[serde(default)]
    pub role: Option<String>,
}

/// What opens local control of a device, without the platform in between.
#[derive(Deserialize)]
pub struct LocalKey {
    /// Names the key.
    pub access_key: String,
    /// Proves it; as safe to keep as a password.
    pub access_token: String,
}

/// What the phone knows of the device, told with its stages.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Facts {
    /// Product id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Node id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Provisioning method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// A stage the phone saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Which.
    pub stage: Stage,
    /// When, by the phone's clock.
    pub at: Timestamp,
    /// Evidence; never a secret.
    pub detail: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    message: String,
}

#[derive(Deserialize)]
struct SignedIn {
    token: String,
}

#[derive(Deserialize)]
struct Bindings {
    bindings: Vec<Binding>,
}

#[derive(Deserialize)]
struct Devices {
    devices: Vec<Value>,
}

impl Client {
    /// Returns a phone that is not signed in; `base` is the platform's address, such as
    /// `http://127.0.0.1:8080`. Proxies of the environment are not used.
    ///
    /// # Errors
    ///
    /// The HTTP client cannot be built.
    pub fn new(base: &str) -> Result<Self, AppError> {
        let http = reqwest::Client::builder().timeout(REQUEST_WAIT).no_proxy().build()?;
        Ok(Self { http, base: base.trim_end_matches('/').to_string(), token: None })
    }

    /// Uses a session token from an earlier run.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_string());
        self
    }

    /// Returns the session token, to be kept for the next run.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Makes a user and signs in.
    ///
    /// # Errors
    ///
    /// `user.exists`, `user.bad_password`, or the platform is not reached.
    pub async fn create_user(&mut self, username: &str, password: &str) -> Result<(), AppError> {
        self.enter("users", username, password).await
    }

    /// Signs in.
    ///
    /// # Errors
    ///
    /// `user.bad_password`, or the platform is not reached.
    pub async fn sign_in(&mut self, username: &str, password: &str) -> Result<(), AppError> {
        self.enter("sessions", username, password).await
    }

    async fn enter(&mut self, path: &str, username: &str, password: &str) -> Result<(), AppError> {
        let body = json!({"username": username, "password": password});
        let signed: SignedIn = self.call(Method::POST, &[path], Some(&body)).await?;
        self.token = Some(signed.token);
        Ok(())
    }

    /// Makes a bind token and starts an attempt. With `auto_bind` the device's report alone
    /// completes the binding.
    ///
    /// # Errors
    ///
    /// The platform's refusal, or it is not reached.
    pub async fn create_bind_token(&self, auto_bind: bool) -> Result<BindToken, AppError> {
        let body = json!({"auto_bind": auto_bind});
        self.call(Method::POST, &["bind-tokens"], Some(&body)).await
    }

    /// Returns where a token is.
    ///
    /// # Errors
    ///
    /// The platform's refusal, or it is not reached.
    pub async fn bind_token(&self, token: &str) -> Result<TokenState, AppError> {
        self.call(Method::GET, &["bind-tokens", token], None).await
    }

    /// Binds the device that reported this token.
    ///
    /// # Errors
    ///
    /// A `bind.*` refusal, or the platform is not reached.
    pub async fn bind(&self, token: &str) -> Result<Binding, AppError> {
        self.call(Method::POST, &["bindings"], Some(&json!({"token": token}))).await
    }

    /// Binds a device by the token it made itself.
    ///
    /// # Errors
    ///
    /// As [`Self::bind`].
    pub async fn bind_device(
        &self,
        product: &str,
        device: &str,
        token: &str,
    ) -> Result<Binding, AppError> {
        let body = json!({"product": product, "device": device, "token": token});
        self.call(Method::POST, &["bindings"], Some(&body)).await
    }

    /// As [`Self::bind_device`], and ends an attempt of the user with it whose own token was not
    /// needed.
    ///
    /// # Errors
    ///
    /// The platform's refusal, or it is not reached.
    pub async fn complete(
        &self,
        attempt: &str,
        (product, device): (&str, &str),
        token: &str,
    ) -> Result<Binding, AppError> {
        let body = json!({
            "product": product, "device": device, "token": token, "attempt_id": attempt,
        });
        self.call(Method::POST, &["bindings"], Some(&body)).await
    }

    /// Lists bindings.
    ///
    /// # Errors
    ///
    /// The platform's refusal, or it is not reached.
    pub async fn bindings(&self) -> Result<Vec<Binding>, AppError> {
        let list: Bindings = self.call(Method::GET, &["bindings"], None).await?;
        Ok(list.bindings)
    }

    /// Gives a device up.
    ///
    /// # Errors
    ///
    /// `bind.not_bound`, or the platform is not reached.
    pub async fn unbind(&self, binding_id: &str) -> Result<(), AppError> {
        self.send(Method::DELETE, &["bindings", binding_id], None).await.map(|_| ())
    }

    /// Lists devices, with model and state.
    ///
    /// # Errors
    ///
    /// The platform's refusal, or it is not reached.
    pub async fn devices(&self) -> Result<Vec<Value>, AppError> {
        let list: Devices = self.call(Method::GET, &["devices"], None).await?;
        Ok(list.devices)
    }

    /// Sets properties and returns the device's answer.
    ///
    /// # Errors
    ///
    /// A `command.*` refusal, or the platform is not reached.
    pub async fn set_properties(
        &self,
        device_id: &str,
        properties: &Map<String, Value>,
    ) -> Result<Value, AppError> {
        let body = json!({"properties": properties});
        self.call(Method::PUT, &["devices", device_id, "properties"], Some(&body)).await
    }

    /// Runs a command and returns the device's answer.
    ///
    /// # Errors
    ///
    /// A `command.*` refusal, or the platform is not reached.
    pub async fn command(
        &self,
        device_id: &str,
        command: &str,
        params: &Map<String, Value>,
    ) -> Result<Value, AppError> {
        let body = json!({"command": command, "params": params});
        self.call(Method::POST, &["devices", device_id, "commands"], Some(&body)).await
    }

    /// Returns what opens local control of one of the user's devices.
    ///
    /// # Errors
    ///
    /// `bind.not_bound`, `api.not_found` where the vendor has none, or the platform is not
    /// reached.
    pub async fn local_key(&self, device_id: &str) -> Result<LocalKey, AppError> {
        self.call(Method::GET, &["devices", device_id, "local-key"], None).await
    }

    /// Returns an attempt: stages of all parties, and how it ended.
    ///
    /// # Errors
    ///
    /// `api.not_found`, or the platform is not reached.
    pub async fn attempt(&self, attempt_id: &str) -> Result<Value, AppError> {
        self.call(Method::GET, &["attempts", attempt_id], None).await
    }

    /// Reports stages that the phone saw.
    ///
    /// # Errors
    ///
    /// The platform's refusal, or it is not reached.
    pub async fn report_stages(
        &self,
        attempt_id: &str,
        marks: &[Mark],
        facts: &Facts,
    ) -> Result<(), AppError> {
        let plain = |mark: &Mark| {
            let mut object = Map::new();
            object.insert("stage".into(), mark.stage.name().into());
            object.insert("at".into(), mark.at.to_string().into());
            if let Some(detail) = &mark.detail {
                object.insert("detail".into(), detail.as_str().into());
            }
            Value::from(object)
        };
        let mut body = json!(facts);
        body["stages"] = marks.iter().map(plain).collect();
        self.send(Method::POST, &["attempts", attempt_id, "stages"], Some(&body)).await.map(|_| ())
    }

    /// Ends an attempt with the phone's reason.
    ///
    /// # Errors
    ///
    /// The platform's refusal, or it is not reached.
    pub async fn report_failure(
        &self,
        attempt_id: &str,
        code: &str,
        detail: &str,
    ) -> Result<(), AppError> {
        let body = json!({"code": code, "detail": detail});
        self.send(Method::POST, &["attempts", attempt_id, "failure"], Some(&body)).await.map(|_| ())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<T, AppError> {
        Ok(self.send(method, path, body).await?.json().await?)
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<reqwest::Response, AppError> {
        let mut url = format!("{}/app/v1", self.base);
        for segment in path {
            url.push('/');
            push_segment(&mut url, segment);
        }
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(refusal(status, &response.bytes().await?))
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> AppError {
    let read = serde_json::from_slice(body);
    let Refusal { code, message } = read.unwrap_or_else(|_| Refusal {
        code: "api.bad_request".into(),
        message: "the answer is not the platform's".into(),
    });
    AppError::Api { status: status.as_u16(), code, message }
}

/// Appends a path segment, percent-encoded (RFC 3986 section 2.3).
fn push_segment(url: &mut String, segment: &str) {
    for byte in segment.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                url.push(char::from(byte));
            }
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
}
