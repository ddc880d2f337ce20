//! `/run-logs`, `/devices/{id}/message-trace` and `/devices/{id}/offline-analysis`. Additions to
//! v5: the vendor's console has them, its API does not. Source: Huawei §14.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use roadstead_core::port::TraceFilter;
use roadstead_core::trace::{Category, Entry, Hop};
use roadstead_core::{DeviceId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Id, Params};
use super::failure::{Failure, NorthError};
use super::scope;
use super::view::{ReasonView, parse_when};
use crate::service::{Caller, Outage, Platform};

/// Hops listed when the caller names no number.
const LISTED: u32 = 50;
/// Minutes that a message trace runs when the caller names no number.
const TRACE_MINUTES: u64 = 30;

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(list_run_logs))
        .routes(routes!(show_message_trace, start_message_trace, stop_message_trace))
        .routes(routes!(show_offline_analysis))
}

/// One hop.
#[derive(Serialize, ToSchema)]
struct LogView {
    /// When, RFC 3339.
    time: String,
    device_id: String,
    /// `status`, `property`, `message`, `command`, `event`, `onboarding`, `gateway` or `device`.
    category: &'static str,
    /// `up`, `down`, `cloud`, `phone` or `api`.
    #[schema(value_type = String)]
    hop: Hop,
    /// What happened.
    operation: String,
    /// `success` or `failure`.
    result: &'static str,
    /// `ok` or a stable code.
    code: String,
    /// Shared by the hops of one message, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    /// Evidence.
    text: String,
}

impl LogView {
    fn new(device: &DeviceId, entry: &Entry) -> Self {
        Self {
            time: entry.at.to_string(),
            device_id: device.to_string(),
            category: entry.category().name(),
            hop: entry.hop,
            operation: (*entry.what).into(),
            result: if entry.is_failure() { "failure" } else { "success" },
            code: (*entry.code).into(),
            trace_id: entry.trace_id().map(Into::into),
            text: (*entry.text).into(),
        }
    }
}

/// The run log.
#[derive(Serialize, ToSchema)]
struct RunLog {
    /// Newest first.
    logs: Vec<LogView>,
    /// False when the search stopped before the start of the range: narrow it.
    complete: bool,
    /// The `end_time` of the next call; absent when there is nothing older.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_end_time: Option<String>,
}

/// Which hops.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct LogQuery {
    /// Of this device.
    device_id: Option<String>,
    /// `status`, `property`, `message`, `command`, `event`, `onboarding`, `gateway` or `device`.
    category: Option<String>,
    /// `success` or `failure`.
    result: Option<String>,
    /// After this date: `yyyyMMdd'T'HHmmss'Z'`, RFC 3339 or milliseconds.
    start_time: Option<String>,
    /// Before this date.
    end_time: Option<String>,
    /// The newest so many, at most 1000; 50 unless told otherwise.
    limit: Option<u32>,
    /// The space; the project's when absent.
    app_id: Option<String>,
}

impl LogQuery {
    fn filter(&self, space: roadstead_core::SpaceId) -> Result<TraceFilter, Failure> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let when = |name: &str, text: &Option<String>| match given(text) {
            None => Ok(None),
            Some(text) => match parse_when(&text) {
                Some(at) => Ok(Some(at)),
                None => Err(Failure::bad(format!("{name}: `{text}` is not a date"))),
            },
        };
        let category = match given(&self.category) {
            None => None,
            Some(name) => Some(Category::parse(&name).ok_or_else(|| {
                let known: Vec<_> = Category::ALL.iter().map(|known| known.name()).collect();
                Failure::bad(format!("category: `{name}` is none of {}", known.join(", ")))
            })?),
        };
        let failed = match given(&self.result).as_deref() {
            None => None,
            Some("success") => Some(false),
            Some("failure") => Some(true),
            Some(other) => {
                return Err(Failure::bad(format!("result: `{other}` is not success or failure")));
            }
        };
        let (since, until) =
            (when("start_time", &self.start_time)?, when("end_time", &self.end_time)?);
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            return Err(Failure::bad("start_time: must be before end_time"));
        }
        let device = given(&self.device_id).map(DeviceId::new);
        Ok(TraceFilter { device, category, failed, since, until, ..TraceFilter::new(space) })
    }
}

/// Searches what happened to all devices of a space.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/run-logs",
    tag = "diagnosis",
    params(("project_id" = String, Path), LogQuery),
    security(("token" = ["viewer"])),
    responses((status = 200, body = RunLog), (status = "4XX", body = NorthError)),
)]
async fn list_run_logs(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<LogQuery>,
) -> Result<Json<RunLog>, Failure> {
    let space = scope(&platform, &caller, query.app_id.as_deref()).await?;
    let limit = query.limit.unwrap_or(LISTED);
    let found = platform.run_log(&query.filter(space.id)?, limit).await?;
    let is_full = found.hops.len() >= limit as usize;
    let next = found.hops.last().filter(|_| is_full).map(|(_, entry)| entry.at.to_string());
    let logs = found.hops.iter().map(|(device, entry)| LogView::new(device, entry)).collect();
    Ok(Json(RunLog { logs, complete: found.complete, next_end_time: next }))
}

