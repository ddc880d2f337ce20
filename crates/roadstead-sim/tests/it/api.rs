//! What a business application and a phone app call.

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::platform::ADMIN_PASSWORD;

/// The northbound API, signed in as `admin`.
pub(crate) struct Api {
    client: Client,
    base: String,
    token: String,
    project: String,
}

impl Api {
    pub(crate) async fn sign_in(http: &str) -> Self {
        let client = Client::new();
        let base = format!("http://{http}");
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": "admin", "password": ADMIN_PASSWORD, "domain": {"name": "any"}}}},
            "scope": {"project": {"name": "any"}},
        }});
        let answer = client
            .post(format!("{base}/v3/auth/tokens"))
            .json(&body)
            .send()
            .await
            .expect("the token call answers");
        assert_eq!(answer.status(), 201);
        let token = answer.headers()["x-subject-token"].to_str().expect("text").to_owned();
        let body: Value = answer.json().await.expect("JSON");
        let project = body["token"]["project"]["id"].as_str().expect("project id").to_owned();
        Self { client, base, token, project }
    }

    /// The project all calls are about.
    pub(crate) fn project(&self) -> &str {
        &self.project
    }

    /// Calls `path` below the project; returns status and body (`null` when empty).
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let url = format!("{}/v5/iot/{}{path}", self.base, self.project);
        let mut request = self.client.request(method, url).header("X-Auth-Token", &self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("the API answers");
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.expect("text")).unwrap_or(Value::Null))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, None).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    pub(crate) async fn import(&self, fleet: Value) -> Value {
        let (status, body) = self.call(Method::POST, "/import", Some(fleet)).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// The codes in a device's trace, oldest first, as `what:code`.
    pub(crate) async fn trace(&self, device: &str) -> Vec<String> {
        let body = self.get(&format!("/devices/{device}/trace?limit=1000")).await;
        let entries = body["entries"].as_array().expect("entries").iter();
        entries
            .map(|e| {
                let part = |key: &str| e[key].as_str().unwrap_or_default().to_owned();
                format!("{}:{}", part("what"), part("code"))
            })
            .collect()
    }
}

/// A phone app.
pub(crate) struct Phone {
    client: Client,
    base: String,
    token: String,
}

impl Phone {
    /// Signs up and in.
    pub(crate) async fn new(http: &str, name: &str) -> Self {
        let client = Client::new();
        let base = format!("http://{http}/app/v1");
        let who = json!({"username": name, "password": "a long enough password"});
        for path in ["users", "sessions"] {
            let answer = client.post(format!("{base}/{path}")).json(&who).send().await;
            let answer = answer.expect("the phone API answers");
            let status = answer.status();
            let body: Value = answer.json().await.unwrap_or(Value::Null);
            assert!(status.is_success(), "{path}: {status} {body}");
            if path == "sessions" {
                let token = body["token"].as_str().expect("token").to_owned();
                return Self { client, base, token };
            }
        }
        unreachable!("the second call returns")
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let mut request =
            self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("the phone API answers");
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.expect("text")).unwrap_or(Value::Null))
    }

    /// Makes a bind token.
    pub(crate) async fn bind_token(&self) -> String {
        let (status, body) = self.call(Method::POST, "/bind-tokens", Some(json!({}))).await;
        assert!(status == 200 || status == 201, "{status} {body}");
        body["token"].as_str().expect("token").to_owned()
    }

    /// State and reason of a bind token.
    pub(crate) async fn token_state(&self, token: &str) -> (String, Option<String>) {
        let (status, body) = self.call(Method::GET, &format!("/bind-tokens/{token}"), None).await;
        assert_eq!(status, 200, "{body}");
        let text = |key: &str| body[key].as_str().map(str::to_owned);
        (text("state").expect("state"), text("reason"))
    }

    /// The devices of this user.
    pub(crate) async fn devices(&self) -> Vec<String> {
        let (status, body) = self.call(Method::GET, "/devices", None).await;
        assert_eq!(status, 200, "{body}");
        let devices = body["devices"].as_array().expect("devices").iter();
        devices.map(|d| d["device_id"].as_str().expect("id").to_owned()).collect()
    }
}
