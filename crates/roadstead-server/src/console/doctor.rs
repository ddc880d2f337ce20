//! `POST /doctor/diagnose`: the log of a device in, the diagnosis out.
//!
//! The body is the raw log, read in one pass; nothing of it is kept and no secret of it is in the
//! answer. It needs no sign-in, because it reads nothing of the platform: what it costs is bounded
//! by [`LOG_BYTES_MAX`] and [`AT_ONCE_MAX`]. The same diagnosis without a server is
//! `roadstead doctor`.

use axum::body::Body;
use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::StreamExt as _;
use http::StatusCode;
use roadstead_doctor::Doctor;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

/// Largest log, bytes.
const LOG_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Logs read at the same time; more are asked to come again.
const AT_ONCE_MAX: usize = 2;

static AT_ONCE: Semaphore = Semaphore::const_new(AT_ONCE_MAX);

#[derive(Deserialize)]
struct About {
    /// What the answer calls the log.
    #[serde(default)]
    name: String,
}

/// Returns the call.
pub(super) fn routes() -> Router {
    Router::new().route("/doctor/diagnose", post(diagnose))
}

async fn diagnose(Query(about): Query<About>, body: Body) -> Response {
    let Ok(_permit) = AT_ONCE.try_acquire() else {
        return refuse(StatusCode::TOO_MANY_REQUESTS, "internal.overload");
    };
    let mut doctor = Doctor::new();
    doctor.begin(&about.name);
    let mut pieces = body.into_data_stream();
    let mut read = 0;
    while let Some(piece) = pieces.next().await {
        let Ok(piece) = piece else {
            return refuse(StatusCode::BAD_REQUEST, "api.bad_request");
        };
        read += piece.len() as u64;
        if read > LOG_BYTES_MAX {
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "api.too_large");
        }
        doctor.feed(&piece);
        // A fast sender must not keep this thread from the sessions of devices.
        tokio::task::yield_now().await;
    }
    Json(doctor.finish().to_json()).into_response()
}

fn refuse(status: StatusCode, code: &str) -> Response {
    (status, Json(json!({ "error_code": code }))).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::Value;

    use super::*;

    async fn ask(log: &'static str) -> Value {
        let about = About { name: "device.log".to_owned() };
        let response = diagnose(Query(about), Body::from(log)).await;
        assert_eq!(response.status(), StatusCode::OK);
        let bytes = to_bytes(response.into_body(), 1 << 20).await.expect("body");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    #[tokio::test]
    async fn a_posted_log_is_diagnosed_and_its_secrets_stay_out() {
        let answer = ask(
            "[DEBUG][1][dmp_connect] oc_mqtt_connect:user:d1 passwd:80ffc981a6c0bb3723943ae5\n\
             [DEBUG][2][dmp_connect] oc_mqtt_connect:recode:6 :FAILED\n",
        )
        .await;
        assert_eq!(answer["findings"][0]["code"], "mqtt.bad_credentials");
        assert_eq!(answer["findings"][0]["evidence"][0]["line"], 2);
        assert!(!answer.to_string().contains("80ffc981a6c0"));
    }

    #[tokio::test]
    async fn an_empty_log_is_told() {
        assert_eq!(ask("").await["findings"][0]["code"], "input.empty");
    }
}