/// The message trace of a device.
#[derive(Serialize, ToSchema)]
struct MessageTrace {
    device_id: String,
    /// True while hops carry excerpts of what was said.
    enabled: bool,
    /// When it ends, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
}

impl MessageTrace {
    fn new(device_id: String, until: Option<Timestamp>) -> Self {
        let end_time = until.map(|until| until.to_string());
        Self { device_id, enabled: end_time.is_some(), end_time }
    }
}

/// Says whether the message trace of a device is on.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/devices/{device_id}/message-trace",
    tag = "diagnosis",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 200, body = MessageTrace), (status = "4XX", body = NorthError)),
)]
async fn show_message_trace(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<MessageTrace>, Failure> {
    let until = platform.traced_until(&caller.space, &id.as_str().into()).await?;
    Ok(Json(MessageTrace::new(id, until)))
}

/// How long a message trace runs.
#[derive(Default, Deserialize, ToSchema)]
struct TraceRequest {
    /// Minutes, 1 to 1440; 30 unless told otherwise.
    minutes: Option<u64>,
}

/// Switches the message trace of a device on for a time: its hops then carry excerpts of what was
/// said, which may be personal data.
#[utoipa::path(
    put,
    path = "/v5/iot/{project_id}/devices/{device_id}/message-trace",
    tag = "diagnosis",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    request_body = Option<TraceRequest>,
    security(("token" = ["operator"])),
    responses((status = 200, body = MessageTrace), (status = "4XX", body = NorthError)),
)]
async fn start_message_trace(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    body: Option<Body<TraceRequest>>,
) -> Result<Json<MessageTrace>, Failure> {
    let minutes = body.and_then(|Body(body)| body.minutes).unwrap_or(TRACE_MINUTES);
    let life = Duration::from_secs(minutes.saturating_mul(60));
    let until = platform.start_trace(&caller.space, &id.as_str().into(), life).await?;
    Ok(Json(MessageTrace::new(id, Some(until))))
}

/// Switches the message trace of a device off.
#[utoipa::path(
    delete,
    path = "/v5/iot/{project_id}/devices/{device_id}/message-trace",
    tag = "diagnosis",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn stop_message_trace(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, Failure> {
    platform.stop_trace(&caller.space, &id.as_str().into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One end of a session.
#[derive(Serialize, ToSchema)]
struct OutageView {
    /// When the session began, RFC 3339; absent when the trace no longer knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    online_time: Option<String>,
    /// When it ended.
    offline_time: String,
    /// When the device was back.
    #[serde(skip_serializing_if = "Option::is_none")]
    back_time: Option<String>,
    /// Remote address and transport.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    /// Why it ended.
    reason: ReasonView,
}

impl From<&Outage> for OutageView {
    fn from(outage: &Outage) -> Self {
        let date = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self {
            online_time: date(outage.online_at),
            offline_time: outage.offline_at.to_string(),
            back_time: date(outage.back_at),
            peer: outage.peer.as_deref().map(Into::into),
            reason: ReasonView::new(&outage.code, ""),
        }
    }
}

/// Why a device went off line.
#[derive(Serialize, ToSchema)]
struct OfflineAnalysis {
    device_id: String,
    /// Ends of sessions.
    count: usize,
    /// Latest first.
    outages: Vec<OutageView>,
}

/// Since when.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct OutageQuery {
    /// After this date: `yyyyMMdd'T'HHmmss'Z'`, RFC 3339 or milliseconds.
    start_time: Option<String>,
}

/// Says when and why the sessions of a device ended, as far as the trace goes back.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/devices/{device_id}/offline-analysis",
    tag = "diagnosis",
    params(("project_id" = String, Path), ("device_id" = String, Path), OutageQuery),
    security(("token" = ["viewer"])),
    responses((status = 200, body = OfflineAnalysis), (status = "4XX", body = NorthError)),
)]
async fn show_offline_analysis(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(query): Params<OutageQuery>,
) -> Result<Json<OfflineAnalysis>, Failure> {
    let since = match query.start_time {
        None => None,
        Some(text) => Some(
            parse_when(&text)
                .ok_or_else(|| Failure::bad(format!("start_time: `{text}` is not a date")))?,
        ),
    };
    let outages = platform.outages(&caller.space, &id.as_str().into(), since).await?;
    let outages: Vec<_> = outages.iter().map(OutageView::from).collect();
    Ok(Json(OfflineAnalysis { device_id: id, count: outages.len(), outages }))
}
